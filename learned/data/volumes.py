"""Images and label maps resampled to isotropic RAS grids, with a cache on disk."""

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

_LEAST_OVERLAP = 0.5  # share of the first contrast's field of view that every other must cover
_VERSION = 1  # increased when the computation of cached arrays changes


@dataclass(frozen=True, eq=False)
class Volume:
    """Coinciding images of one subject on one grid.

    Attributes
    ----------
    subject : str
    contrasts : tuple of str
    images : (C, *T) float32 array
        In the order of `contrasts`, intensities in [0, 1], 3D, axes right, anterior, superior; read-only
        if memory-mapped from a cache.
    labels : (*T) int16 array or None
        Label map on the same grid.
    """

    subject: str
    contrasts: tuple[str, ...]
    images: NDArray[np.float32]
    labels: NDArray[np.int16] | None = None


def load_volume(
    subject: Subject, spacing: float = 1.0, cache: str | os.PathLike[str] | None = None
) -> Volume:
    """Resample the images of a subject to one isotropic grid.

    The grid has the field of view and the centre of the first image, with its axes reordered (without
    rotation).  Intensities are scaled as by :func:`varreg.solve`.

    Parameters
    ----------
    subject : Subject
        Its images must coincide, see :meth:`learned.data.manifest.Subject.coinciding`.
    spacing : float
        Voxel size in mm, along every axis.
    cache : str or PathLike, optional
        Folder for the resampled arrays, ``.npy`` files named by paths, sizes and modification times of the images.

    Returns
    -------
    Volume

    Raises
    ------
    InputError, FileError
        If an image cannot be read, is not 3D or contains NaN, or the spacing is out of range.
    OverlapError
        If less than half of the first image is in the field of view of another.

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
    """Resample a label map to an isotropic grid by nearest neighbour.

    Parameters
    ----------
    path : str or PathLike
        3D image of integers from 0 to 32767.
    spacing, cache
        As for :func:`load_volume`.
    like : Path, optional
        Image that defines the grid; by default the label map itself.

    Returns
    -------
    (*T) int16 array
        Axes right, anterior, superior.

    Raises
    ------
    InputError, FileError
        If it cannot be read, is not such an image, or has no label in the field of view of `like`.
    """
    _check_spacing(spacing, "load_labels")

    def prepare() -> NDArray[np.int16]:
        image = _read(path, "path", "load_labels")
        labels = image.data.astype(np.int16)
        if not 0 <= image.data.min() <= image.data.max() <= 32767 or (labels != image.data).any():
            raise InputError(
                f"load_labels: `path` is {os.fspath(path)!r}, which must contain whole numbers from 0 "
                "to 32767; specify a label map, not an intensity image."
            )
        shown = image if like is None else _read(like, "like", "load_labels")
        grid = isotropic_grid(shown.grid, spacing)
        found = resampled_labels(labels, grid.shape, voxel_coordinates(grid, image.grid), "nearest")
        if like is not None and not found.any():
            raise InputError(
                f"load_labels: `path` is {os.fspath(path)!r}, which has no label in view of "
                f"{str(like)!r}; correct the headers, or specify the label map of that image."
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
    """Result of `prepare`, memory-mapped read-only from a ``.npy`` file of the folder `cache` if it exists there.

    The file name depends on `kind`, `spacing`, and the locations, sizes and modification times of the source
    files (`paths`).  Without `cache`, nothing is stored.

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
            f"({error}); check the files, or specify another folder as `cache`."
        ) from error
    key = json.dumps([_VERSION, kind, float(spacing), states])
    file = folder / f"{kind}-{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"
    if file.is_file():
        try:
            return np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            logger.warning("cache file %s is damaged (%s); recomputing it.", file, error)
    result = prepare()
    with atomic_path(file, overwrite=True) as temporary:
        np.save(temporary, result, allow_pickle=False)
    return result


def _check_spacing(spacing: float, function: str) -> None:
    if not isinstance(spacing, (int, float)) or not 0.05 <= spacing <= 50:
        raise InputError(f"{function}: `spacing` must be 0.05 to 50 mm; got {spacing!r}.")


def _read(path: str | os.PathLike[str], argument: str, function: str) -> Image:
    """3D image; malformed and truncated files are refused by the reader of :func:`varreg.solve`."""
    image = as_image(path, argument=argument, function=function)
    if image.grid.dim != 3:
        raise InputError(
            f"{function}: `{argument}` is {os.fspath(path)!r}, which has shape {image.grid.shape}; "
            "it must be a volume."
        )
    return image


@contextmanager
def _of_subject(subject: Subject) -> Iterator[None]:
    """Prefix error messages with the subject."""
    try:
        yield
    except VarregError as error:
        raise type(error)(f"subject {subject.id!r}: {error}") from error


def _refuse_apart(subject: Subject, images: list[Image]) -> None:
    """Raise if the fields of view of the images hardly overlap, since they are assumed to coincide."""
    for contrast, image in zip(subject.contrasts, images, strict=True):
        share = images[0].grid.overlap_fraction(image.grid)
        if share < _LEAST_OVERLAP:
            raise OverlapError(
                f"load_volume: only {share:.0%} of {subject.contrasts[0]!r} of subject {subject.id!r} "
                f"is in view of {contrast!r}; correct the headers or remove the contrast."
            )
