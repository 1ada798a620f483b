"""Positions that are not numbers, infinite or beyond all rounding: out of view, and never an index.

`.ci/run` repeats these tests with ``NUMBA_BOUNDSCHECK=1``, so that an index out of bounds is an error.
"""

import numpy as np
import pytest

from varreg.backends.arrays import Workspace
from varreg.backends.numba import backend as cpu
from varreg.backends.numpy.sampling import positions

from .scenes import TOLERANCE, Scene, both_backends

SCENES = {
    "2d": dict(shape=(17, 22), moving=(19, 20), nodes=(6, 7)),
    "2d-mask": dict(shape=(17, 22), moving=(19, 20), nodes=(17, 22), mask=True),
    "3d": dict(shape=(9, 11, 8), moving=(10, 9, 9), nodes=(4, 3, 5)),
    "3d-mask": dict(shape=(8, 9, 11), moving=(9, 11, 10), nodes=(3, 4, 4), mask=True),
}
ABSURD = (np.nan, np.inf, -np.inf, 1e30, -3e9, 1e5)
every_scene = pytest.mark.parametrize("case", SCENES)


def spoiled(scene, part, number):
    """The scene with one absurd number in a part of its map."""
    if part == "node":
        scene.nodes[1, 0, 1, 1] = number
    else:
        linear = scene.where.linear.copy()
        linear[(1, 2) if part == "linear" else (1, 3)] = number
        scene.where = scene.where._replace(linear=linear)
    return scene


@every_scene
@pytest.mark.parametrize("cubic", [False, True], ids=["linear", "cubic"])
@pytest.mark.parametrize("part", ["node", "linear", "offset"])
@both_backends
@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow")
def test_what_lies_nowhere_is_out_of_view(case, cubic, backend, part):
    dtype = np.float64 if case == "3d" else np.float32
    scene = Scene(**SCENES[case], dtype=dtype, cubic=cubic)
    map_, nodes = scene.where, scene.nodes.copy()
    for number in ABSURD:
        scene.where, scene.nodes = map_, nodes.copy()
        # matrices times what is not finite would be nowhere altogether
        spoiled(scene, part, number if np.isfinite(number) else 1e30)
        position = positions(scene.where, scene.nodes, scene.shape)
        size = np.array(scene.moving.image.shape).reshape(3, 1, 1, 1)
        nowhere = ~(np.abs(position - size / 2) <= size / 2 + 2).all(axis=0)
        assert nowhere.any()
        check_out_of_view(spoiled(scene, part, number), backend, nowhere)


def check_out_of_view(scene, backend, nowhere):
    warped = scene.warped(backend)
    weight = scene.weight(warped)
    assert np.abs(weight[nowhere]).max() == 0
    assert weight.min() >= 0 and weight.max() <= 1 + 1e-6
    low, high = (
        scene.moving.low - 1.01,
        scene.moving.high + 1.01,
    )  # cubic values bend within one bin
    assert warped.value.min() >= low and warped.value.max() <= high

    rows, map_ = scene.histogram_rows(), scene.place()
    table = backend.joint_histogram(*map_, rows, Workspace(), 1)
    counted = np.where(scene.counted, weight, 0).sum(dtype=np.float64)
    assert table.sum() == pytest.approx(counted, rel=20 * TOLERANCE[scene.dtype], abs=1e-3)
    slopes = np.random.default_rng(1).normal(size=table.shape).astype(scene.dtype)
    force = backend.backproject_table(*map_, rows, slopes, Workspace(), 1)
    assert np.isfinite(force).all()


@every_scene
@pytest.mark.parametrize("number", [np.nan, np.inf, 1e30])
def test_a_bad_node_spoils_only_the_voxels_around_it(case, number):
    scene = Scene(**SCENES[case], dtype=np.float32)
    before = scene.weight(scene.warped(cpu)).copy()
    after = scene.weight(spoiled(scene, "node", number).warped(cpu))
    touched, begin = np.ones(scene.shape, bool), 0
    for axis, node in enumerate((0, 1, 1)):
        count = scene.shape[axis]
        near = (scene.where.index[:, begin : begin + count] == node).any(axis=0)
        touched &= near.reshape([-1 if a == axis else 1 for a in range(3)])
        begin += count
    assert touched.any() and not touched.all()
    np.testing.assert_allclose(after[~touched], before[~touched], atol=1e-4)
