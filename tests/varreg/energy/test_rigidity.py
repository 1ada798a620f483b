"""Rigid masks as a term of the energy: rigid motions cost nothing, and the gradient is exact."""

import numpy as np
import pytest

from varreg.backends.numba import backend as cpu
from varreg.energy.deformable import DeformableObjective
from varreg.energy.rigidity import RigidityTerm, RigidMasks
from varreg.energy.strain import corners_at, squared_strain
from varreg.geometry.grid import Grid
from varreg.images.level_image import LevelImage

from ..problems import central_difference, deformable_problem, oblique_grid, random_affine, state

PROBLEMS = {
    2: dict(shape=(20, 23), spacing=(1.4, 0.8), nodes=(9, 11)),
    3: dict(shape=(9, 11, 10), spacing=(1.4, 0.7, 2.0), nodes=(5, 6, 5)),
}
both_dimensions = pytest.mark.parametrize("dimension", [2, 3])
both_constraints = pytest.mark.parametrize("constraint", ["zero-mean", "zero-boundary"])
every_side = pytest.mark.parametrize("sides", ["fixed", "moving", "both"])


def masks_of(fixed, moving, sides, rng):
    """A box of the fixed image, weights all over the moving one."""
    box = np.zeros(fixed.shape, np.float32)
    box[tuple(slice(n // 4, 3 * n // 4) for n in fixed.shape)] = 1
    soft = np.clip(2 * rng.random(moving.shape) - 1, 0, 1)
    return RigidMasks(
        None if sides == "moving" else LevelImage(box, None, fixed),
        None if sides == "fixed" else LevelImage(soft, None, moving),
    )


def term_of(dimension, sides="fixed", constraint="zero-mean", seed=0):
    """(term, rng): oblique grids, another moving grid, uneven spacing."""
    rng = np.random.default_rng(seed)
    shape, spacing, nodes = PROBLEMS[dimension].values()
    fixed = oblique_grid(Grid.with_spacing(shape, spacing), rng)
    moving = oblique_grid(Grid.with_spacing([n + 3 for n in shape], 1.1 * np.array(spacing)), rng)
    masks = masks_of(fixed, moving, sides, rng)
    affine = random_affine(dimension, rng)
    return RigidityTerm(masks, fixed, affine, nodes, constraint, cpu, 1, np.float64), rng


@both_dimensions
@both_constraints
@every_side
def test_the_term_has_the_gradient_of_differences(dimension, constraint, sides):
    term, rng = term_of(dimension, sides, constraint)
    field = 0.2 * rng.normal(size=(dimension, *term.nodes))
    gradient = term.gradient(field)
    for _ in range(2):
        direction = rng.normal(size=field.shape)
        numeric = central_difference(term.value, field, direction, 1e-5)
        assert float((gradient * direction).sum()) == pytest.approx(numeric, rel=1e-7)


@both_dimensions
@both_constraints
@every_side
def test_gradient_of_the_energy_against_differences(dimension, constraint, sides):
    settings = dict(fixed_mask=True, moving_mask="weights", oblique=True, volume_weight=0.5)
    one, z, rng = deformable_problem(**PROBLEMS[dimension], constraint=constraint, **settings)
    rigid = masks_of(one.similarity.fixed_grid, one.similarity.moving_grid, sides, rng)
    affine = random_affine(dimension, rng)
    objective = DeformableObjective(
        one.similarity, affine, one.smoothness, one.options, rigid=rigid
    )
    evaluation = objective.evaluate(state(objective, z))
    gradient, energy = evaluation.gradient(), evaluation.energy
    without = DeformableObjective(one.similarity, affine, one.smoothness, one.options)
    plain = without.evaluate(state(without, z)).energy
    assert energy.rigidity > 0 and plain.rigidity == 0
    rise = one.options.rigidity_weight * energy.rigidity
    assert energy.total == pytest.approx(plain.total + rise)
    direction = rng.normal(size=z.shape) * (objective.smoothness.scale > 0)
    direction *= 3e-6 / objective.largest_step(direction)
    numeric = central_difference(
        lambda at: objective.evaluate(state(objective, at)).energy.total, z, direction, 1.0
    )
    assert float((gradient * direction).sum()) == pytest.approx(numeric, rel=1e-6)


@both_dimensions
def test_rigid_motions_of_any_size_cost_nothing_and_others_do(dimension):
    term, rng = term_of(dimension)
    places = np.stack(np.meshgrid(*map(np.arange, term.nodes), indexing="ij"))
    x = places * np.reshape(term.spacing, (-1,) + (1,) * dimension)
    turn = np.linalg.qr(rng.normal(size=(dimension, dimension)))[0]
    turn[:, 0] *= np.sign(np.linalg.det(turn))
    moved = np.tensordot(turn, x, 1) + 5.0
    assert term.value(moved - x) == pytest.approx(0, abs=1e-20)
    np.testing.assert_allclose(term.gradient(moved - x), 0, atol=1e-12)
    # (1.1^2 - 1) / 2 along every axis, times the share of the mask
    grown = dimension * 0.105**2 * term.fixed.mean()
    assert term.value(1.1 * moved - x) == pytest.approx(grown, rel=1e-9)


@both_dimensions
def test_what_lies_outside_the_mask_is_free(dimension):
    """But for the edges from the mask outwards."""
    term, rng = term_of(dimension)
    field = np.where(term.fixed > 0, 0.3, rng.normal(size=(dimension, *term.nodes)))
    inner = np.ones(term.nodes, bool)
    for axis in range(dimension):  # nodes all of whose neighbours are in the mask
        for step in (1, -1):
            inner &= np.roll(term.fixed > 0, step, axis)
    assert inner.any()
    np.testing.assert_allclose(squared_strain(field, term.spacing)[inner], 0, atol=1e-25)
    nowhere = RigidityTerm(
        RigidMasks(LevelImage(np.zeros((20,) * dimension), None, Grid.with_spacing((20,) * dimension)), None),
        Grid.with_spacing((20,) * dimension), np.eye(dimension + 1), (7,) * dimension, "zero-mean", cpu, 1,
    )  # fmt: skip
    noise = rng.normal(size=(dimension, *nowhere.nodes))
    assert nowhere.value(noise) == 0
    assert not nowhere.gradient(noise).any()


@both_dimensions
def test_a_moving_mask_is_carried_along(dimension):
    """Under a shift of whole voxels its weights at the nodes are those of the mask moved back."""
    n, d = 24, dimension
    grid = Grid.with_spacing((n,) * d)
    box = np.zeros((n,) * d, np.float32)
    box[(slice(6, 14),) * d] = 1
    still = RigidityTerm(RigidMasks(None, LevelImage(box, None, grid)), grid, np.eye(d + 1), (8,) * d, "zero-mean", cpu, 1)  # fmt: skip
    back = np.roll(box, -3, axis=0)
    other = RigidityTerm(RigidMasks(None, LevelImage(back, None, grid)), grid, np.eye(d + 1), (8,) * d, "zero-mean", cpu, 1)  # fmt: skip
    shift = np.zeros((d, *(8,) * d))
    shift[0] = 3
    np.testing.assert_allclose(still.weights(shift), other.weights(np.zeros_like(shift)), atol=1e-6)
    away = np.zeros_like(shift)
    away[0] = 100  # out of view nothing is kept
    assert not still.weights(away).any()


def test_corners_are_shared_out_to_all_nodes():
    assert corners_at((4, 5, 3)).sum() == 8 * 3 * 4 * 2
