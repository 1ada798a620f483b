r"""The mean of the maps from a template to participants, and its subtraction from the maps.

The map of each participant is :math:`\varphi_i = A_i \circ (\mathrm{id} + u_i)`, template -> participant.  Their mean is

.. math:: \bar\varphi = \bar A \circ (\mathrm{id} + \bar u)

with the exponential barycentre of the affine parts (:mod:`varreg.template.barycentre`) and the arithmetic mean of the
displacements.  A template is unbiased when this mean is the identity (Guimond, Meunier and Thirion 2000,
doi:10.1006/cviu.1999.0815; Avants et al. 2010, doi:10.1016/j.neuroimage.2009.09.062).  One step suffices: the new
template is the old one mapped by the mean, and the maps from there are
:math:`\psi_i = \varphi_i \circ \bar\varphi^{-1}`, that is, with :math:`x = \bar\varphi^{-1}(y)`,

.. math:: \psi_i(y) = A_i \bar A^{-1} (y + u'_i(y)), \qquad u'_i(y) = \bar A (x + u_i(x)) - y .

:math:`\sum_i u'_i(y) = n (\bar\varphi(x) - y) = 0` at every node, and the barycentre of the affine parts is the identity:
exactly, not only to first order as with subtraction of the mean displacement.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import GeometryError
from ..geometry.displacement import Float, expand
from ..geometry.grid import Grid
from ..geometry.matrices import transform_points
from ..transforms.fixed_point import fixed_point
from ..transforms.inversion import default_tolerance
from ..transforms.transform import Transform
from .barycentre import mean_affine

#: Maximum number of iterations for the inverse of a mean map; means are smooth, and a few dozen suffice.
ITERATIONS = 500


def mean_map(maps: Sequence[Transform], names: Sequence[str] = ()) -> Transform:
    """The mean of maps with one fixed grid; its moving grid is the same, as the participants' worlds are averaged in it.

    Parameters
    ----------
    maps : sequence of Transform
        Maps of one fixed grid, with or without nodes.
    names : sequence of str, optional
        Names of the participants, for messages.

    Returns
    -------
    Transform
    """
    first = maps[0]
    affine = mean_affine([each.affine for each in maps], names)
    nodes = None
    shape = node_shape(maps)
    if shape is not None:
        nodes = np.mean([nodes_of(each, shape) for each in maps], axis=0)
    return Transform(first.fixed, first.fixed, affine, nodes, first.constraint, first.frame)


def without_mean(
    maps: Sequence[Transform], mean: Transform, grid: Grid | None = None
) -> list[Transform]:
    """The maps after subtraction of their mean, i.e. with the identity as mean.

    Parameters
    ----------
    maps : sequence of Transform
    mean : Transform
        Result of :func:`mean_map`.
    grid : Grid, optional
        Grid of the new template, by default that of the old one.  Another grid is supported for affine maps only.

    Returns
    -------
    list of Transform

    Raises
    ------
    GeometryError
        If the mean map cannot be inverted because it folds.
    """
    here = mean.fixed if grid is None else grid
    back = np.linalg.inv(mean.affine)
    if mean.nodes is None:
        return [
            Transform(here, each.moving, each.affine @ back, None, each.constraint, each.frame)
            for each in maps
        ]
    shape = mean.nodes.shape[1:]
    places = here.resized(shape)
    y = places.voxel_to_world(places.coordinates()).reshape(here.dim, -1)
    x = _pre_image(mean, y)
    voxels = mean.fixed.world_to_voxel(x)
    found = []
    for each in maps:
        moved = x + each.fixed.direction @ each.u_at(voxels)
        change = transform_points(mean.affine, moved) - y
        nodes = np.linalg.solve(here.direction, change).reshape(here.dim, *shape)
        affine = each.affine @ back
        found.append(Transform(here, each.moving, affine, nodes, each.constraint, each.frame))
    return found


def node_shape(maps: Sequence[Transform]) -> tuple[int, ...] | None:
    """The shape of the finest displacement grid of several maps; None if all are affine."""
    shapes = [each.nodes.shape[1:] for each in maps if each.nodes is not None]
    return max(shapes, key=np.prod) if shapes else None


def nodes_of(each: Transform, shape: tuple[int, ...]) -> Float:
    """u of a map, interpolated at the nodes of a grid of another shape."""
    if each.nodes is None:
        return np.zeros((each.fixed.dim, *shape))
    if each.nodes.shape[1:] == shape:
        return each.nodes
    return expand(each.nodes, shape, each.constraint)


def _pre_image(mean: Transform, y: Float) -> Float:
    """x (world) with mean(x) = y."""
    w = mean.fixed.world_to_voxel(transform_points(np.linalg.inv(mean.affine), y))
    tolerance = 0.1 * default_tolerance(mean)
    v, residual, _ = fixed_point(mean.deformation, w, tolerance, ITERATIONS, "fixed-point")
    if residual.max() > 100 * tolerance:
        raise GeometryError(
            f"varreg.build_template: the mean map folds and has no inverse (residual {residual.max():.2g} mm); raise "
            "`smoothness_weight`, or begin with more affine rounds."
        )
    return mean.fixed.voxel_to_world(w + v / mean.fixed.spacing[:, None])
