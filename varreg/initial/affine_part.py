"""Separation of a displacement into affine part and deformation."""

from __future__ import annotations

import numpy as np

from ..geometry.affine_models import nearest_of_model
from ..geometry.displacement import Float
from ..geometry.grid import Grid
from ..geometry.matrices import transform_points
from ..geometry.resampling import voxel_matrix
from ..transforms.transform import Transform


def affine_and_rest(displacement: Float, grid: Grid) -> tuple[Float, Float]:
    """A total displacement as A(x + u(x)), with A the closest affine map.

    Parameters
    ----------
    displacement : (d, *S) array
        In voxels of `grid`, as for :attr:`varreg.Transform.displacement`.
    grid : Grid
        Grid of the fixed image.

    Returns
    -------
    affine : (d + 1, d + 1) array
        Fixed world -> moving world (mm): least squares over the voxels.
    u : (d, *S) array
        In mm along the axes of the array; its mean is zero.

    Examples
    --------
    >>> affine, u = affine_and_rest(np.ones((2, 4, 4)), Grid.with_spacing((4, 4), 2.0))
    >>> affine[:2, 2].tolist(), float(abs(u).max())
    ([2.0, 2.0], 0.0)
    """
    d, axes = grid.dim, tuple(range(1, grid.dim + 1))
    middle = (np.array(grid.shape) - 1) / 2
    change = np.zeros((d + 1, d + 1))
    for axis, n in enumerate(grid.shape):
        offset = np.arange(n) - middle[axis]
        others = tuple(k for k in axes if k != axis + 1)
        # voxels form a lattice, so that the coordinates are orthogonal regressors
        change[:d, axis] = (
            displacement.mean(axis=others) @ offset / max(float(offset @ offset), 1.0)
        )
    change[:d, d] = displacement.mean(axis=axes) - change[:d, :d] @ middle
    voxel_map = np.eye(d + 1) + change
    column = (d,) + (1,) * d
    rest = displacement - displacement.mean(axis=axes).reshape(column)
    for axis, n in enumerate(grid.shape):  # per axis: the coordinates of all voxels are not stored
        along = [1] * d
        along[axis] = n
        offset = (np.arange(n) - middle[axis]).reshape(along)
        rest -= change[:d, axis].reshape(column) * offset
    if np.linalg.matrix_rank(voxel_map) == d + 1:
        rest = np.tensordot(np.linalg.inv(voxel_map[:d, :d]), rest, 1)
    affine = np.eye(d + 1) + grid.affine @ change @ np.linalg.inv(grid.affine)
    rest *= grid.spacing.reshape(column)
    return affine, rest


def with_affine_part(transform: Transform) -> Transform:
    """Move the affine part of a dense displacement field into A; the map is unchanged.

    Dense fields often include the affine map, unlike u on the coarser grids of the solver.
    """
    grid, nodes = transform.fixed, transform.nodes
    if nodes is None or nodes.shape[1:] != grid.shape:
        return transform
    # the least-squares fit is linear and reproduces affine maps: the affine part of A(x + u) is A times that of x + u
    change, rest = affine_and_rest(nodes / grid.spacing.reshape((-1,) + (1,) * grid.dim), grid)
    affine = transform.affine @ change
    return Transform(grid, transform.moving, affine, rest, frame=transform.frame)


def with_model(transform: Transform, model: str) -> Transform:
    """The same map, with the closest affine map of a given model as A and the remainder in u.

    Parameters
    ----------
    transform : Transform
        With nodes.
    model : {"translation", "rigid", "similarity", "affine"}

    Returns
    -------
    Transform
        `transform` itself if its affine part already belongs to the model.
    """
    grid = transform.fixed
    affine = nearest_of_model(transform.affine, model, grid)
    if np.allclose(affine, transform.affine, rtol=0, atol=1e-9):
        return transform
    u = transform.u.astype(np.float64)
    change = _moved(np.linalg.solve(affine, transform.affine), grid, u) - grid.coordinates()
    u = change * grid.spacing.reshape((-1,) + (1,) * grid.dim)
    return Transform(grid, transform.moving, affine, u, frame=transform.frame)


def _moved(affine: Float, grid: Grid, u: Float) -> Float:
    r"""A(x + u(x)) at every voxel, in voxels of the grid; u (d, \*S) in mm along its axes."""
    matrix = voxel_matrix(grid.affine, affine, grid.affine)
    voxels = u / grid.spacing.reshape((-1,) + (1,) * grid.dim)
    return transform_points(matrix, grid.coordinates() + voxels)
