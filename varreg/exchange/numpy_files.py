"""NumPy: the total displacement in voxels (.npy), or all parts with their grids (.npz)."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import FileError
from ..geometry.displacement import Float
from ..geometry.grid import Grid
from ..transforms.transform import Transform
from .files import FUNCTION, explained

_NAMES = ("u", "affine", "fixed_affine", "moving_affine", "fixed_shape", "moving_shape")
_DEFLATE = 1032  # largest expansion factor of DEFLATE


def write_numpy(path: Path, transform: Transform) -> None:
    """Write a transform as NumPy arrays.

    Parameters
    ----------
    path : Path
        ``.npy``: ``Transform.displacement``, (d, *S) in voxels of the fixed array.
        ``.npz``: the same as `displacement`; `u` (d, *S) in mm along the fixed axes; `affine`; and
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
        Grids of the two images.
    frame : (4, 4) array or None
        See :class:`varreg.Transform`.

    Returns
    -------
    Transform
        Exact at the fixed voxels.

    Raises
    ------
    FileError
        If it is damaged, has other content, or belongs to a fixed image of another shape.
    """
    with explained(path):
        if path.suffix.lower() == ".npy":
            # memory-mapped: a header that claims more than the file holds fails before memory is allocated
            stored = np.load(path, mmap_mode="r", allow_pickle=False)
            return _of_displacement(path, stored, fixed, moving, frame)
        if not zipfile.is_zipfile(path):
            raise FileError(f"{FUNCTION}: {str(path)!r} is no archive of arrays.")
        with np.load(path, allow_pickle=False) as archive:
            if set(_NAMES) <= set(archive.files):
                own, other, affine, u = _whole(path, archive, fixed.dim)
            elif "displacement" in archive.files:
                stored = _member(path, archive, "displacement", (fixed.dim, *fixed.shape))
                return _of_displacement(path, stored, fixed, moving, frame)
            else:
                raise FileError(
                    f"{FUNCTION}: {str(path)!r} holds {sorted(archive.files)[:9]} and no `displacement`."
                )
    nodes = u if np.any(u) else None
    whole = Transform(own, other, affine, nodes, "zero-mean")
    if own.same_space(fixed):
        return Transform(fixed, moving, whole.affine, nodes, "zero-mean", frame)
    if frame is not None:
        raise FileError(f"{FUNCTION}: {str(path)!r} lies in another plane than `fixed`.")
    from .composing import chain_of, transform_of

    return transform_of(chain_of(whole), fixed, moving)


def _whole(path: Path, archive: Any, dim: int) -> tuple[Grid, Grid, Float, NDArray[Any]]:
    """Both grids, A, and u at the fixed voxels."""
    small = {name: (dim,) if name.endswith("_shape") else (dim + 1,) * 2 for name in _NAMES}
    read = {name: _member(path, archive, name, small[name]) for name in _NAMES if name != "u"}
    own = Grid(read["fixed_shape"].tolist(), read["fixed_affine"])
    other = Grid(read["moving_shape"].tolist(), read["moving_affine"])
    return own, other, read["affine"], _member(path, archive, "u", (dim, *own.shape))


def _of_displacement(
    path: Path, stored: NDArray[Any], fixed: Grid, moving: Grid, frame: Any
) -> Transform:
    """Convert a displacement in voxels of the fixed array to mm along its axes."""
    _refuse_shape(path, stored, (fixed.dim, *fixed.shape))
    values = np.array(stored, dtype=np.float64)
    nodes = values * fixed.spacing.reshape(-1, *(1,) * fixed.dim)
    return Transform(fixed, moving, np.eye(fixed.dim + 1), nodes, "zero-mean", frame)


def _refuse_shape(path: Path, stored: Any, shape: tuple[int, ...], name: str = "") -> None:
    if stored.shape != shape or stored.dtype.kind not in "fiu":
        raise FileError(
            f"{FUNCTION}: {str(path)!r} holds {name}{stored.dtype} of shape {stored.shape}; the fixed "
            f"image requires real numbers of shape {shape}, components first."
        )


class _Header(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def _member(path: Path, archive: Any, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """An array of an archive, if it has the expected shape, which is verified before decompression."""
    member = f"{name}.npy" if f"{name}.npy" in archive.zip.namelist() else name
    with archive.zip.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        one = version == (1, 0)
        read = np.lib.format.read_array_header_1_0 if one else np.lib.format.read_array_header_2_0
        found, _, dtype = read(stream)
    _refuse_shape(path, _Header(found, dtype), shape, f"`{name}`, ")
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > path.stat().st_size * _DEFLATE:
        raise FileError(f"{FUNCTION}: {str(path)!r} claims {claimed} bytes; it is damaged.")
    return np.asarray(archive[name])
