"""The affine stage: gradients, the scale of its coordinates, and large motions recovered."""

import numpy as np
import pytest
from scipy import ndimage

import varreg
from varreg.backends.numba import backend as cpu
from varreg.data.phantom.pairs import deformed_pair
from varreg.energy.affine import AffineObjective
from varreg.energy.lie_algebra import orthonormal_generators
from varreg.geometry.grid import Grid
from varreg.options.names import AFFINE_MODELS
from varreg.options.options import Options
from varreg.similarity.mutual_information import MutualInformation

from ..problems import central_difference, oblique_grid, pair, random_affine

PARAMETERS = {
    2: dict(translation=2, rigid=3, similarity=4, affine=6),
    3: dict(translation=3, rigid=6, similarity=7, affine=12),
}
SHAPES = {
    2: dict(shape=(20, 23), spacing=(1.2, 0.8)),
    3: dict(shape=(9, 11, 10), spacing=(1.4, 1.0, 2.0)),
}
every_model = pytest.mark.parametrize("model", AFFINE_MODELS)
both_dimensions = pytest.mark.parametrize("dimension", [2, 3])


def objective_of(dimension, model, seed=0, weight=1.0, stride=1, **settings):
    options = {k: settings.pop(k) for k in ("interpolation", "estimator") if k in settings}
    options["similarity"] = "mi"
    stretch = settings.pop("stretch", ())
    fixed, moving = pair(**SHAPES[dimension], seed=seed, oblique=True, **settings)
    level = MutualInformation(fixed, moving, Options(**options), cpu, 1, np.float64, stride=stride)
    return AffineObjective(level, model, weight, *stretch)


@every_model
@both_dimensions
@pytest.mark.parametrize(
    "settings",
    [
        dict(),
        dict(weight=2.5),
        dict(interpolation="cubic", fixed_mask=True, moving_mask=True),
        dict(estimator="per-pixel"),
        dict(stride=2),
        dict(stride=4, fixed_mask=True),
        dict(stretch=(3.0,)),
        dict(weight=1e-9, stretch=(3.0,)),
    ],
    ids=[
        "plain",
        "weight",
        "cubic-masks",
        "per-pixel",
        "stride-2",
        "stride-4-mask",
        "stretch",
        "stretch-alone",
    ],
)
def test_gradient_against_differences(model, dimension, settings):
    objective = objective_of(dimension, model, **settings)
    rng = np.random.default_rng(4)
    matrix = random_affine(dimension, rng)
    for _ in range(2):
        direction = rng.normal(size=PARAMETERS[dimension][model])
        direction *= 1e-6 / objective.largest_step(direction)
        analytic = float(objective.evaluate(matrix).gradient() @ direction)

        def energy(t, direction=direction):
            return objective.evaluate(objective.move(matrix, direction, t).state).energy.total

        numeric = central_difference(energy, 0.0, 1.0, 1.0)
        assert analytic == pytest.approx(numeric, rel=1e-6)


@both_dimensions
def test_a_stretch_costs_its_squared_logarithms_and_nothing_against_the_reference(dimension):
    rng = np.random.default_rng(5)
    reference = random_affine(dimension, rng)
    objective = objective_of(dimension, "affine", stretch=(3.0, reference))
    scales = np.eye(dimension + 1)
    scales[range(dimension), range(dimension)] = np.exp([0.3, -0.1, 0.2][:dimension])
    rotation = np.eye(dimension + 1)
    rotation[:-1, :-1] = np.linalg.qr(rng.normal(size=(dimension, dimension)))[0]

    def price(matrix):
        energy = objective.evaluate(matrix).energy
        return energy.total + energy.similarity

    assert price(reference) == pytest.approx(0, abs=1e-12)
    expected = 1.5 * np.square([0.3, -0.1, 0.2][:dimension]).sum()
    assert price(reference @ rotation @ scales) == pytest.approx(expected, rel=1e-9)


