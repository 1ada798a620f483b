"""The gradient of the deformable energy is that of the number that is computed."""

import numpy as np
import pytest

from varreg.backends.numba import backend as cpu
from varreg.backends.numpy import backend as reference
from varreg.energy.deformable import DeformableObjective
from varreg.energy.smoothness import Smoothness
from varreg.geometry.grid import Grid
from varreg.images.level_image import LevelImage
from varreg.similarity.mutual_information import MutualInformation

from ..problems import central_difference, deformable_problem, pair, random_affine, state

FLAT, DEEP = dict(shape=(20, 23)), dict(shape=(9, 11, 10))
PLANE = {  # what each case adds to 2D and to 3D
    "plain": dict(),
    "cubic": dict(interpolation="cubic"),
    "anisotropic": dict(spacing=(0.7, 1.9)),
    "oblique": dict(spacing=(1.3, 0.8), oblique=True),
    "moving-grid": dict(moving_shape=(27, 18)),
    "few-nodes": dict(nodes=(5, 6)),
    "few-nodes-zero-boundary": dict(nodes=(6, 7), constraint="zero-boundary"),
    "zero-boundary": dict(constraint="zero-boundary"),
    "fixed-mask": dict(fixed_mask=True),
    "moving-mask": dict(moving_mask=True),
    "both-masks-cubic": dict(fixed_mask=True, moving_mask=True, interpolation="cubic"),
    "fixed-weights": dict(fixed_mask="weights"),
    "both-weights-cubic": dict(fixed_mask="weights", moving_mask="weights", interpolation="cubic"),
    "weights-anisotropic-regional": dict(
        fixed_mask="weights", moving_mask="weights", regional=True, regions=3, stride=2, spacing=(0.7, 1.9)
    ),
    "per-pixel-weights": dict(
        estimator="per-pixel", bins=24, fixed_mask="weights", moving_mask="weights"
    ),
    "h1": dict(length=0.0),
    "per-pixel": dict(estimator="per-pixel", bins=24),
    "per-pixel-masks": dict(
        estimator="per-pixel", bins=24, kernel_width=0.7, fixed_mask=True, moving_mask=True
    ),
    "weights": dict(similarity_weight=3.0, smoothness_weight=0.05),
    "wide-kernel": dict(kernel_width=2.5, bins=20),
    "order-2": dict(order=2),
    "volume": dict(volume_weight=0.45, order=2),
    "volume-anisotropic": dict(volume_weight=3.0, spacing=(0.7, 1.9), nodes=(5, 6)),
    "volume-zero-boundary": dict(
        volume_weight=0.5, spacing=(1.3, 0.8), oblique=True, nodes=(6, 7), constraint="zero-boundary"
    ),
    "order-4": dict(order=4, length=2.0),
    "order-2-zero-boundary": dict(order=2, nodes=(6, 7), constraint="zero-boundary"),
    "order-4-oblique": dict(order=4, spacing=(1.3, 0.8), oblique=True, nodes=(5, 6)),
    "stride-2": dict(stride=2),
    "stride-4": dict(stride=4),
    "stride-2-regional-masks": dict(
        stride=2, regional=True, regions=3, fixed_mask=True, moving_mask=True
    ),
    "stride-4-oblique-cubic": dict(
        stride=4, spacing=(1.3, 0.8), oblique=True, moving_shape=(27, 18), nodes=(5, 6),
        interpolation="cubic",
    ),
    "regional": dict(regional=True, regions=3),
    "regional-cubic": dict(regional=True, regions=3, interpolation="cubic"),
    "regional-masks": dict(regional=True, regions=4, fixed_mask=True, moving_mask=True),
    "regional-oblique": dict(
        regional=True, spacing=(1.3, 0.8), oblique=True, moving_shape=(27, 18), nodes=(5, 6)
    ),
    "regional-all-at-once": dict(
        regional=True, regions=3, spacing=(2.1, 0.6), oblique=True, moving_shape=(17, 26),
        nodes=(7, 5), fixed_mask=True, moving_mask=True, interpolation="cubic", bins=16,
        kernel_width=1.3, constraint="zero-boundary",
    ),
    "all-at-once": dict(
        spacing=(2.1, 0.6), oblique=True, moving_shape=(17, 26), nodes=(7, 5), fixed_mask=True,
        moving_mask=True, interpolation="cubic", estimator="per-pixel", bins=16,
        constraint="zero-boundary",
    ),
}  # fmt: skip
SPACE = {
    "spacing": (1.4, 0.7, 2.0),
    "moving_shape": (11, 8, 12),
    "nodes": (4, 3, 5),
}


