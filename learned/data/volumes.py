"""Images and label maps on isotropic grids, axes right, anterior, superior; what takes seconds is kept in files."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varreg.errors import FileError, InputError, OverlapError, VarregError
from varreg.geometry.label_resampling import resampled_labels
from varreg.images.accepted import Image, as_image
from varreg.io.atomic import atomic_path

from ..grids import isotropic_grid, on_grid, voxel_coordinates
from .manifest import Subject

logger = logging.getLogger(__name__)

_LEAST_OVERLAP = 0.5  # of the first contrast's voxels, in view of every other
_VERSION = 1  # raised when what is kept is computed in another way


@dataclass(frozen=True, eq=False)
class Volume:
    """The contrasts of one subject on one grid.

    Attributes
    ----------
    subject : str
    contrasts : tuple of str
    images : (C, *T) float32 array
        In the order of `contrasts`, in [0, 1], 3D, axes right, anterior, superior; read-only if it
        is mapped from a cache.
    labels : (*T) int16 array or None
        A label map that coincides with them.
    """

    subject: str
    contrasts: tuple[str, ...]
    images: NDArray[np.float32]
    labels: NDArray[np.int16] | None = None


def load_volume(
    subject: Subject, spacing: float = 1.0, cache: str | os.PathLike[str] | None = None
) -> Volume:
    """Bring the contrasts of a subject onto one isotropic grid.

    The grid is that of the first contrast with its axes reordered (no rotation), the same field of
    view about the same centre.  Intensities are scaled as :func:`varreg.solve` does.

    Parameters
    ----------
    subject : Subject
        Whose images coincide, see :meth:`learned.data.manifest.Subject.coinciding`.
    spacing : float
        Voxel size in mm, along every axis.
    cache : str or PathLike, optional
        Folder that keeps the result as ``.npy`` files, named after paths, sizes and times of the images.

    Returns
    -------
    Volume

    Raises
    ------
    InputError, FileError
        If an image cannot be read, is not 3D or has NaN, or the spacing makes no sense.
    OverlapError
        If less than half of the first contrast lies in view of another.

    Examples
    --------
    >>> import tempfile, nibabel
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "t1.nii"
    ...     voxels = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    ...     nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-1.0, 1, 1, 1])), file)
    ...     int(load_volume(Subject("a", (("T1", file),))).images[0, :, 0, 0].argmax())
    0
    """
    _check_spacing(spacing, "load_volume")

    def prepare() -> NDArray[np.float32]:
        with _of_subject(subject):
            images = [_read(path, contrast, "load_volume") for contrast, path in subject.images]
        grid = isotropic_grid(images[0].grid, spacing)
        _refuse_apart(subject, images)
        return np.stack([on_grid(image, grid) for image in images])

    paths = [path for _, path in subject.images]
    images, labels = cached(prepare, "image", paths, spacing, cache), None
    for _, path in subject.labels:
        with _of_subject(subject):
            labels = load_labels(path, spacing, cache, like=paths[0])
    return Volume(subject.id, subject.contrasts, images, labels)


def load_labels(
    path: str | os.PathLike[str],
    spacing: float = 1.0,
    cache: str | os.PathLike[str] | None = None,
    like: Path | None = None,
) -> NDArray[np.int16]:
    """Bring a label map onto an isotropic grid, by nearest neighbour.

    Parameters
    ----------
    path : str or PathLike
        A 3D image of whole numbers from 0 to 32767.
    spacing, cache
        As for :func:`load_volume`.
    like : Path, optional
        The image whose grid it is brought to, in place of its own.

    Returns
    -------
    (*T) int16 array
        Axes right, anterior, superior.

    Raises
    ------
    InputError, FileError
        If it cannot be read, is no such image, or has no label in view of `like`.
    """
    _check_spacing(spacing, "load_labels")

    def prepare() -> NDArray[np.int16]:
        image = _read(path, "path", "load_labels")
        labels = image.data.astype(np.int16)
        if not 0 <= image.data.min() <= image.data.max() <= 32767 or (labels != image.data).any():
            raise InputError(
                f"load_labels: `path` is {os.fspath(path)!r}, which must hold whole numbers from 0 "
                "to 32767; give a label map, not an image."
            )
        shown = image if like is None else _read(like, "like", "load_labels")
        grid = isotropic_grid(shown.grid, spacing)
        found = resampled_labels(labels, grid.shape, voxel_coordinates(grid, image.grid), "nearest")
        if like is not None and not found.any():
            raise InputError(
                f"load_labels: `path` is {os.fspath(path)!r}, which has no label in view of "
                f"{str(like)!r}; correct the headers, or give the label map of that image."
            )
        return found

    files = [Path(os.fsdecode(file)) for file in (path, like) if file is not None]
    return cached(prepare, "labels", files, spacing, cache)


def cached(
    prepare: Callable[[], NDArray[Any]],
    kind: str,
    paths: Sequence[Path],
    spacing: float,
    cache: str | os.PathLike[str] | None,
) -> NDArray[Any]:
    """What `prepare` gives, read-only and mapped from a ``.npy`` file if that is there.

    Its name is made of the kind, and of the places, sizes and times of the files (`paths`) behind the array.
    Without a folder (`cache`) nothing is kept.

    Examples
    --------
    >>> cached(lambda: np.zeros(3), "zeros", [], 1.0, None).tolist()
    [0.0, 0.0, 0.0]
    """
    if cache is None:
        return prepare()
    folder = Path(os.fsdecode(cache)).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        states = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in paths]
    except OSError as error:
        raise FileError(
            f"cached: the folder {str(folder)!r} or one of {list(map(str, paths))} cannot be used "
            f"({error}); give another folder as `cache` and check the files."
        ) from error
    key = json.dumps([_VERSION, kind, float(spacing), states])
    file = folder / f"{kind}-{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"
    if file.is_file():
        try:
            return np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            logger.warning("cache file %s is damaged (%s); it is rebuilt.", file, error)
    result = prepare()
    with atomic_path(file, overwrite=True) as temporary:
        np.save(temporary, result, allow_pickle=False)
    return result


def _check_spacing(spacing: float, function: str) -> None:
    if not isinstance(spacing, (int, float)) or not 0.05 <= spacing <= 50:
        raise InputError(f"{function}: `spacing` must be 0.05 to 50 mm; got {spacing!r}.")


def _read(path: str | os.PathLike[str], argument: str, function: str) -> Image:
    """A 3D image; hostile and truncated files are refused by the solver's own reading."""
    image = as_image(path, argument=argument, function=function)
    if image.grid.dim != 3:
        raise InputError(
            f"{function}: `{argument}` is {os.fspath(path)!r}, which has shape {image.grid.shape}; "
            "a volume is needed."
        )
    return image


@contextmanager
def _of_subject(subject: Subject) -> Iterator[None]:
    """Name the subject in whatever is said of its images."""
    try:
        yield
    except VarregError as error:
        raise type(error)(f"subject {subject.id!r}: {error}") from error


def _refuse_apart(subject: Subject, images: list[Image]) -> None:
    """Raise if the contrasts do not show the same place: they are the truth of a pair."""
    for contrast, image in zip(subject.contrasts, images, strict=True):
        share = images[0].grid.overlap_fraction(image.grid)
        if share < _LEAST_OVERLAP:
            raise OverlapError(
                f"load_volume: of {subject.contrasts[0]!r} of subject {subject.id!r} only "
                f"{share:.0%} is in view of {contrast!r}; correct the headers or drop the contrast."
            )
