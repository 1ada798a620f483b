"""Conversion of transforms to chains and back, and the inverse of a transform as a transform."""

from __future__ import annotations

import numpy as np

from ..errors import GeometryError
from ..geometry.displacement import Float
from ..geometry.grid import Grid
from ..transforms.inversion import default_tolerance
from ..transforms.transform import Transform
from .chain import AffineMap, Chain, FieldMap
from .plane import conjugated, plane_matrix

#: Tolerance of a written inverse, in units of the smallest fixed spacing.
TOLERANCE = 1e-3


def chain_of(transform: Transform) -> Chain:
    """The chain u, A of a transform, with u sampled at the fixed voxels.

    Parameters
    ----------
    transform : Transform

    Returns
    -------
    Chain
        In the world of other tools (:func:`varreg.exchange.plane.plane_matrix`).

    Raises
    ------
    GeometryError
        If it maps between slices that are not axial.

    Examples
    --------
    >>> grid = Grid.with_spacing((8, 8))
    >>> chain_of(Transform(grid, grid, np.eye(3), np.zeros((2, 3, 3)))).parts[0].vectors.shape
    (2, 8, 8)
    """
    step = plane_matrix(transform.frame, transform.fixed.dim)
    affine = AffineMap(conjugated(transform.affine, step))
    if transform.nodes is None:
        return Chain((affine,), transform.fixed.dim)
    grid = tool_grid(transform.fixed, transform.frame)
    vectors = np.tensordot(grid.direction, transform.u.astype(np.float64), axes=1)
    return Chain((FieldMap(grid, vectors, outside="edge"), affine), grid.dim)


def transform_of(chain: Chain, fixed: Grid, moving: Grid, frame: Float | None = None) -> Transform:
    """A chain as the map between two images.

    Exact if the chain is affine, or a field on the fixed grid followed by an affine map.  Otherwise A is
    the product of its affine parts, and u is the remaining displacement, sampled at the fixed voxels.

    Parameters
    ----------
    chain : Chain
        In the world of other tools.
    fixed, moving : Grid
        Grids of the two images; for slices, in the in-plane world of `frame`.
    frame : (4, 4) array, optional
        See :class:`varreg.Transform`.

    Returns
    -------
    Transform

    Raises
    ------
    GeometryError
        If dimensions differ, or the slices are not axial.

    Examples
    --------
    >>> grid = Grid.with_spacing((8, 8))
    >>> shift = AffineMap(np.array([[1.0, 0, 2], [0, 1, 0], [0, 0, 1]]))
    >>> transform_of(Chain((shift,), 2), grid, grid).points([0, 0]).tolist()
    [2.0, 0.0]
    """
    if chain.dim != fixed.dim:
        raise GeometryError(
            f"varreg.read_transform: the transform is {chain.dim}D and `fixed` is {fixed.dim}D."
        )
    step = plane_matrix(frame, fixed.dim)
    affine = conjugated(chain.affine, np.linalg.inv(step))
    nodes = None if chain.is_affine else _nodes(chain, tool_grid(fixed, frame))
    return Transform(fixed, moving, affine, nodes, "zero-mean", frame)


def composed(first: Transform, then: Transform) -> Transform:
    """The map x -> then(first(x)).

    Parameters
    ----------
    first : Transform
        From its fixed image to the fixed image of `then`.
    then : Transform

    Returns
    -------
    Transform
        From the fixed image of `first` to the moving image of `then`, sampled at the fixed voxels.

    Examples
    --------
    >>> grid = Grid.with_spacing((8, 8))
    >>> twice = Transform(grid, grid, np.diag([2.0, 1, 1]))
    >>> composed(twice, twice).affine[0, 0].item()
    4.0
    """
    chain = Chain((*chain_of(first).parts, *chain_of(then).parts), first.fixed.dim)
    return transform_of(chain, first.fixed, then.moving, first.frame)


def inverted(transform: Transform, tolerance: float = TOLERANCE) -> Transform:
    """The map moving -> fixed as a transform, with A^-1 as its affine part.

    Parameters
    ----------
    transform : Transform
    tolerance : float
        Tolerance of the inverse at every moving voxel, in units of the smallest fixed spacing.

    Returns
    -------
    Transform
        Its `fixed` is the moving grid.  Accurate at the moving voxels, within the tolerance.

    Raises
    ------
    GeometryError
        If the inverse does not reach the tolerance (the map folds).

    Examples
    --------
    >>> grid = Grid.with_spacing((8, 8))
    >>> inverted(Transform(grid, grid, np.diag([2.0, 1, 1]))).affine[0, 0].item()
    0.5
    """
    fixed, moving = transform.fixed, transform.moving
    back, nodes = np.linalg.inv(transform.affine), None
    if transform.nodes is not None:
        limit = tolerance * float(fixed.spacing.min())
        inverse = transform.inverse(min(limit, default_tolerance(transform)), iterations=1000)
        if not inverse.residual <= limit:
            raise GeometryError(
                f"varreg: the inverse is off by up to {inverse.residual:.3g} mm (at most {limit:.3g} "
                "mm is let through): the map folds or nearly does. Write the map itself and let the "
                "other tool invert it, or register with more smoothness."
            )
        # y -> A^-1 (y + d), d = A v: v along the fixed axes, d along the moving axes
        matrix = np.linalg.solve(moving.direction, transform.affine[:-1, :-1] @ fixed.direction)
        nodes = np.tensordot(matrix, inverse.v.astype(np.float64), axes=1)
    return Transform(moving, fixed, back, nodes, "zero-mean", transform.frame)


def tool_grid(grid: Grid, frame: Float | None) -> Grid:
    """A grid of an image in the world of other tools."""
    return Grid(grid.shape, plane_matrix(frame, grid.dim) @ grid.affine)


def _nodes(chain: Chain, fixed: Grid) -> Float:
    """u (mm along the fixed axes) at the fixed voxels, from a chain in the world of other tools."""
    first = chain.parts[0]
    if isinstance(first, FieldMap) and first.order == 1 and first.grid.same_space(fixed):
        if all(isinstance(part, AffineMap) for part in chain.parts[1:]):
            return np.linalg.solve(
                fixed.direction, first.vectors.reshape(fixed.dim, -1).astype(np.float64)
            ).reshape(first.vectors.shape)
    moved = chain.on_grid(fixed).reshape(fixed.dim, -1)
    back = AffineMap(np.linalg.inv(chain.affine)).points(moved)
    world = fixed.voxel_to_world(fixed.coordinates()).reshape(fixed.dim, -1)
    return np.linalg.solve(fixed.direction, back - world).reshape(fixed.dim, *fixed.shape)
