"""Displacement at the voxels of the fixed image, slab by slab: values and det(id + grad u)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends.namespace import beside
from ..errors import GeometryError, InputError
from .displacement import Float, axis_table, expand
from .matrices import LONGEST
from .resampling import slabs


def checked_nodes(nodes: Any, dim: int) -> NDArray[np.float64]:
    """Validate node values and return a read-only float64 view of them.

    Parameters
    ----------
    nodes : (d, *m) array
        Values at the nodes of the displacement grid.
    dim : int
        Required dimension d.

    Returns
    -------
    (d, *m) float64 array
        Not writeable.

    Raises
    ------
    InputError
        If `nodes` is not an array of real numbers.
    GeometryError
        If the shape is wrong, or a value is not finite or impossibly large.

    Examples
    --------
    >>> import numpy as np
    >>> checked_nodes(np.zeros((2, 3, 3)), 2).flags.writeable
    False
    """
    try:
        array = np.asarray(nodes, dtype=np.float64).view()
    except (TypeError, ValueError) as error:
        raise InputError("varreg.Transform: `nodes` is not an array of real numbers.") from error
    if array.ndim != dim + 1 or array.shape[0] != dim or 0 in array.shape:
        raise GeometryError(
            f"varreg.Transform: `nodes` must have shape ({dim}, *m) with {dim} axes m; "
            f"got {array.shape}."
        )
    refuse_impossible(array, "varreg.Transform: `nodes`")
    array.flags.writeable = False
    return array


def refuse_impossible(vectors: NDArray[Any], name: str) -> None:
    """Raise if a value is not finite, or larger than any length in an image.

    Parameters
    ----------
    vectors : array
        Values in mm or voxels.
    name : str
        Function and argument, for the message.

    Raises
    ------
    GeometryError
        If a value is NaN, infinite, or larger than `LONGEST` in magnitude.

    Examples
    --------
    >>> import numpy as np
    >>> refuse_impossible(np.array([0.5, 1e30]), "f: `field`")
    Traceback (most recent call last):
    ...
    varreg.errors.GeometryError: f: `field` has a value of 1e+30, above the limit of 1e+10 mm.
    """
    if not vectors.size:
        return
    longest = max(float(vectors.max()), -float(vectors.min()))
    if not np.isfinite(longest):
        raise GeometryError(f"{name} holds NaN or infinity.")
    if longest > LONGEST:
        raise GeometryError(
            f"{name} has a value of {longest:g}, above the limit of {LONGEST:g} mm."
        )


def expand_slab(
    nodes: Float, shape: tuple[int, ...], constraint: str, slab: slice
) -> NDArray[np.float32]:
    """Field at the voxels of a slab, bitwise equal to this part of the whole field in float32.

    Parameters
    ----------
    nodes : (d, *m) array
        Values at the nodes of the displacement grid.
    shape : tuple of int
        (*S), voxels of the fixed image.
    constraint : {"zero-mean", "zero-boundary"}
        See :mod:`varreg.geometry.displacement`.
    slab : slice
        Slice of the first axis, with start and stop.

    Returns
    -------
    (d, k, ...) float32 array in the unit of `nodes`, on the same device.

    Examples
    --------
    >>> import numpy as np
    >>> expand_slab(np.ones((2, 3, 3)), (6, 6), "zero-mean", slice(2, 4)).shape
    (2, 2, 6)
    """
    thickness, count = slab.stop - slab.start, nodes.shape[1]
    rest = (thickness, *shape[1:])
    if count == shape[0]:
        return expand(nodes[:, slab].astype(np.float32), rest, constraint)
    table = axis_table(np.arange(slab.start, slab.stop), shape[0], count, constraint)
    along = (-1,) + (1,) * (len(shape) - 1)
    index0, index1, weight0, weight1 = (beside(part, nodes) for part in table)
    lower = nodes[:, index0].astype(np.float32) * weight0.reshape(along)
    upper = nodes[:, index1].astype(np.float32) * weight1.reshape(along)
    return expand(lower + upper, rest, constraint)


def determinant(
    nodes: Float, shape: tuple[int, ...], spacing: Float, constraint: str
) -> NDArray[np.float32]:
    """det(id + grad u) at every voxel by central differences, one-sided at the border.

    Parameters
    ----------
    nodes, shape, constraint
        As in :func:`expand_slab`; `nodes` in mm along the axes of the array.
    spacing : (d,) array
        Voxel size in mm.

    Returns
    -------
    (*S) float32 array, dimensionless.

    Examples
    --------
    >>> import numpy as np
    >>> u = np.zeros((2, 4, 4))
    >>> u[0] = 0.5 * np.arange(4)[:, None]
    >>> float(determinant(u, (4, 4), np.ones(2), "zero-mean")[0, 0])
    1.5
    """
    result = np.empty(shape, dtype=np.float32)
    for slab in slabs(shape):
        # One more voxel on either side, for central differences at the ends of the slab.
        start = max(slab.start - 1, 0)
        wider = slice(start, min(slab.stop + 1, shape[0]))
        u = expand_slab(nodes, shape, constraint, wider)
        result[slab] = _determinant(u, spacing)[slab.start - start :][: slab.stop - slab.start]
    return result


def _determinant(u: Float, spacing: Float) -> Float:
    """det(id + grad u) at the voxels of a field (d, ...)."""
    g = [[_derivative(part, spacing, axis) for axis in range(len(u))] for part in u]
    for axis in range(len(u)):
        g[axis][axis] += 1
    if len(u) == 2:
        return g[0][0] * g[1][1] - g[0][1] * g[1][0]
    (a, b, c), (d, e, f), (h, i, j) = g
    return a * (e * j - f * i) - b * (d * j - f * h) + c * (d * i - e * h)


def _derivative(values: Float, spacing: Float, axis: int) -> Float:
    """Derivative by central differences; 0 along an axis of one voxel."""
    if values.shape[axis] == 1:
        return np.zeros_like(values)
    return np.asarray(np.gradient(values, values.dtype.type(spacing[axis]), axis=axis))
