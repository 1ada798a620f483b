"""Weights of the axes: exact gradient, components that stay zero, and what a weight means."""

import numpy as np
import pytest

from varreg.energy.deformable import DeformableObjective
from varreg.energy.smoothness import Smoothness
from varreg.energy.unfolding import unfold
from varreg.optimise.minimise import minimise
from varreg.options.options import Options

from ..problems import central_difference, deformable_problem, state

PROBLEMS = {
    2: dict(shape=(20, 23), spacing=(1.4, 0.8), nodes=(9, 11)),
    3: dict(shape=(9, 11, 10), spacing=(1.4, 1.0, 2.0), nodes=(6, 7, 5)),
}
AXES = {2: ((0.0, 1.0), (0.3, 1.0)), 3: ((0.0, 1.0, 0.0), (0.1, 1.0, 0.1))}
CASES = [(d, axes) for d in (2, 3) for axes in AXES[d]]
every_case = pytest.mark.parametrize("dimension, axes", CASES)


def weighted_problem(dimension, axes, constraint="zero-mean", **settings):
    """(objective with weights, z in its domain, rng), with masks, oblique grids and a volume term."""
    settings = dict(fixed_mask=True, moving_mask=True, oblique=True, volume_weight=0.5) | settings
    one, _, rng = deformable_problem(**PROBLEMS[dimension], constraint=constraint, **settings)
    place = one.smoothness.shape, one.node_spacing, one.smoothness.weight, 4.0, constraint
    smoothness = Smoothness(*place, axes=axes)
    options = Options(constraint=constraint, volume_weight=settings["volume_weight"])
    affine = np.eye(dimension + 1)
    affine[0, -1] = 0.3
    objective = DeformableObjective(one.similarity, affine, smoothness, options)
    z = rng.normal(size=(dimension, *smoothness.shape)) * (smoothness.scale > 0) * 0.2
    return objective, unfold(objective, z)[0], rng


@every_case
@pytest.mark.parametrize("constraint", ["zero-mean", "zero-boundary"])
def test_gradient_against_differences(dimension, axes, constraint):
    objective, z, rng = weighted_problem(dimension, axes, constraint)
    gradient = objective.evaluate(state(objective, z)).gradient()
    for _ in range(2):
        direction = rng.normal(size=z.shape)
        direction *= 3e-6 / objective.largest_step(direction)
        numeric = central_difference(
            lambda at: objective.evaluate(state(objective, at)).energy.total, z, direction, 1.0
        )
        assert float((gradient * direction).sum()) == pytest.approx(numeric, rel=1e-6)


@every_case
def test_components_of_weight_zero_stay_exactly_zero(dimension, axes):
    objective, z, _ = weighted_problem(dimension, axes)
    ended = minimise(objective, state(objective, 0 * z), Options(), 8)
    still = [weight == 0 for weight in axes]
    assert not ended.state[1][still].any()
    assert np.abs(ended.state[1][[not s for s in still]]).max() > 0.01


@pytest.mark.parametrize("dimension", [2, 3])
def test_to_move_along_an_axis_costs_one_over_the_squared_weight(dimension):
    place = (6,) * dimension, np.ones(dimension), 0.3, 2.0, "zero-mean"
    axes = (0.25, *(1.0,) * (dimension - 1))
    plain, weighted = Smoothness(*place), Smoothness(*place, axes=axes)
    field = np.zeros((dimension, *place[0]))
    field[0] = np.random.default_rng(0).normal(size=place[0])
    costs = [each.value(each.to_coordinates(field)) for each in (plain, weighted)]
    assert costs[1] == pytest.approx(costs[0] / 0.25**2)
    np.testing.assert_allclose(
        weighted.to_field(weighted.to_coordinates(field)), field - field.mean((*range(1, dimension + 1),), keepdims=True),
        atol=1e-12,
    )  # fmt: skip


def test_weights_of_one_change_no_bit():
    place = (8, 9), np.array([1.0, 1.5]), 0.3, 2.0, "zero-boundary"
    plain, weighted = Smoothness(*place), Smoothness(*place, axes=(1, 1))
    z = np.random.default_rng(0).normal(size=(2, 8, 9))
    np.testing.assert_array_equal(plain.to_field(z), weighted.to_field(z))
