"""The deformable objective around folds: refused, evaded, and undone between levels."""

import numpy as np
import pytest

from varreg.energy.unfolding import unfold
from varreg.optimise.minimise import minimise

from ..problems import deformable_problem, state

SHAPES = {2: dict(shape=(20, 23)), 3: dict(shape=(9, 11, 10), spacing=(1.0, 1.0, 1.0))}
both_dimensions = pytest.mark.parametrize("dimension", [2, 3])
both_constraints = pytest.mark.parametrize("constraint", ["zero-mean", "zero-boundary"])


def folded(objective, node):
    """A field whose only fold is next to a node, in coordinates."""
    field = np.zeros((objective.dimension, *objective.smoothness.shape))
    field[(0, *node)] = 2.0 * objective.node_spacing[0]
    return objective.smoothness.to_coordinates(field)


@both_dimensions
def test_a_fold_has_infinite_energy_and_is_remembered(dimension):
    objective, z, _ = deformable_problem(**SHAPES[dimension])
    assert objective.direction_off_fold(np.ones_like(z)) is None
    node = (4,) * dimension
    evaluation = objective.evaluate(state(objective, folded(objective, node)))
    assert evaluation.energy.total == np.inf
    assert evaluation.smallest_determinant < 0
    assert all(abs(a - b) <= 1 for a, b in zip(objective.folded_cell, node, strict=True))


@both_dimensions
def test_a_field_that_is_not_finite_has_no_energy(dimension):
    objective, z, _ = deformable_problem(**SHAPES[dimension])
    field = np.zeros((dimension, *objective.smoothness.shape))
    field.flat[7] = np.nan
    assert np.isnan(objective.evaluate((z, field)).energy.total)


@both_dimensions
@both_constraints
def test_the_direction_off_a_fold_stands_still_there_and_is_the_same_far_away(
    dimension, constraint
):
    objective, z, rng = deformable_problem(**SHAPES[dimension], constraint=constraint)
    node = (4,) * dimension
    objective.evaluate(state(objective, folded(objective, node)))
    field = rng.normal(size=z.shape)
    direction = objective.smoothness.to_coordinates(field)
    before = objective.smoothness.to_field(direction)
    after = objective.smoothness.to_field(objective.direction_off_fold(direction))
    mean = (before - after).mean(axis=tuple(range(1, dimension + 1)), keepdims=True)
    cell = (slice(None), *(slice(c, c + 2) for c in objective.folded_cell))
    assert (
        np.abs(after + mean * (constraint == "zero-mean"))[cell].max()
        < 0.25 * np.abs(before[cell]).max()
    )
    far = tuple(
        -1 if c < n / 2 else 0 for c, n in zip(objective.folded_cell, z.shape[1:], strict=True)
    )
    np.testing.assert_allclose(after[(slice(None), *far)], before[(slice(None), *far)], atol=0.3)


@both_dimensions
def test_the_preconditioner_knows_how_the_volume_term_curves(dimension):
    """On average over the directions of one wave, by differences of the term itself."""
    curvatures = []
    for weight in (0.0, 0.7):
        objective, z, _ = deformable_problem(**SHAPES[dimension], volume_weight=weight)
        factor = objective.precondition(np.ones_like(z))[0]
        assert ((0 <= factor) & (factor < 1)).all()
        inner = factor > 0
        curvatures.append(np.square(objective.smoothness.scale[inner]) * (1 / factor[inner] - 1))
    wave = np.zeros(z.shape[1:])
    wave[(2,) * dimension] = 1.0
    size, found = 1e-4, []
    for d in range(dimension):
        coefficients = np.zeros_like(z)
        coefficients[d] = size * wave
        found.append(objective.volume.value(objective.smoothness.backward(coefficients)))
    expected = 0.7 * 2 * np.mean(found) / size**2
    assert (curvatures[1] - curvatures[0])[wave[inner] > 0] == pytest.approx(
        expected, rel=0.15
    )  # cells end at the outermost nodes


@both_dimensions
@both_constraints
def test_moves_and_their_lengths_agree_with_the_field(dimension, constraint):
    objective, z, rng = deformable_problem(
        **{**SHAPES[dimension], "spacing": (1.5, 0.7, 1.1)[:dimension]}, constraint=constraint
    )
    direction = rng.normal(size=z.shape) * (objective.smoothness.scale > 0)
    moved, field = objective.move(state(objective, z), direction, 0.3).state
    np.testing.assert_allclose(field, objective.smoothness.to_field(moved), atol=1e-12)
    shift = objective.smoothness.to_field(direction)
    length = np.abs(shift).max() / objective.voxel.min()
    assert objective.largest_step(direction) == pytest.approx(length)
    largest = np.sqrt(np.square(field).sum(0)).max()
    assert objective.largest_displacement((moved, field)) == pytest.approx(largest)


@both_dimensions
@both_constraints
def test_unfold_returns_a_whole_field_and_leaves_a_whole_field_alone(dimension, constraint):
    objective, z, rng = deformable_problem(**SHAPES[dimension], constraint=constraint)
    same, field = unfold(objective, z)
    np.testing.assert_array_equal(same, z)
    np.testing.assert_allclose(field, objective.smoothness.to_field(z))
    least = objective.options.smallest_determinant
    for rough in (folded(objective, (4,) * dimension), 300 * z, 5 * rng.normal(size=z.shape)):
        mended, field = unfold(objective, rough * (objective.smoothness.scale > 0))
        assert objective.bound(field) >= least
        assert np.abs(field).max() > 0
        np.testing.assert_allclose(field, objective.smoothness.to_field(mended))


@both_dimensions
@both_constraints
def test_a_descent_that_wants_to_fold_goes_on_elsewhere(dimension, constraint):
    """Almost no smoothness: the bound becomes active, and the energy still falls every step."""
    objective, z, _ = deformable_problem(
        **SHAPES[dimension], length=0.0, smoothness_weight=1e-4, constraint=constraint,
        bins=64, kernel_width=1.0,
    )  # fmt: skip
    steps = []
    rules = objective.options.replace(gradient_tolerance=0, energy_tolerance=0, largest_step=1)
    minimise(objective, state(objective, 0 * z), rules, 25, observe=steps.append)
    energies = [s.energy for s in steps]
    assert (np.diff(energies) < 0).all()
    assert energies[-1] < energies[0] - 0.05
    assert min(s.smallest_determinant for s in steps) >= 0.05
    assert objective.folded_cell is not None  # the bound was met
    assert len(steps) > 15
