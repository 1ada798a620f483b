"""Resampling of images, slab by slab.

The boundary rule is the same everywhere.  An image of n voxels along an axis covers [-1/2, n - 1/2];
inside this field of view the border value is continued constantly from the outermost voxel centre to the
border, and outside the value is `fill`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..backends.namespace import HOST, beside, contiguous, empty, kernels_for, scipy_for
from ..backends.threads import available_threads, each
from ..errors import InputError
from .displacement import Float

INTERPOLATIONS = ("linear", "nearest", "cubic")
ORDER = {"nearest": 0, "cubic": 3}
# Voxels per slab: few enough for the cache, enough to amortise the overhead of NumPy.
SLAB_VOXELS = 2**17
# On a device: few launches, but no more memory for coordinates than a registration uses.
DEVICE_SLAB_VOXELS = 2**22

Coordinates = Callable[[slice], Float]  # slab of the target -> (d, k, ...) source voxel coordinates


class Vectors(NamedTuple):
    """A vector field on a slab and the matrix that converts it to voxels of the source."""

    matrix: Float  # (d, d)
    field: Float  # (d, k, ...)


def slabs(shape: tuple[int, ...], voxels: int = SLAB_VOXELS) -> Iterator[slice]:
    """Consecutive slices of the first axis, with about `voxels` voxels each."""
    thickness = max(1, voxels // max(1, int(np.prod(shape[1:]))))
    for start in range(0, shape[0], thickness):
        yield slice(start, min(start + thickness, shape[0]))


def voxel_matrix(start: Float, world_map: Float, end: Float) -> Float:
    """Voxel -> voxel matrix between two grids, from a map between their world spaces.

    Parameters
    ----------
    start, end : (d+1, d+1) array
        Voxel -> world (mm) of the two grids.
    world_map : (d+1, d+1) array
        World -> world (mm), from the first grid to the second.

    Returns
    -------
    (d+1, d+1) array, end^-1 world_map start.

    Examples
    --------
    >>> import numpy as np
    >>> voxel_matrix(np.eye(3), np.eye(3), np.diag([2.0, 2.0, 1.0]))[0].tolist()
    [0.5, 0.0, 0.0]
    """
    if np.array_equal(start, end):
        # In this form the identity is exact, without rounding errors.
        identity = np.eye(len(start))
        return identity + np.linalg.solve(end, (world_map - identity) @ start)
    return np.linalg.solve(end, world_map @ start)


def affine_coordinates(
    matrix: Float, shape: tuple[int, ...], slab: slice | tuple[slice, ...], vectors: Vectors | None = None,
    like: Any = HOST,
) -> Float:  # fmt: skip
    """Affinely mapped voxel indices of a slab or tile, plus a linearly mapped vector field.

    Parameters
    ----------
    matrix : (d, d+1) or (d+1, d+1) array
        Maps the index i (voxel) to matrix[:d, :d] i + matrix[:d, d].
    shape : tuple of int
        (*S), shape of the whole grid.
    slab : slice or tuple of slices
        Slice of the first axis, or of every axis, with start and stop.
    vectors : Vectors or None
        Adds vectors.matrix @ vectors.field.
    like : array
        Array whose device is used, the device of the vectors.

    Returns
    -------
    (d, k, ...) float32 array.

    Examples
    --------
    >>> import numpy as np
    >>> affine_coordinates(np.eye(3), (4, 2), slice(2, 4))[0]
    array([[2., 2.],
           [3., 3.]], dtype=float32)
    """
    dim = len(shape)
    tile = slab if isinstance(slab, tuple) else (slab, *(slice(0, n) for n in shape[1:]))
    ranges = [np.arange(part.start, part.stop) for part in tile]
    # (k, 1, 1), (1, n, 1), (1, 1, n): broadcast, without full index arrays
    indices = [beside(index, like) for index in np.ix_(*ranges)]
    result = empty((dim, *map(len, ranges)), np.float32, like)
    for row, out in enumerate(result):
        terms = [matrix[row, axis] * indices[axis] for axis in range(dim)]
        rest = sum(terms[:-1], start=matrix[row, dim])
        np.add(rest.astype(np.float32), terms[-1].astype(np.float32), out=out)
        if vectors is not None:
            for weight, component in zip(vectors.matrix[row], vectors.field, strict=True):
                if weight != 0:
                    out += np.float32(weight) * component
    return result


def warp(
    data: Float,
    shape: tuple[int, ...],
    coordinates: Coordinates,
    interpolation: str,
    fill: float,
    threads: int | None = None,
    kernels: ModuleType | None = None,
) -> NDArray[np.float32]:
    """Interpolate an image at coordinates computed slab by slab.

    Parameters
    ----------
    data : (*T) array
        The source image, on the host or on a device.
    shape : tuple of int
        (*S), shape of the target grid.
    coordinates : callable
        Slab of the target -> (d, k, ...) source voxel coordinates, on the device of the source.
    interpolation : {"linear", "nearest", "cubic"}
        "cubic" is interpolation by cubic B-splines with mirror boundary conditions.
    fill : float
        Value outside the field of view of the source.
    threads : int, optional
        All available by default.
    kernels : module, optional
        Backend of linear interpolation; by default the compiled backend of the device of the source.

    Returns
    -------
    (*S) float32 array, on the device of the source.
    """
    source = contiguous(data, np.float32)
    if interpolation == "linear":
        return _warp_linear(source, shape, coordinates, fill, threads, kernels)
    ndimage = scipy_for(source, "ndimage")
    order = ORDER[interpolation]
    ends = "mirror" if order > 1 else "nearest"
    if order > 1:
        source = ndimage.spline_filter(source, order, output=np.float32, mode="mirror")
    result = empty(shape, np.float32, source)

    def read(slab: slice) -> None:
        points = coordinates(slab)
        absent = outside(points, source.shape)
        clamp(points, source.shape)
        ndimage.map_coordinates(
            source, points, output=result[slab], order=order, mode=ends, prefilter=False
        )
        result[slab][absent] = fill

    each_slab(read, shape, threads, source)
    return result


def _warp_linear(
    source: NDArray[np.float32], shape: tuple[int, ...], coordinates: Coordinates, fill: float,
    threads: int | None, kernels: ModuleType | None,
) -> NDArray[np.float32]:  # fmt: skip
    """:func:`warp` by a compiled loop, ten times as fast as the generic implementation."""
    compiled: Any = kernels_for(source) if kernels is None else kernels
    volume = compiled.resident(source if source.ndim == 3 else source[None])
    result = empty(shape, np.float32, source)
    flat, size = result.reshape(-1), int(np.prod(shape[1:]))

    def read(slab: slice) -> None:
        points = contiguous(coordinates(slab), np.float32)
        out = flat[slab.start * size : slab.stop * size]
        compiled.read_linear(volume, points.reshape(len(points), -1), np.float32(fill), out)

    each_slab(read, shape, threads, source)
    return result


def each_slab(
    work: Callable[[slice], None], shape: tuple[int, ...], threads: int | None = None, like: Any = HOST
) -> None:  # fmt: skip
    """Call `work` for every slab, in parallel threads; the calls must be independent.

    All available threads are used by default.  For arrays on a device (`like`) the slabs are processed sequentially.
    """
    if not isinstance(like, np.ndarray):
        with kernels_for(like).device.current():
            for slab in slabs(shape, DEVICE_SLAB_VOXELS):
                work(slab)
        return
    each(work, slabs(shape), threads or available_threads())


def on_every_slab(field: Coordinates, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Field at every voxel of a grid (*S) from a function of slabs: (d, *S) float32, on the host."""
    result = np.empty((len(shape), *shape), dtype=np.float32)

    def fill(slab: slice) -> None:
        result[:, slab] = field(slab)

    each_slab(fill, shape)
    return result


def outside(points: Float, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mask of points (d, ...), in voxels, outside the field of view [-1/2, n - 1/2] of an array."""
    absent = np.zeros_like(points[0], dtype=bool)
    for coordinate, n in zip(points, shape, strict=True):
        absent |= ~(
            (coordinate >= -0.5) & (coordinate <= n - 0.5)
        )  # negated, so that NaN is outside
    return absent


def clamp(points: Float, shape: tuple[int, ...]) -> None:
    """Clamp points (d, ...), in voxels, to the range of voxel centres, in place.

    NaN becomes 0, because it must not be used as an index.
    """
    for coordinate, n in zip(points, shape, strict=True):
        np.fmax(coordinate, 0, out=coordinate)
        np.minimum(coordinate, n - 1, out=coordinate)


def check_choice(value: Any, choices: tuple[str, ...], function: str, argument: str) -> None:
    """Raise :class:`varreg.errors.InputError` if a value is not one of the choices."""
    if not isinstance(value, str) or value not in choices:
        known = ", ".join(map(repr, choices))
        raise InputError(f"{function}: `{argument}` must be one of {known}; got {value!r}.")
