"""The participants of a template: their images and masks, validated once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..geometry.grid import Grid
from ..images.accepted import as_image, as_mask
from ..images.channels import is_several, on_grid_of
from ..images.frames import in_frame
from ..images.image import Image
from ..images.inputs import labels_on
from ..images.intensities import robust_range
from ..images.opening import SUFFIXES
from ..io.result_folder import fingerprint

FUNCTION = "varreg.build_template"


@dataclass(frozen=True)
class Person:
    """The images of one participant, on the grid of the first one.

    Attributes
    ----------
    name : str
    given : tuple
        The given images: paths are read again when needed.
    mask, labels : Any
        As given, or None.
    grid : Grid
    frame : (4, 4) array or None
        For slices of volumes: frame of the first participant.
    ranges : tuple of (float, float)
        Robust intensity range of each contrast.
    digest : str
        SHA-256 of voxels, geometry and mask.
    """

    name: str
    given: tuple[Any, ...]
    mask: Any
    labels: Any
    grid: Grid
    frame: np.ndarray | None
    ranges: tuple[tuple[float, float], ...]
    digest: str

    def images(self) -> list[Image]:
        """All contrasts, with voxels outside the mask marked as no data."""
        return _read(self.given, self.mask, self.frame, self.name)

    def labels_at(self) -> tuple[NDArray[Any], Grid]:
        """The label map and its grid."""
        return labels_on(self.grid, self.frame, self.labels, FUNCTION)


def as_people(
    images: Any, masks: Any = None, labels: Any = None, names: Sequence[str] | None = None
) -> list[Person]:
    """The participants with their images, each with the same number of contrasts.

    Parameters
    ----------
    images : sequence
        One image, or one list of contrasts, per participant.
    masks, labels : sequence, optional
        One per participant, or None.
    names : sequence of str, optional
        By default the file names.

    Raises
    ------
    InputError, GeometryError, FileError
        If these are not images of at least two participants, or of different dimensions.
    """
    given = _each_person(images)
    sides = [
        _as_many(each, name, len(given)) for each, name in ((masks, "masks"), (labels, "labels"))
    ]
    titles = _names(given, names)
    found: list[Person] = []
    for contrasts, mask, label, name in zip(given, *sides, titles, strict=True):
        frame = found[0].frame if found else None
        read = _read(contrasts, mask, frame, name)
        first = read[0]
        if found and first.grid.dim != found[0].grid.dim:
            raise InputError(
                f"{FUNCTION}: the image of {name} is {first.grid.dim}D and that of {found[0].name} {found[0].grid.dim}D; all "
                "must be of one dimension."
            )
        digest = _digest(read)
        ranges = tuple(map(_range, read))
        person = Person(name, contrasts, mask, label, first.grid, first.frame, ranges, digest)
        if label is not None:
            person.labels_at()  # errors are raised before the computation
        found.append(person)
    return found


def _each_person(images: Any) -> list[tuple[Any, ...]]:
    if isinstance(images, (str, os.PathLike, Image)) or not isinstance(images, Sequence):
        raise InputError(
            f"{FUNCTION}: `images` must be a list with an image, or a list of contrasts, for each person; got "
            f"{type(images).__name__}."
        )
    given = [tuple(map(_absolute, each if is_several(each) else (each,))) for each in images]
    if len(given) < 2:
        raise InputError(
            f"{FUNCTION}: `images` has {len(given)} image{'' if len(given) == 1 else 's'}; a mean needs at least two people."
        )
    counts = sorted({len(each) for each in given})
    if len(counts) > 1 or counts[0] == 0:
        raise InputError(
            f"{FUNCTION}: `images` has {' and '.join(map(str, counts))} contrasts for different people; give the same ones "
            "of all, in the same order."
        )
    return given


def _absolute(value: Any) -> Any:
    """An absolute path, for a worker with another working folder."""
    return Path(value).expanduser().absolute() if isinstance(value, (str, os.PathLike)) else value


def _as_many(values: Any, argument: str, count: int) -> list[Any]:
    if values is None:
        return [None] * count
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != count:
        received = (
            f"{len(values)} of them" if isinstance(values, (list, tuple)) else type(values).__name__
        )
        raise InputError(
            f"{FUNCTION}: `{argument}` must be a list with one for each of the {count} people, or None for some; got {received}."
        )
    return [_absolute(value) for value in values]


def _names(given: Sequence[tuple[Any, ...]], names: Sequence[str] | None) -> list[str]:
    if names is None:
        found = [_stem(each[0]) or f"person {k}" for k, each in enumerate(given, 1)]
        if len(set(found)) < len(found):
            found = [f"{k}-{name}" for k, name in enumerate(found, 1)]
        return found
    found = list(map(str, names))
    if len(found) != len(given):
        raise InputError(
            f"{FUNCTION}: `names` has {len(found)} names for {len(given)} people; give one for each."
        )
    unusable = [name for name in found if not name or set(name) & set("/\\")]
    if len(set(found)) < len(found) or unusable:
        raise InputError(
            f"{FUNCTION}: `names` must differ and hold no slashes, for they are names of files; got {found}."
        )
    return found


def _stem(value: Any) -> str:
    name = getattr(value, "name", "") if isinstance(value, Image) else ""
    if isinstance(value, (str, os.PathLike)) or hasattr(value, "path"):
        name = Path(os.fsdecode(getattr(value, "path", value))).name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _read(given: tuple[Any, ...], mask: Any, frame: np.ndarray | None, name: str) -> list[Image]:
    """Images on the grid of the first one, with their masks."""
    argument = f"images ({name})"
    first = as_image(given[0], argument=argument, function=FUNCTION)
    planes = f"{FUNCTION}: the slice of {name} and that of the first person"
    first = in_frame(first, frame, planes, "take slices of one plane.")
    rest = [
        on_grid_of(first, value, f"{argument}[{k}]", FUNCTION) for k, value in enumerate(given) if k
    ]
    found = []
    for image in (first, *rest):
        inside = as_mask(mask, image, argument=f"masks ({name})", function=FUNCTION)
        found.append(replace(image, valid=inside))
    return found


def _range(image: Image) -> tuple[float, float]:
    return robust_range(image.data if image.valid is None else image.data[image.valid])


def _digest(images: Sequence[Image]) -> str:
    """Digest of the voxels, the mask and the geometry."""
    digest = hashlib.sha256()
    for image in images:
        parts = [image.data, image.grid.affine]
        parts += [] if image.valid is None else [image.valid.astype(np.uint8)]
        for part in parts:
            digest.update(fingerprint(part).encode())
    return digest.hexdigest()
