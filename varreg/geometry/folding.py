"""Lower bound of det(id + grad u) over the whole field of view, including its border.

The kernels bound it over the cells between nodes.  The remaining half a node spacing at every face, where
the field is constant (zero mean) or decreases linearly to zero (zero boundary), is added here: see
:mod:`varreg.geometry.displacement`.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ..backends.arrays import Array
from ..backends.later import Later
from ..backends.namespace import contiguous

Bound = tuple[float, tuple[int, ...]]


def smallest_determinant(
    field: Array, spacing: Array, constraint: str, kernels: ModuleType, threads: int
) -> Bound:
    """Lower bound of det(id + grad u) over the field of view, and its cell.

    See :func:`smallest_determinant_later` for the parameters.
    """
    return smallest_determinant_later(field, spacing, constraint, kernels, threads).result()


def smallest_determinant_later(
    field: Array, spacing: Array, constraint: str, kernels: ModuleType, threads: int,
    wider: Array | None = None,
) -> Later[Bound]:  # fmt: skip
    """:func:`smallest_determinant` as a :class:`varreg.backends.later.Later`.

    Parameters
    ----------
    field : (d, *m) array
        u at the nodes, in the unit of `spacing`.
    spacing : (d,) array
        Node spacing.
    constraint : {"zero-mean", "zero-boundary"}
    kernels : module
        The backend.
    threads : int
    wider : (d, .. m + 2 ..) array, optional
        :func:`extended` of the field, if already computed.

    Returns
    -------
    Later of (float, tuple of int)
        The bound, exact in 2D, and the first node of its cell, or of the nearest cell for a position near the border.
    """
    last = np.array(field.shape[1:]) - 2

    def bound_of(part: Array, step: Array) -> Later[Bound]:
        found: Later[Bound] = kernels.later(kernels.determinant_bound, part, step, threads)
        return found

    if constraint == "zero-mean":  # constant continuation by one more node on either side
        inside = bound_of(extended(field) if wider is None else wider, spacing)
        return inside.then(lambda found: (found[0], _nearest(np.array(found[1]) - 1, last)))
    inside = bound_of(field, spacing)
    faces = list(itertools.product(range(len(spacing)), (0, -1)))
    # the node spacing of a strip is halved
    strips = [bound_of(_strip(field, axis, face), spacing / 2) for axis, face in faces]

    def smallest(found: Bound) -> Bound:
        bound, cell = found
        for (axis, face), strip in zip(faces, strips, strict=True):
            value, place = strip.result()
            if value < bound:
                where = (np.array(place) - 1) // 2
                where[axis] = 0 if face == 0 else last[axis]
                bound, cell = value, _nearest(where, last)
        return bound, cell

    return inside.then(smallest)


def extended(field: Array) -> Array:
    """Field padded by one node of its border values on every side: (d, .. m + 2 ..)."""
    shape = field.shape[1:]
    if not isinstance(field, np.ndarray):
        return np.pad(field, ((0, 0), *((1, 1) for _ in shape)), mode="edge")
    values = np.take(field.reshape(len(field), -1), _extension(shape), axis=1)
    return values.reshape(len(field), *(m + 2 for m in shape))


@lru_cache(maxsize=8)
def _extension(shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Index of the node repeated at each node of the extended field; np.pad takes ten times as long."""
    return np.pad(np.arange(np.prod(shape)).reshape(shape), 1, mode="edge").ravel()


def _nearest(cell: Array, last: Array) -> tuple[int, ...]:
    return tuple(int(c) for c in np.clip(cell, 0, last))


def _strip(field: Array, axis: int, face: int) -> Array:
    """Field between one face, where it is zero, and the nodes next to it: (d, .., 2, ..).

    Along the other axes the node spacing is halved, from face to face, so that the field is linear
    between the nodes.
    """
    edge = field[(slice(None),) * (axis + 1) + (slice(0, 1) if face == 0 else slice(-1, None),)]
    for other in range(len(field)):
        if other != axis:
            edge = _halved(edge, other + 1)
    layers = [np.zeros_like(edge), edge]
    return contiguous(np.concatenate(layers if face == 0 else layers[::-1], axis + 1))


def halved(field: Array) -> Array:
    """Field with zero boundary values on nodes of half the spacing, from face to face."""
    for axis in range(len(field)):
        field = _halved(field, axis + 1)
    return np.ascontiguousarray(field)


def _halved(field: Array, axis: int) -> Array:
    """Values along one axis at 2 m + 1 nodes: zero at the border, the nodes, and the means between them."""
    values = np.moveaxis(field, axis, 0)
    out = np.zeros_like(values, order="C", shape=(2 * len(values) + 1, *values.shape[1:]))
    out[1::2] = values
    out[2:-1:2] = (values[1:] + values[:-1]) / 2
    return np.moveaxis(out, 0, axis)
