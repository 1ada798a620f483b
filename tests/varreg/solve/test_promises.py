"""What a descent promises: less energy, no folds, constraints that hold, budgets that are kept."""

import numpy as np
import pytest
from scipy import ndimage

import varreg
from varreg.geometry.displacement import evaluate
from varreg.optimise.history import Stop
from varreg.options.options import Options

from .measures import QUICK, initial_error, mean_error

both_memories = pytest.mark.parametrize("memory", [0, 6])
both_constraints = pytest.mark.parametrize("constraint", ["zero-mean", "zero-boundary"])


def levels_of(result):
    """Energies, level by level (each starts with iteration 0)."""
    starts = [k for k, h in enumerate(result.history) if h.iteration == 0] + [len(result.history)]
    return [
        [h.energy for h in result.history[a:b]] for a, b in zip(starts, starts[1:], strict=False)
    ]


@both_memories
@both_constraints
@pytest.mark.parametrize("which", ["bent", "volume"])
def test_energy_never_rises_within_a_level(which, memory, constraint, request):
    pair = request.getfixturevalue(which)
    result = varreg.solve(
        pair.moving, pair.fixed, memory=memory, constraint=constraint, affine_iterations=5,
        iterations=(10, 6), threads=2,
    )  # fmt: skip
    assert len(levels_of(result)) == len(result.levels)
    for energies, level in zip(levels_of(result), result.levels, strict=True):
        assert len(energies) == level.iterations + 1
        assert (np.diff(energies) <= 0).all()
    deformable = [h for h in result.history if h.stage == "deformable"]
    assert all(h.smallest_determinant >= 0.05 for h in deformable)
    last = result.history[-1]
    assert (last.energy, last.similarity, last.smoothness) == (
        result.energy.total, result.energy.similarity, result.energy.smoothness,
    )  # fmt: skip
    mu, weight = result.options.smoothness_weight, result.options.similarity_weight
    assert last.energy == pytest.approx(mu * last.smoothness - weight * last.similarity)


@both_memories
@both_constraints
@pytest.mark.parametrize("shape", [(48, 55), (20, 22, 18)])
def test_no_point_folds_when_smoothness_hardly_counts(shape, memory, constraint):
    """Unrelated textures, H1 energy, next to no smoothness: the bound must become active."""
    rng = np.random.default_rng(5)
    moving, fixed = (ndimage.gaussian_filter(rng.normal(size=shape), 1.5) for _ in range(2))
    result = varreg.solve(
        moving, fixed, affine=None, smoothness_length=0, smoothness_weight=1e-4, memory=memory,
        constraint=constraint, iterations=25, levels=(2, 1), threads=1,
    )  # fmt: skip
    assert result.smallest_determinant >= 0.05
    assert result.smallest_determinant < 0.5  # it was tight
    # every point: differences within half cells over the whole field of view, border included
    stops = [np.arange(2 * n + 1) / 2 - 0.5 for n in shape]
    step = 1e-3
    points = np.stack(np.meshgrid(*[(s[:-1] + 0.25) for s in stops], indexing="ij"))
    points = points.reshape(len(shape), -1)
    points = points + rng.uniform(-0.24, 0.24, points.shape)
    gradient = np.zeros((points.shape[1], len(shape), len(shape)))
    for axis in range(len(shape)):
        offset = np.zeros((len(shape), 1))
        offset[axis] = step / 2
        high, low = (
            evaluate(result.transform.nodes, shape, points + s * offset, constraint)
            for s in (1, -1)
        )
        gradient[:, :, axis] = (high - low).T / step
    determinant = np.linalg.det(gradient + np.eye(len(shape)))
    assert determinant.min() >= result.smallest_determinant - 1e-3


@pytest.mark.parametrize("which", ["bent", "volume"])
def test_the_mean_of_u_is_zero(which, request):
    pair = request.getfixturevalue(which)
    result = varreg.solve(pair.moving, pair.fixed, affine=None, **QUICK)
    nodes = result.transform.nodes
    np.testing.assert_allclose(nodes.mean(axis=tuple(range(1, nodes.ndim))), 0, atol=1e-10)
    assert np.abs(nodes).max() > 0.3


@pytest.mark.parametrize("which", ["bent", "volume"])
def test_zero_boundary_keeps_the_faces_in_place(which, request):
    pair = request.getfixturevalue(which)
    result = varreg.solve(pair.moving, pair.fixed, affine=None, constraint="zero-boundary", **QUICK)
    shape, rng = pair.fixed.shape, np.random.default_rng(6)
    assert np.abs(result.u).max() > 0.3
    for axis, n in enumerate(shape):
        for face in (-0.5, n - 0.5):
            points = rng.uniform(-0.5, np.array(shape) - 0.5, (100, len(shape))).T
            points[axis] = face
            at_face = evaluate(result.transform.nodes, shape, points, "zero-boundary")
            np.testing.assert_allclose(at_face, 0, atol=1e-6)


def test_the_callback_sees_every_iteration(bent):
    """Also of the starts that were tried and given up, which the history leaves out."""
    seen = []
    result = varreg.solve(bent.moving, bent.fixed, callback=seen.append, start="header", **QUICK)
    rest = iter(seen)
    assert all(any(record is other for other in rest) for record in result.history)
    assert [h for h in seen if h.stage == "deformable"] == [
        h for h in result.history if h.stage == "deformable"
    ]
    ends = [
        h
        for h, after in zip(result.history, [*result.history[1:], None], strict=True)
        if after is None or after.iteration == 0
    ]
    assert [h.iteration for h in ends] == [level.iterations for level in result.levels]
    assert {h.stage for h in ends} == {"affine", "deformable"}


def test_an_exception_in_the_callback_reaches_the_caller(bent):
    class Enough(Exception):
        pass

    def callback(iteration):
        if iteration.stage == "deformable" and iteration.iteration == 2:
            raise Enough

    with pytest.raises(Enough):
        varreg.solve(bent.moving, bent.fixed, callback=callback, **QUICK)


def test_budgets_are_kept(bent):
    result = varreg.solve(
        bent.moving, bent.fixed, affine=None, iterations=(3, 2), levels=(2, 1), threads=1
    )
    assert [level.iterations for level in result.levels] == [3, 2]
    assert all(level.stop is Stop.BUDGET for level in result.levels)
    assert [level.factor for level in result.levels] == [2, 1]
    still = varreg.solve(bent.moving, bent.fixed, affine=None, iterations=0, threads=1)
    assert (still.u == 0).all()


@pytest.mark.parametrize("preset", ["default", "paper", "cfir", "precise"])
def test_presets_run_and_improve(bent, preset):
    result = varreg.solve(bent.moving, bent.fixed, preset=preset, affine=None, threads=2)
    assert result.options == Options.preset(preset).for_dimension(2)
    assert mean_error(result, bent) < 0.75 * initial_error(bent)
    for energies in levels_of(result):
        assert (np.diff(energies) <= 0).all()
    assert result.smallest_determinant >= 0.05
