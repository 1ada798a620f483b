"""An evaluation keeps its gradient, whatever is evaluated after it by whom."""

import numpy as np
import pytest

from varreg.backends.numba import backend as cpu
from varreg.energy.affine import AffineObjective
from varreg.energy.deformable import DeformableObjective
from varreg.energy.smoothness import Smoothness
from varreg.options.options import Options
from varreg.similarity.choice import similarity

from ..problems import central_difference, pair, random_affine, smooth_image, state

SHAPES = {2: ((20, 23), (1.2, 0.8)), 3: ((9, 11, 10), (1.4, 1.0, 2.0))}
SIMILARITIES = {
    **{name: dict(similarity=name) for name in ("regional-mi", "mi", "nmi", "lncc", "mind", "ssd")},
    "per-pixel": dict(similarity="mi", estimator="per-pixel", bins=24),
    "overlap-mi": dict(),  # that of the affine stage
}
every_similarity = pytest.mark.parametrize("name", SIMILARITIES)
both_dimensions = pytest.mark.parametrize("dimension", [2, 3])


def shared_similarity(name, dimension, masks=True):
    """(similarity in float64, options) of two smooth images with masks."""
    options = Options(**SIMILARITIES[name])
    images = pair(*SHAPES[dimension], fixed_mask=masks, moving_mask=masks, oblique=True)
    kind = name if name == "overlap-mi" else options.similarity
    return similarity(kind, *images, options, cpu, 1, np.float64), options


def deformable(level, options, seed):
    """(objective with an affine map of its own, a state)."""
    fixed, rng = level.fixed_grid, np.random.default_rng(seed)
    smoothness = Smoothness(fixed.shape, fixed.spacing, 1.0, 4.0, "zero-mean")
    affine = random_affine(fixed.dim, rng)
    objective = DeformableObjective(level, affine, smoothness, options)
    field = np.stack([smooth_image(fixed.shape, rng) - 0.5 for _ in fixed.shape])
    while objective.bound(field) < 0.2:
        field *= 0.7
    return objective, state(objective, smoothness.to_coordinates(field))


def affine(level, seed):
    """(objective, a state)."""
    matrix = random_affine(level.fixed_grid.dim, np.random.default_rng(seed))
    return AffineObjective(level, "affine"), matrix


def check(objective, at, gradient):
    """Whether the gradient is that of the energy, along itself."""
    direction = gradient * (3e-6 / objective.largest_step(gradient))

    def energy(t):
        return objective.evaluate(objective.move(at, direction, t).state).energy.total

    numeric = central_difference(energy, 0.0, 1.0, 1.0)
    assert float((gradient * direction).sum()) == pytest.approx(numeric, rel=1e-6)


@every_similarity
@both_dimensions
def test_the_gradient_is_that_of_weighted_voxels(name, dimension):
    level, options = shared_similarity(name, dimension, "weights")
    for objective, at in (affine(level, 2), deformable(level, options, 1)):
        check(objective, at, objective.evaluate(at).gradient())


@every_similarity
@both_dimensions
@pytest.mark.parametrize("case", ["affine, deformable", "two affine maps", "one objective"])
def test_each_evaluation_has_the_gradient_of_its_own_energy(name, dimension, case):
    level, options = shared_similarity(name, dimension)
    one = deformable(level, options, 1)
    two = {
        "affine, deformable": lambda: affine(level, 2),
        "two affine maps": lambda: deformable(level, options, 2),
        "one objective": lambda: (one[0], deformable(level, options, 2)[1]),
    }[case]()
    for first, second in ((one, two), (two, one)):
        evaluations = [objective.evaluate(at) for objective, at in (first, second)]
        gradients = [evaluation.gradient() for evaluation in evaluations]
        again = [evaluation.gradient() for evaluation in reversed(evaluations)][::-1]
        for (objective, at), gradient, same in zip((first, second), gradients, again, strict=True):
            np.testing.assert_array_equal(gradient, same)
            check(objective, at, gradient)
    assert evaluations[0].energy.similarity != evaluations[1].energy.similarity


@every_similarity
def test_a_matrix_evaluated_before_another_keeps_its_gradient(name):
    level, _ = shared_similarity(name, 2)
    objective, first = affine(level, 3)
    second = random_affine(2, np.random.default_rng(4))
    evaluation = objective.evaluate(first)
    objective.evaluate(second).gradient()
    check(objective, first, evaluation.gradient())