def case(name, dimension):
    settings = dict(PLANE[name])
    if dimension == 3:
        settings = {key: SPACE.get(key, value) for key, value in settings.items()}
    spacing = settings.pop("spacing", (1.0,) * dimension)
    return dict(DEEP if dimension == 3 else FLAT) | settings | {"spacing": spacing}


every_case = pytest.mark.parametrize("name", PLANE)
both_dimensions = pytest.mark.parametrize("dimension", [2, 3])


def random_direction(objective, rng, length):
    """A random smooth direction that moves no point further than `length` voxels."""
    direction = rng.normal(size=(objective.dimension, *objective.smoothness.shape))
    direction *= objective.smoothness.scale > 0
    return direction * (length / objective.largest_step(direction))


def directional_derivatives(objective, z, direction, part):
    """(by the gradient, by differences) along a direction in z, of one part of the energy."""
    gradient = objective.evaluate(state(objective, z)).gradient()
    gradient = {
        "total": gradient,
        "similarity": (z - gradient) / objective.options.similarity_weight,
        "smoothness": z / objective.smoothness.weight,
    }[part]
    analytic = float((gradient * direction).sum())

    def value(at):
        return getattr(objective.evaluate(state(objective, at)).energy, part)

    return analytic, central_difference(value, z, direction, 1.0)


@both_dimensions
@every_case
def test_gradient_against_differences(name, dimension):
    objective, z, rng = deformable_problem(**case(name, dimension))
    for _ in range(3):
        direction = random_direction(objective, rng, 1e-6)
        analytic, numeric = directional_derivatives(objective, z, direction, "total")
        assert analytic == pytest.approx(numeric, rel=1e-6)


@both_dimensions
@pytest.mark.parametrize("name", [
    "plain", "all-at-once", "regional", "weights", "h1", "order-2", "order-4",
    "stride-2-regional-masks", "stride-4",
])  # fmt: skip
@pytest.mark.parametrize("part", ["similarity", "smoothness"])
def test_gradient_of_each_term_by_itself(name, dimension, part):
    objective, z, rng = deformable_problem(**case(name, dimension))
    length = 1e-6 if part == "similarity" else 0.1  # a quadratic form: exact for any step
    direction = random_direction(objective, rng, length)
    analytic, numeric = directional_derivatives(objective, z, direction, part)
    assert analytic == pytest.approx(numeric, rel=1e-6)


@both_dimensions
@pytest.mark.parametrize("axis", [0, 1])
def test_gradient_along_single_coordinates(dimension, axis):
    objective, z, rng = deformable_problem(**case("few-nodes", dimension))
    for _ in range(4):
        place = (axis, *(rng.integers(1, n) for n in objective.smoothness.shape))
        direction = np.zeros_like(z)
        direction[place] = 1.0
        direction *= 1e-6 / objective.largest_step(direction)
        analytic, numeric = directional_derivatives(objective, z, direction, "total")
        assert analytic == pytest.approx(numeric, rel=1e-5, abs=1e-11)


