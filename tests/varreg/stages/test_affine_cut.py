"""Heads turned far and cut off by the field of view: rigid maps are tried before affine ones."""

import numpy as np
import pytest

import varreg
from varreg.data.phantom import brain_phantom
from varreg.data.phantom.random_map import sample, voxel_grid
from varreg.stages import affine_search

SHAPE, DEGREES, ROWS = (112, 96), 30, 38


def turned_and_cut(seed):
    """T2 turned and T1 of one head, each without a third at another end; points of T1 and where they belong."""
    head = brain_phantom(SHAPE, np.random.default_rng(seed))
    a = np.deg2rad(DEGREES)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    centre = (np.array(SHAPE) - 1) / 2
    at = voxel_grid(SHAPE) - centre.reshape(2, 1, 1)
    seen = sample(head.t2, np.tensordot(turn.T, at, 1) + centre.reshape(2, 1, 1))
    moving, fixed = seen[:-ROWS].astype(np.float32), head.t1[ROWS:]
    points = np.argwhere(fixed > 0.1)[::17].astype(float)
    there = (points + (ROWS, 0) - centre) @ turn.T + centre
    inside = np.all((there >= 0) & (there <= np.array(moving.shape) - 1), axis=1)
    return np.ascontiguousarray(moving), np.ascontiguousarray(fixed), points[inside], there[inside]


def error(seed):
    """Mean distance of the points from where they belong under the affine map found, voxels."""
    moving, fixed, points, there = turned_and_cut(seed)
    settings = dict(affine="affine", deformable=False, threads=1, progress=False)
    affine = varreg.solve(moving, fixed, **settings).affine
    return np.linalg.norm(points @ affine[:2, :2].T + affine[:2, 2] - there, axis=1).mean()


@pytest.mark.parametrize("seed", range(3))
def test_a_cut_head_that_is_turned_is_found(seed):
    assert error(seed) < 1


def test_tried_by_affine_maps_it_is_not(monkeypatch):
    """Scales that squeeze what one image shows into the view of the other gain more than the right turn."""
    monkeypatch.setitem(affine_search.TRIED, "affine", "affine")
    assert max(error(seed) for seed in range(3)) > 10
