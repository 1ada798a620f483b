"""Matching points as arguments of ``solve``: arrays or files, paired by name or by order."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends.arrays import Array
from ..energy.points import MatchedPoints
from ..errors import InputError
from ..geometry.grid import Grid
from ..images.voxels import real_array
from ..io.point_files import PointList, read_points
from ..optimise.point_report import PointReport

FUNCTION = "varreg.solve"
#: Tolerance, in voxels, for points outside the field of view.
MARGIN = 0.5


@dataclass(frozen=True)
class Guides:
    """Matching points with names.

    Attributes
    ----------
    points : MatchedPoints
        Positions and weights.
    names : tuple of str
        Name of each point, or its number from 1.
    """

    points: MatchedPoints
    names: tuple[str, ...]

    def reports(self, there: Array) -> tuple[PointReport, ...]:
        """Distances of the points before and after registration, with the mapped fixed points `there`, (d, n) world mm."""
        points = self.points
        before, after = (np.linalg.norm(at - points.moving, axis=0) for at in (points.fixed, there))
        columns = zip(self.names, points.weights, before, after, strict=True)
        return tuple(PointReport(name, *map(float, figures)) for name, *figures in columns)


def as_guides(
    moving_points: Any, fixed_points: Any, weights: Any, moving: Grid, fixed: Grid
) -> Guides | None:
    """Matching points from the arguments of ``solve``; None without points.

    Parameters
    ----------
    moving_points, fixed_points : None, (n, d) array or path
        World RAS+ mm; see :func:`varreg.io.point_files.read_points`.
    weights : None or (n,) array
        By default the weights in the files, else 1.
    moving, fixed : Grid
        Grids of the two images.

    Returns
    -------
    Guides or None

    Raises
    ------
    InputError, FileError
        If only one list is given, the numbers of points differ, or a point lies outside its image.
    """
    if moving_points is None and fixed_points is None:
        if weights is not None:
            raise InputError(f"{FUNCTION}: `point_weights` is given without points.")
        return None
    if moving_points is None or fixed_points is None:
        absent = "moving_points" if moving_points is None else "fixed_points"
        raise InputError(f"{FUNCTION}: points come in pairs; `{absent}` is missing.")
    here = _listed(fixed_points, "fixed_points", fixed)
    there = _paired(here, _listed(moving_points, "moving_points", moving))
    count = len(here.positions)
    given = (
        weights
        if weights is not None
        else here.weights
        if here.weights is not None
        else there.weights
    )
    shares = np.ones(count) if given is None else _weights(given, count)
    names = tuple(name or str(k) for k, name in enumerate(here.names, 1))
    return Guides(MatchedPoints(here.positions.T, there.positions.T, shares), names)


def _listed(value: Any, argument: str, grid: Grid) -> PointList:
    """Points of an argument; raises if a point is outside the image."""
    if isinstance(value, (str, os.PathLike)):
        found = read_points(value, grid.dim, FUNCTION)
    else:
        rows = real_array(value, argument=argument, function=FUNCTION).astype(np.float64)
        if rows.ndim != 2 or rows.shape[1] != grid.dim:
            raise InputError(
                f"{FUNCTION}: `{argument}` must have shape (n, {grid.dim}), one point a row; got {rows.shape}."
            )
        found = PointList(rows, ("",) * len(rows))
    if not len(found.positions) or not np.isfinite(found.positions).all():
        raise InputError(
            f"{FUNCTION}: `{argument}` holds no points, or NaN or infinity; give finite ones."
        )
    voxels = grid.world_to_voxel(found.positions.T)
    beyond = np.maximum(-MARGIN - voxels, voxels - np.array(grid.shape)[:, None] + 1 - MARGIN)
    far = (beyond * grid.spacing[:, None]).max(0)
    if (far > 0).any():
        first = int(far.argmax())
        raise InputError(
            f"{FUNCTION}: {int((far > 0).sum())} of {len(far)} `{argument}` lie outside the image; point {first + 1} at "
            f"{found.positions[first].round(2).tolist()} by {far[first]:.4g} mm. They are world RAS+ mm: the first two "
            "coordinates of LPS points have the other sign."
        )
    return found


def _paired(here: PointList, there: PointList) -> PointList:
    """Moving points in the order of the fixed points: by name if both lists have the same unique names."""
    if len(here.positions) != len(there.positions):
        raise InputError(
            f"{FUNCTION}: `fixed_points` has {len(here.positions)} points and `moving_points` "
            f"{len(there.positions)}; give as many, in the same order or with the same names."
        )
    counts = Counter(here.names)
    if counts != Counter(there.names) or max(counts.values()) > 1 or "" in counts:
        return there
    order = [there.names.index(name) for name in here.names]
    weights = None if there.weights is None else there.weights[order]
    return PointList(there.positions[order], here.names, weights)


def _weights(value: Any, count: int) -> NDArray[np.float64]:
    array = real_array(value, argument="point_weights", function=FUNCTION).astype(np.float64)
    if array.shape != (count,) or not np.isfinite(array).all() or not (array > 0).all():
        raise InputError(
            f"{FUNCTION}: `point_weights` must be a finite number above 0 for each of {count} points; got {value!r}."
        )
    return array