@every_model
@both_dimensions
def test_generators_are_orthonormal_for_the_mean_squared_displacement(model, dimension):
    shape, spacing = SHAPES[dimension].values()
    grid = oblique_grid(Grid.with_spacing(shape, spacing), np.random.default_rng(3))
    generators = orthonormal_generators(grid, model, 2.5)
    assert len(generators) == PARAMETERS[dimension][model]
    # the mean over the field of view by a dense midpoint rule
    fine = grid.resized(tuple(12 * n for n in shape) if dimension == 2 else (60, 66, 60))
    points = fine.voxel_to_world(fine.coordinates().reshape(dimension, -1))
    points = np.concatenate([points, np.ones((1, points.shape[1]))])
    moved = (generators @ points)[:, :-1]
    gram = np.einsum("kdx,mdx->km", moved, moved) / points.shape[1]
    np.testing.assert_allclose(gram, 2.5**2 * np.eye(len(generators)), atol=2e-3 * 2.5**2)


@pytest.mark.parametrize("dimension", [2, 3])
def test_the_models_are_the_groups_they_are_called_after(dimension):
    rng = np.random.default_rng(8)
    for model in AFFINE_MODELS:
        objective = objective_of(dimension, model)
        z = rng.normal(size=PARAMETERS[dimension][model])
        matrix = objective.move(np.eye(dimension + 1), z, 0.3).state
        linear = matrix[:-1, :-1]
        product = linear.T @ linear
        share = np.trace(product) / dimension
        np.testing.assert_allclose(matrix[-1], np.eye(dimension + 1)[-1], atol=1e-12)
        if model == "translation":
            np.testing.assert_allclose(linear, np.eye(dimension), atol=1e-12)
        if model == "rigid":
            np.testing.assert_allclose(product, np.eye(dimension), atol=1e-12)
            assert np.linalg.det(linear) > 0
        if model == "similarity":
            np.testing.assert_allclose(product, share * np.eye(dimension), atol=1e-12)
        if model in ("similarity", "affine"):
            assert abs(np.linalg.det(linear) - 1) > 1e-3
        if model == "affine":
            assert np.abs(product - share * np.eye(dimension)).max() > 1e-3


@both_dimensions
def test_the_models_are_nested(dimension):
    """What a model can reach to first order, the next one can."""
    grid = Grid.with_spacing(*SHAPES[dimension].values())
    spans = [
        orthonormal_generators(grid, model, 1.0).reshape(PARAMETERS[dimension][model], -1)
        for model in AFFINE_MODELS
    ]
    for small, large in zip(spans, spans[1:], strict=False):
        assert np.linalg.matrix_rank(np.concatenate([small, large]), tol=1e-9) == len(large)


@both_dimensions
def test_steps_are_bounded_in_voxels_and_displacements_in_mm(dimension):
    objective = objective_of(dimension, "affine")
    grid = objective.similarity.fixed_grid
    direction = np.random.default_rng(1).normal(size=PARAMETERS[dimension]["affine"]) * 1e-4
    matrix = objective.move(np.eye(dimension + 1), direction, 1.0).state
    points = grid.voxel_to_world(grid.coordinates().reshape(dimension, -1))
    moved = matrix[:-1, :-1] @ points + matrix[:-1, -1:] - points
    largest = np.linalg.norm(moved, axis=0).max()
    assert objective.largest_step(direction) * grid.spacing.min() == pytest.approx(
        largest, rel=1e-3
    )
    assert objective.largest_displacement(matrix) == pytest.approx(largest, rel=1e-9)


def test_a_map_out_of_view_shares_nothing_and_pulls_nowhere():
    objective = objective_of(2, "affine")
    away = np.eye(3)
    away[:-1, -1] = 500
    evaluation = objective.evaluate(away)
    assert (evaluation.energy.total, evaluation.energy.similarity, evaluation.in_view) == (0, 0, 0)
    assert (evaluation.gradient() == 0).all()
    assert objective.evaluate(np.eye(3)).energy.total < 0
    nowhere = objective.evaluate(np.full((3, 3), np.nan))
    assert np.isnan(nowhere.energy.total) and np.isnan(nowhere.gradient()).all()


def motion(dimension, centre, degrees=0.0, scale=1.0, shift=None):
    """Rotation and scaling about a centre, then a shift; fixed world -> moving world."""
    matrix, angle = np.eye(dimension + 1), np.deg2rad(degrees)
    a, b = dimension - 2, dimension - 1
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[a, b], matrix[b, a] = -np.sin(angle), np.sin(angle)
    matrix[:-1, :-1] *= scale
    matrix[:-1, -1] = centre - matrix[:-1, :-1] @ centre
    if shift is not None:
        matrix[:-1, -1] += shift
    return matrix


