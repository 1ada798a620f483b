"""The grid of a template: mean position and size of the participants, independent of their order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..geometry.displacement import Float
from ..geometry.grid import Grid
from ..geometry.matrices import transform_points


def template_grid(
    grids: Sequence[Grid], maps: Sequence[Float], spacing: float | Sequence[float] | None = None
) -> Grid:
    """A grid that covers the fields of view of all participants.

    Its axes are the mean of theirs, its centre the mean of their centres, its voxel size the median of theirs.  If all
    participants share one grid, as after registration to a common space, it is that grid.

    Parameters
    ----------
    grids : sequence of Grid
        Grids of the participants' images.
    maps : sequence of (d + 1, d + 1) arrays
        Template world -> world of each participant.
    spacing : float or sequence of d floats, optional
        Voxel size in mm.

    Returns
    -------
    Grid

    Examples
    --------
    >>> grid = Grid.with_spacing((8, 8))
    >>> template_grid([grid, grid], [np.eye(3)] * 2, 2.0).shape
    (4, 4)
    """
    first = grids[0]
    if all(grid.same_space(first) for grid in grids):
        return first if spacing is None else _covering(first, spacing)
    backs = [np.linalg.inv(affine) for affine in maps]
    turned = [back[:-1, :-1] @ grid.direction for back, grid in zip(backs, grids, strict=True)]
    matched = [_matched(axes, turned[0]) for axes in turned]
    axes = _nearest_orthogonal(np.mean([found for found, _ in matched], axis=0))
    orders = [order for _, order in matched]
    centres = np.array(
        [transform_points(back, grid.centre) for back, grid in zip(backs, grids, strict=True)]
    )
    centre = centres.mean(axis=0)
    extents = np.array([grid.extent[order] for grid, order in zip(grids, orders, strict=True)])
    half = (np.abs((centres - centre) @ axes) + extents / 2).max(axis=0)
    sizes = np.median(
        [grid.spacing[order] for grid, order in zip(grids, orders, strict=True)], axis=0
    )
    sizes = sizes if spacing is None else np.broadcast_to(np.asarray(spacing, float), sizes.shape)
    return _centred(centre, axes, sizes, 2 * half)


def _covering(grid: Grid, spacing: float | Sequence[float]) -> Grid:
    sizes = np.broadcast_to(np.asarray(spacing, float), (grid.dim,))
    return _centred(grid.centre, grid.direction, sizes, grid.extent)


def _centred(centre: Float, axes: Float, spacing: Float, extent: Float) -> Grid:
    shape = tuple(int(n) for n in np.maximum(np.ceil(extent / spacing - 1e-6), 4))
    affine = np.eye(len(centre) + 1)
    affine[:-1, :-1] = axes * spacing
    affine[:-1, -1] = centre - affine[:-1, :-1] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def _matched(axes: Float, like: Float) -> tuple[Float, Float]:
    """The axes (columns) permuted and reversed to best match others; and the permutation."""
    agreement = like.T @ axes
    _, order = linear_sum_assignment(-np.abs(agreement))
    signs = np.sign(np.take_along_axis(agreement, order[:, None], axis=1)[:, 0])
    return axes[:, order] * signs, order


def _nearest_orthogonal(axes: Float) -> Float:
    left, _, right = np.linalg.svd(axes)
    return np.asarray(left @ right)
