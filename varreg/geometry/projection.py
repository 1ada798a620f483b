"""Least-squares projection of a displacement from one displacement grid onto another."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .displacement import Float, axis_table, expand


def mean_and_largest(field: Float) -> tuple[float, float]:
    """Mean and largest length of the vectors of a field (d, ...), in its unit.

    Examples
    --------
    >>> mean_and_largest(np.array([[3.0, 0.0], [4.0, 0.0]]))
    (2.5, 5.0)
    """
    length = np.sqrt(np.square(field).sum(0))
    return float(length.mean()), float(length.max())


def project(
    nodes: Float,
    constraint: str,
    voxels: tuple[int, ...],
    onto: tuple[int, ...],
    onto_constraint: str,
) -> Float:
    r"""Least-squares fit of a displacement on another displacement grid, over the fixed voxels.

    Interpolation is separable, hence so is its pseudo-inverse, and each axis takes one
    product with a small matrix.  A displacement that the other grid can represent is preserved exactly.

    Parameters
    ----------
    nodes : (d, \*m) array
        Displacement at the nodes in mm, under `constraint`.
    constraint, onto_constraint : {"zero-mean", "zero-boundary"}
        Constraints before and after; the mean is not removed here.
    voxels : tuple of int
        (\*S), voxels of the fixed image.
    onto : tuple of int
        Nodes of the other grid.

    Returns
    -------
    (d, \*onto) array
        Displacement at the nodes of the other grid, mm.

    Examples
    --------
    >>> ramp = np.broadcast_to(np.arange(8.0), (2, 8, 8))
    >>> fewer = project(ramp, "zero-mean", (8, 8), (4, 4), "zero-mean")
    >>> fewer.shape
    (2, 4, 4)
    """
    if nodes.shape[1:] == onto and constraint == onto_constraint:
        return nodes
    fewer = expand(nodes, voxels, constraint)
    for axis, (n, m) in enumerate(zip(voxels, onto, strict=True), start=1):
        if n != m:
            inverse = _inverse(n, m, onto_constraint)
            fewer = np.moveaxis(np.tensordot(inverse, fewer, (1, axis)), 0, axis)
    return fewer


@lru_cache(maxsize=32)
def _inverse(voxels: int, nodes: int, constraint: str) -> Float:
    """Pseudo-inverse of the interpolation along one axis, (nodes, voxels)."""
    return np.linalg.pinv(interpolation(voxels, nodes, constraint))


def interpolation(voxels: int, nodes: int, constraint: str) -> Float:
    """Matrix of the interpolation from nodes to voxels along one axis, (voxels, nodes)."""
    table = axis_table(np.arange(voxels), voxels, nodes, constraint)
    weights = np.zeros((voxels, nodes))
    rows = np.arange(voxels)
    np.add.at(weights, (rows, table.index0), table.weight0)
    np.add.at(weights, (rows, table.index1), table.weight1)
    return weights