def moved_pair(dimension, size, matrix, seed=0):
    """A head in two contrasts in the middle of a large field of view, moved by `matrix`."""
    head = 2 * size // 3 if dimension == 2 else size - 16
    phantom = deformed_pair(
        (head,) * dimension, np.random.default_rng(seed), affine=False, displacement_rms=0.0
    )
    margin = (size - head) // 2
    fixed, moving = (
        np.pad(image, margin).astype(np.float32) for image in (phantom.fixed, phantom.moving)
    )
    inverse = np.linalg.inv(matrix)
    moving = ndimage.affine_transform(moving, inverse[:-1, :-1], inverse[:-1, -1], order=1)
    mask = np.pad(phantom.mask, margin)
    return moving, fixed, np.argwhere(mask).T.astype(float)


def error_of(result, matrix, points):
    """Root-mean-square distance (mm) between the map found and the true one."""
    found, d = result.affine, len(matrix) - 1
    difference = (found - matrix)[:d, :d] @ points + (found - matrix)[:d, d:]
    return float(np.sqrt(np.square(difference).sum(0).mean()))


PLANE, VOLUME = 120, 56
THIRD = np.array([40.0, 0.0])
MOTIONS = {
    "translation": dict(shift=THIRD),
    "rigid": dict(degrees=30, shift=0.5 * THIRD),
    "rigid-back": dict(degrees=-30, shift=-THIRD[::-1]),
    "similarity": dict(degrees=20, scale=1.15, shift=0.3 * THIRD),
    "similarity-smaller": dict(degrees=-15, scale=0.85),
    "affine": dict(degrees=30, scale=1.15, shift=THIRD * 0.25),
}


@pytest.mark.parametrize("name", MOTIONS)
def test_large_motions_of_a_slice_are_recovered(name):
    centre = np.full(2, (PLANE - 1) / 2)
    matrix = motion(2, centre, **MOTIONS[name])
    moving, fixed, points = moved_pair(2, PLANE, matrix)
    result = varreg.solve(moving, fixed, affine=name.split("-")[0], deformable=False, threads=1)
    assert error_of(result, matrix, points) < 0.5
    assert result.transform.nodes is None


@pytest.mark.parametrize("model", ["affine", "similarity", "rigid"])
def test_a_volume_turned_scaled_and_shifted_is_recovered(model):
    centre = np.full(3, (VOLUME - 1) / 2)
    matrix = motion(
        3, centre, degrees=20, scale=1.0 if model == "rigid" else 1.12, shift=np.array([3.0, -9, 5])
    )
    moving, fixed, points = moved_pair(3, VOLUME, matrix)
    result = varreg.solve(moving, fixed, affine=model, deformable=False, threads=1)
    assert error_of(result, matrix, points) < 0.7


@pytest.mark.parametrize("start", ["header", "centres", "moments", "matrix"])
def test_each_start_leads_to_a_small_motion(start):
    matrix = motion(2, np.full(2, (PLANE - 1) / 2), degrees=4, shift=np.array([3.0, -2.0]))
    moving, fixed, points = moved_pair(2, PLANE, matrix, seed=1)
    begin = np.eye(3) if start == "matrix" else start
    result = varreg.solve(moving, fixed, affine="rigid", deformable=False, start=begin, threads=1)
    assert error_of(result, matrix, points) < 0.3


def test_a_given_matrix_is_used_as_it_is():
    matrix = motion(2, np.full(2, 20.0), degrees=3, shift=np.array([1.0, 2.0]))
    moving, fixed, _ = moved_pair(2, PLANE, matrix)
    result = varreg.solve(moving, fixed, affine=matrix, deformable=False, threads=1)
    np.testing.assert_array_equal(result.affine, matrix)
    assert not result.history


@both_dimensions
@every_model
def test_energy_never_rises_within_a_level(dimension, model):
    size = 64 if dimension == 2 else 40
    matrix = motion(dimension, np.full(dimension, size / 2), degrees=5, shift=np.full(dimension, 2))
    moving, fixed, _ = moved_pair(dimension, size if dimension == 2 else 50, matrix)
    result = varreg.solve(moving, fixed, affine=model, deformable=False, threads=1)
    runs = np.cumsum([h.iteration == 0 for h in result.history])
    for run in np.unique(runs):
        energies = [h.energy for h, r in zip(result.history, runs, strict=True) if r == run]
        assert (np.diff(energies) <= 0).all()
    assert result.energy.total < result.start_energy.total
    assert max(h.iteration for h in result.history) >= 3