@both_dimensions
@pytest.mark.parametrize("name", ["cubic", "both-masks-cubic", "regional-cubic"])
def test_taylor_remainder_is_of_second_order(name, dimension):
    objective, z, rng = deformable_problem(**case(name, dimension))
    direction = random_direction(objective, rng, 1.0)
    start = objective.evaluate(state(objective, z))
    slope = float((start.gradient() * direction).sum())
    steps = np.array([4e-2, 2e-2, 1e-2, 5e-3, 2.5e-3])
    along = [objective.evaluate(state(objective, z + t * direction)) for t in steps]
    change = np.array([there.energy.total for there in along]) - start.energy.total
    first, remainder = np.abs(change), np.abs(change - steps * slope)
    order = np.polyfit(np.log(steps), np.log(remainder), 1)[0]
    assert order == pytest.approx(2, abs=0.2)
    assert np.polyfit(np.log(steps), np.log(first), 1)[0] < 1.5  # else the slope plays no part


@both_dimensions
@pytest.mark.parametrize(
    "name",
    [
        "plain", "all-at-once", "per-pixel-masks", "regional-masks", "regional-all-at-once",
        "stride-2-regional-masks", "stride-4-oblique-cubic",
    ],
)  # fmt: skip
def test_both_backends_have_the_same_energy_and_gradient(name, dimension):
    values = []
    for kernels in (cpu, reference):
        objective, z, _ = deformable_problem(kernels=kernels, **case(name, dimension))
        evaluation = objective.evaluate(state(objective, z))
        values.append((evaluation.energy.total, evaluation.gradient()))
    (energy, gradient), (again, other) = values
    assert energy == pytest.approx(again, rel=1e-12)
    np.testing.assert_allclose(gradient, other, rtol=0, atol=1e-11 * np.abs(other).max())


@both_dimensions
def test_the_energy_is_the_weighted_sum_of_its_parts(dimension):
    objective, z, _ = deformable_problem(**case("weights", dimension))
    energy = objective.evaluate(state(objective, z)).energy
    assert energy.total == pytest.approx(-3.0 * energy.similarity + 0.05 * energy.smoothness)
    assert 0.05 * energy.smoothness == pytest.approx(0.5 * np.square(z).sum())
    assert energy.similarity > 0


@both_dimensions
@pytest.mark.parametrize("name", ["both-masks-cubic", "regional-masks", "stride-4"])
def test_the_energy_has_no_memory(name, dimension):
    """Buffers are reused: neither value nor gradient may depend on what came before."""
    objective, z, rng = deformable_problem(**case(name, dimension))
    first = objective.evaluate(state(objective, z))
    gradient = first.gradient()
    objective.evaluate(state(objective, z + random_direction(objective, rng, 2.0))).gradient()
    again = objective.evaluate(state(objective, z))
    assert again.energy == first.energy
    np.testing.assert_array_equal(again.gradient(), gradient)


def test_pixels_and_planes_have_the_same_energy():
    """A volume whose planes are all alike, displaced within its planes, is the plane."""
    flat, z, _ = deformable_problem(**case("plain", 2))
    field = flat.smoothness.to_field(z)
    deep = stacked(flat, planes=5)
    volume = np.concatenate([np.zeros((1, *field.shape[1:])), field])[:, None].repeat(5, axis=1)
    here = flat.evaluate((z, field)).energy
    there = deep.evaluate((deep.smoothness.to_coordinates(volume), volume)).energy
    assert there.similarity == pytest.approx(here.similarity, rel=1e-12)
    assert there.smoothness == pytest.approx(here.smoothness, rel=1e-12)


def stacked(flat, planes):
    """The deformable objective of a volume of equal planes."""
    images = []
    for image in pair((20, 23), (1.0, 1.0)):
        data = image.data[None].repeat(planes, axis=0)
        images.append(LevelImage(data, None, Grid.with_spacing(data.shape)))
    level = MutualInformation(*images, flat.options, cpu, 1, np.float64)
    affine = np.eye(4)
    affine[1:, 1:] = random_affine(2, np.random.default_rng(1))
    shape = level.fixed_grid.shape
    smoothness = Smoothness(shape, np.ones(3), 1.0, 4.0, "zero-mean")
    return DeformableObjective(level, affine, smoothness, flat.options)
