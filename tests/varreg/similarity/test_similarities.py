"""Value and gradient of every similarity: differences, both backends, any number of threads."""

import numpy as np
import pytest

from varreg.backends.numba import backend as cpu
from varreg.backends.numpy import backend as reference
from varreg.energy.affine import AffineObjective
from varreg.energy.deformable import DeformableObjective
from varreg.energy.smoothness import Smoothness
from varreg.options.options import Options

from ..problems import central_difference, pair, random_affine, smooth_image, state
from .problems_of_similarities import DEEP, FLAT, both_dimensions, every_new, similarity_of

CASES = {
    "plain": dict(),
    "anisotropic": dict(uneven=True),
    "oblique": dict(uneven=True, oblique=True),
    "moving-grid-few-nodes": dict(other_grid=True, few_nodes=True),
    "fixed-mask": dict(fixed_mask=True),
    "moving-mask": dict(moving_mask=True),
    "half-out-of-view": dict(shift=4.0),
    "cubic": dict(interpolation="cubic"),
    "all-at-once": dict(
        uneven=True, oblique=True, other_grid=True, few_nodes=True, fixed_mask=True,
        moving_mask=True, interpolation="cubic", shift=1.5,
    ),
}  # fmt: skip
every_case = pytest.mark.parametrize("case", CASES)


def problem(
    name, dimension, kernels=cpu, uneven=False, oblique=False, other_grid=False, few_nodes=False,
    fixed_mask=False, moving_mask=False, shift=0.0, **options,
):  # fmt: skip
    """(deformable objective, z, rng) of two unrelated smooth images."""
    shape, spacing, other, few = FLAT if dimension == 2 else DEEP
    spacing = spacing if uneven else (1.0,) * dimension
    nodes, other = few if few_nodes else shape, other if other_grid else None
    fixed, moving = pair(shape, spacing, 0, fixed_mask, moving_mask, other, oblique)
    rng = np.random.default_rng(1)
    affine = random_affine(dimension, rng)
    affine[:-1, -1] += shift
    smoothness = Smoothness(nodes, fixed.grid.extent / np.array(nodes), 1.0, 4.0, "zero-mean")
    level = similarity_of(name, fixed, moving, kernels=kernels, **options)
    objective = DeformableObjective(level, affine, smoothness, Options())
    field = np.stack([smooth_image(nodes, rng) - 0.5 for _ in shape]) * 2 * max(spacing)
    while objective.bound(field) < 0.2:
        field *= 0.7
    return objective, smoothness.to_coordinates(field), rng


def gradient_of(objective, z):
    """dS/dz at z, and S."""
    found = objective.evaluate(state(objective, z))
    return z - found.gradient(), found.energy.similarity


@every_new
@both_dimensions
@every_case
def test_gradient_against_differences(name, dimension, case):
    objective, z, rng = problem(name, dimension, **CASES[case])
    for _ in range(2):
        direction = rng.normal(size=z.shape) * (objective.smoothness.scale > 0)
        direction *= 3e-6 / objective.largest_step(direction)
        gradient = gradient_of(objective, z)[0]
        analytic = float((gradient * direction).sum())
        numeric = central_difference(
            lambda at: objective.evaluate(state(objective, at)).energy.similarity, z, direction, 1.0
        )
        # of the largest change that any direction of this length could bring
        steepest = np.linalg.norm(gradient)
        assert abs(analytic - numeric) < 1e-6 * max(
            abs(numeric), 0.02 * steepest * np.linalg.norm(direction)
        )


@every_new
@both_dimensions
@pytest.mark.parametrize("case", ["plain", "all-at-once", "half-out-of-view"])
def test_both_backends_agree(name, dimension, case):
    found = []
    for kernels in (cpu, reference):
        objective, z, _ = problem(name, dimension, kernels=kernels, **CASES[case])
        view = objective.evaluate(state(objective, z)).in_view
        found.append((*gradient_of(objective, z), view))
    (gradient, value, share), (other, again, view) = found
    assert value == pytest.approx(again, rel=1e-11)
    assert share == pytest.approx(view, rel=1e-12)
    np.testing.assert_allclose(gradient, other, rtol=0, atol=1e-10 * np.abs(other).max())


@every_new
@both_dimensions
def test_single_precision_is_near_double(name, dimension):
    fixed, moving = pair(*((FLAT, DEEP)[dimension - 2][:2]), fixed_mask=True, moving_mask=True)
    matrix = random_affine(dimension, np.random.default_rng(1))
    found = []
    for dtype in (np.float32, np.float64):
        objective = AffineObjective(similarity_of(name, fixed, moving, dtype), "affine")
        evaluation = objective.evaluate(matrix)
        found.append((evaluation.energy.similarity, evaluation.gradient()))
    (value, gradient), (exact, slope) = found
    assert value == pytest.approx(exact, rel=2e-4, abs=2e-6)
    np.testing.assert_allclose(gradient, slope, rtol=0, atol=2e-3 * np.abs(slope).max())


@every_new
@both_dimensions
def test_the_value_has_no_memory(name, dimension):
    objective, z, rng = problem(name, dimension, **CASES["all-at-once"])
    gradient, value = gradient_of(objective, z)
    gradient_of(objective, z + 0.1 * rng.normal(size=z.shape))
    again, same = gradient_of(objective, z)
    assert same == value
    np.testing.assert_array_equal(again, gradient)


@every_new
@pytest.mark.parametrize("shape", [(190, 170), (38, 30, 31)])
def test_the_same_bits_for_any_number_of_threads(name, shape):
    fixed, moving = pair(shape, (1.0,) * len(shape), moving_mask=True)
    matrix = random_affine(len(shape), np.random.default_rng(1))
    found = []
    for threads in (1, 2):
        level = similarity_of(name, fixed, moving, np.float32, threads=threads)
        evaluation = AffineObjective(level, "affine").evaluate(matrix)
        found.append((evaluation.energy.similarity, evaluation.gradient()))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])
