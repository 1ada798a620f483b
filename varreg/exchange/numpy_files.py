"""NumPy: the total displacement in voxels (.npy), or all parts with their grids (.npz)."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FileError
from ..geometry.grid import Grid
from ..transforms.transform import Transform
from .files import FUNCTION, explained

_NAMES = ("u", "affine", "fixed_affine", "moving_affine", "fixed_shape", "moving_shape")
_DEFLATE = 1032  # the largest factor by which DEFLATE can expand


def write_numpy(path: Path, transform: Transform) -> None:
    """Write a transform as NumPy arrays.

    Parameters
    ----------
    path : Path
        ``.npy``: ``Transform.displacement``, (d, *S) in voxels of the fixed array.
        ``.npz``: that as `displacement`; `u` (d, *S) in mm along the fixed axes; `affine`; and
        `fixed_affine`, `fixed_shape`, `moving_affine`, `moving_shape` of the two grids.
    transform : Transform
    """
    with open(path, "wb") as stream:
        if path.suffix.lower() == ".npy":
            np.save(stream, transform.displacement, allow_pickle=False)
            return
        fixed, moving = transform.fixed, transform.moving
        np.savez_compressed(
            stream,
            allow_pickle=False,
            displacement=transform.displacement,
            u=transform.u,
            affine=transform.affine,
            fixed_affine=fixed.affine,
            fixed_shape=np.array(fixed.shape),
            moving_affine=moving.affine,
            moving_shape=np.array(moving.shape),
        )


def read_numpy(path: Path, fixed: Grid, moving: Grid, frame: Any = None) -> Transform:
    """Read what :func:`write_numpy` wrote, or any (d, *S) displacement in fixed voxels.

    Parameters
    ----------
    path : Path
        ``.npy`` or ``.npz``; pickled objects are never loaded.
    fixed, moving : Grid
        Of the two images.
    frame : (4, 4) array or None
        Of :class:`varreg.Transform`.

    Returns
    -------
    Transform
        Exact at the fixed voxels.

    Raises
    ------
    FileError
        If it is damaged, holds something else, or belongs to a fixed image of another shape.
    """
    with explained(path):
        if path.suffix.lower() == ".npy":
            # a map of the file: a header that claims more than there is fails before memory is taken
            stored = np.load(path, mmap_mode="r", allow_pickle=False)
            return _of_displacement(path, stored, fixed, moving, frame)
        _refuse_claim(path)
        with np.load(path, allow_pickle=False) as archive:
            content = {name: archive[name] for name in archive.files if name != "displacement"}
            if not set(_NAMES) <= set(content):
                if "displacement" in archive.files:
                    return _of_displacement(path, archive["displacement"], fixed, moving, frame)
                raise FileError(
                    f"{FUNCTION}: {str(path)!r} holds {sorted(archive.files)} and no `displacement`."
                )
    own = Grid(content["fixed_shape"].tolist(), content["fixed_affine"])
    _refuse_shape(path, content["u"], own)
    other = Grid(content["moving_shape"].tolist(), content["moving_affine"])
    nodes = content["u"] if np.any(content["u"]) else None
    whole = Transform(own, other, content["affine"], nodes, "zero-mean")
    if own.same_space(fixed):
        return Transform(fixed, moving, whole.affine, nodes, "zero-mean", frame)
    if frame is not None:
        raise FileError(f"{FUNCTION}: {str(path)!r} lies on another slice than `fixed`.")
    from .composing import chain_of, transform_of

    return transform_of(chain_of(whole), fixed, moving)


def _of_displacement(
    path: Path, stored: NDArray[Any], fixed: Grid, moving: Grid, frame: Any
) -> Transform:
    """Voxels of the fixed array -> mm along its axes."""
    _refuse_shape(path, stored, fixed)
    values = np.array(stored, dtype=np.float64)
    nodes = values * fixed.spacing.reshape(-1, *(1,) * fixed.dim)
    return Transform(fixed, moving, np.eye(fixed.dim + 1), nodes, "zero-mean", frame)


def _refuse_shape(path: Path, stored: NDArray[Any], fixed: Grid) -> None:
    expected = (fixed.dim, *fixed.shape)
    if stored.shape != expected or stored.dtype.kind not in "fiu":
        raise FileError(
            f"{FUNCTION}: {str(path)!r} holds {stored.dtype} of shape {stored.shape}; the fixed "
            f"image wants real numbers of shape {expected}, components first."
        )


def _refuse_claim(path: Path) -> None:
    """Raise if an archive claims to be larger than a file of its size can be."""
    with zipfile.ZipFile(path) as archive:
        claimed = sum(entry.file_size for entry in archive.infolist())
    if claimed > path.stat().st_size * _DEFLATE:
        raise FileError(f"{FUNCTION}: {str(path)!r} claims {claimed} bytes; it is damaged.")
