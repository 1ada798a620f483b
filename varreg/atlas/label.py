"""``label``: registration of labelled atlases to an image, and label fusion."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..batch.batch import iterate_batch
from ..errors import InputError
from ..geometry.resampling import check_choice
from ..images.accepted import as_image, as_mask
from ..images.image import Image
from ..optimise.check import failed
from ..options.options import Options
from ..results.result import Result
from ..stages.arguments import merged_options
from .atlases import FUNCTION, Atlas, as_atlases
from .fusion import METHODS, fuse
from .labelling import Labelling, labelling_checks

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..options.changes import Changes


def label(
    image: Any,
    atlases: Any,
    *,
    method: str = "local",
    radius: int = 2,
    mask: Any = None,
    affine: str = "affine",
    deformable: bool = True,
    options: Options | None = None,
    preset: str = "default",
    backend: str = "auto",
    device: int = 0,
    threads: int | None = None,
    processes: int | None = None,
    progress: bool | None = None,
    **changes: Unpack[Changes],
) -> Labelling:
    """Label an image by several labelled atlases (multi-atlas segmentation).

    Each atlas is registered to the image, its labels are warped to it, and the warped labels are
    fused (:mod:`varreg.atlas.fusion`).

    Parameters
    ----------
    image : image
        Image to be labelled; see :func:`varreg.solve`.
    atlases : str, PathLike or sequence of (image, labels)
        A folder with ``NAME_image.nii.gz`` and ``NAME_labels.nii.gz`` for each atlas, or with a table ``atlases.tsv`` of the
        columns ``image``, ``labels`` and optionally ``name``; or such a table; or a list.
    method : {"local", "majority"}
        Weights of the votes: by the local agreement of each atlas with the image, or equal.
    radius : int
        Radius of the patch for the local agreement, in voxels.
    mask : array, path or image, optional
        Region to be labelled and compared in the registrations; outside the label is 0.  For weights between 0
        and 1 the labelled region is where they are at least half of the largest.
    affine : {"affine", "similarity", "rigid", "translation"}
        Model of the affine stage.
    deformable : bool
        Whether the maps deform.
    options, preset, backend, device, threads, processes, progress, **changes
        Options of the registrations; see :func:`varreg.solve_batch`.  Volumes take ``regularity="fine"`` if it is left open,
        since the images are of different people.

    Returns
    -------
    Labelling

    Raises
    ------
    InputError, GeometryError, FileError
        If an argument is invalid.
    Exception
        The error of :func:`varreg.solve` for the first atlas that cannot be registered.

    Examples
    --------
    >>> import numpy as np, varreg
    >>> x, y = np.mgrid[:48, :48]
    >>> def person(k):
    ...     return np.exp(-((x - 22 - k) ** 2 + (y - 25) ** 2) / 90)
    >>> atlases = [(person(k), (person(k) > 0.5).astype(np.uint8)) for k in (-2, 1, 3)]
    >>> found = varreg.label(person(0), atlases, affine="translation", deformable=False)
    >>> bool(np.mean((found.labels > 0) == (person(0) > 0.5)) > 0.98)
    True
    """
    check_choice(method, METHODS, FUNCTION, "method")
    _check_radius(radius)
    target = as_image(image, argument="image", function=FUNCTION)
    inside = as_mask(mask, target, argument="mask", function=FUNCTION)
    found = as_atlases(atlases)
    merged = merged_options(options, preset, changes)
    if target.grid.dim == 3 and merged.regularity == "auto":
        merged = merged.replace(regularity="fine")
    arguments = {
        "options": merged, "affine": affine, "deformable": deformable, "backend": backend,
        "device": device, "threads": threads, "processes": processes, "progress": progress,
    }  # fmt: skip
    begun = time.perf_counter()
    results, labels = _registered(target, mask, found, arguments)
    registered = time.perf_counter()
    images = [result.warped.values for result in results]
    fused, agreement = fuse(target.data, images, labels, method, int(radius))
    if inside is not None:
        fused = np.where(inside, fused, 0)
        agreement = np.where(inside, agreement, np.float32(1))
    names = tuple(atlas.name for atlas in found)
    warned = [tuple(check.sentence for check in failed(result.checks)) for result in results]
    return Labelling(
        labels=fused,
        agreement=agreement,
        image=target,
        names=names,
        method=method,
        transforms=tuple(result.transform for result in results),
        checks=labelling_checks(names, fused, agreement, labels, warned),
        seconds=(registered - begun, time.perf_counter() - registered),
    )


def _registered(
    target: Image, mask: Any, atlases: Sequence[Atlas], arguments: dict[str, Any]
) -> tuple[list[Result], list[NDArray[Any]]]:
    """The registrations, and the warped label maps."""

    def pairs() -> Iterator[dict[str, Any]]:
        for atlas in atlases:
            yield {"moving": atlas.image, "fixed": target, "fixed_mask": mask}

    results, labels = [], []
    with closing(iterate_batch(pairs(), **arguments)) as solved:
        for atlas, result in zip(atlases, solved, strict=True):
            labels.append(result.warp_labels(atlas.labels))
            results.append(result)
    return results, labels


def _check_radius(radius: Any) -> None:
    whole = isinstance(radius, (int, np.integer)) and not isinstance(radius, bool)
    if not whole or radius < 1:
        raise InputError(
            f"{FUNCTION}: `radius` must be a whole number of voxels from 1; got {radius!r}."
        )
