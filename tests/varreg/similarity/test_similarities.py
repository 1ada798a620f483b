"""Every similarity is a number with its exact gradient, blind to what it should be blind to."""

import dataclasses

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

import varreg
from varreg.backends.numba import backend as cpu
from varreg.backends.numpy import backend as reference
from varreg.data.phantom import deformed_pair
from varreg.energy.affine import AffineObjective
from varreg.energy.deformable import DeformableObjective
from varreg.energy.smoothness import Smoothness
from varreg.errors import InputError
from varreg.geometry.grid import Grid
from varreg.images.intensities import unit_intensities
from varreg.images.level_image import LevelImage
from varreg.options.options import Options
from varreg.similarity.choice import affine_choice, deformable_choice, similarity
from varreg.similarity.mind import self_similarity
from varreg.similarity.ssd import NOISE, chance_difference

from ..problems import central_difference, pair, random_affine, smooth_image, state

NEW = ["nmi", "lncc", "mind", "ssd"]
ALL = ["regional-mi", "mi", *NEW]
every_new = pytest.mark.parametrize("name", NEW)
every_one = pytest.mark.parametrize("name", ALL)
both_dimensions = pytest.mark.parametrize("dimension", [2, 3])

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
# shape, uneven spacing, other moving shape, few nodes
FLAT = ((21, 24), (2.1, 0.6), (17, 26), (7, 5))
DEEP = ((9, 11, 10), (1.4, 0.7, 2.0), (11, 8, 12), (4, 3, 5))


def similarity_of(name, fixed, moving, dtype=np.float64, kernels=cpu, threads=1, **options):
    return similarity(
        name, fixed, moving, Options(similarity=name, **options), kernels, threads, dtype
    )


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


# --- what a similarity is, and is not, blind to ------------------------------------------------


def at(name, fixed, moving, matrix=None, **options):
    """Similarity under an affine map."""
    matrix = np.eye(fixed.grid.dim + 1) if matrix is None else matrix
    level = similarity_of(name, fixed, moving, **options)
    return AffineObjective(level, "translation").evaluate(matrix).energy.similarity


def plain(data, mask=None):
    return LevelImage(data, mask, Grid.with_spacing(data.shape))


def twins(shape=(30, 33), cycles=4.0, likeness=0.9):
    """A textured image, and another one that resembles it."""
    rng = np.random.default_rng(0)
    image, other = smooth_image(shape, rng, cycles), smooth_image(shape, rng, cycles)
    return plain(image), plain(likeness * image + (1 - likeness) * other)


def with_data(image, data):
    return dataclasses.replace(image, data=data)


@both_dimensions
@pytest.mark.parametrize("name", ["regional-mi", "mi", "nmi", "lncc", "mind"])
def test_inverting_a_contrast_changes_nothing(name, dimension):
    fixed, moving = twins((30, 33) if dimension == 2 else (12, 13, 11))
    before = at(name, fixed, moving)
    assert before > 0.05
    assert at(name, fixed, with_data(moving, 1 - moving.data)) == pytest.approx(before, rel=1e-9)


def test_squares_see_an_inverted_contrast():
    fixed, moving = twins()
    assert at("ssd", fixed, moving) > 1
    assert at("ssd", fixed, with_data(moving, 1 - moving.data)) < 0


@pytest.mark.parametrize("varying, tolerance", [(0.0, 0.03), (0.2, 0.06)])
def test_local_correlation_hardly_sees_a_local_affine_change(varying, tolerance):
    """But for the noise that it allows for, and for what varies within a box."""
    fixed, moving = twins((60, 64), 8.0, likeness=0.5)
    rng = np.random.default_rng(3)
    gain, offset = (0.7 + varying * smooth_image((60, 64), rng, 0.3) for _ in range(2))
    shaded = with_data(moving, gain * moving.data + offset - 0.7)
    before = at("lncc", fixed, moving)
    assert before > 0.4
    assert at("lncc", fixed, shaded) == pytest.approx(before, rel=tolerance)
    assert at("ssd", fixed, shaded) < 0.8 * at("ssd", fixed, moving)


@both_dimensions
def test_descriptors_do_not_see_the_scale_of_a_contrast(dimension):
    fixed, moving = twins((30, 33) if dimension == 2 else (12, 13, 11))
    before = at("mind", fixed, moving)
    assert at("mind", fixed, with_data(moving, 0.2 + 0.3 * moving.data)) == pytest.approx(before)


@pytest.mark.parametrize("name", ["mi", "nmi"])
def test_histograms_do_not_see_which_value_stands_for_which(name):
    """Values on bins, further apart than any kernel reaches: permuting them permutes the table."""
    bins, kinds = 64, np.array([8, 20, 35, 50])
    rng = np.random.default_rng(0)
    tissue = np.digitize(smooth_image((40, 44), rng), (0.3, 0.5, 0.7))
    noisy = np.where(rng.random((40, 44)) < 0.1, rng.integers(0, 4, (40, 44)), tissue)
    fixed = plain((kinds / (bins - 3.0))[tissue])
    found = [
        at(name, fixed, plain((kinds[order] / (bins - 3.0))[noisy]), bins=bins, kernel_width=0.3)
        for order in ([0, 1, 2, 3], [2, 0, 3, 1], [3, 2, 1, 0])
    ]
    assert found[0] > 0.2
    np.testing.assert_allclose(found, found[0], rtol=1e-10)


def test_normalised_information_discounts_what_only_the_moving_image_has():
    """(NMI - 1) H_0 = MI if the moving image follows from the fixed one, less if it has its own."""
    fixed, moving = twins()
    split = with_data(moving, np.random.default_rng(0).random(moving.data.shape))
    for other in (fixed, moving, split):
        mutual, normalised = (at(name, fixed, other, kernel_width=0.3) for name in ("mi", "nmi"))
        assert 0 < normalised < mutual
    same = [at(name, fixed, fixed, kernel_width=0.3) for name in ("mi", "nmi")]
    apart = [at(name, fixed, split, kernel_width=0.3) for name in ("mi", "nmi")]
    assert same[1] / same[0] > 1.3 * apart[1] / apart[0]


@pytest.mark.parametrize("name", ["ssd", "mind"])
def test_no_difference_is_the_maximum(name):
    fixed, moving = twins()
    rng = np.random.default_rng(1)
    best = at(name, fixed, fixed)
    level = similarity_of(name, fixed, fixed)
    assert best == pytest.approx(0.5 * np.log((level.chance + NOISE**2) / NOISE**2))
    for size in (1e-3, 1e-2, 0.1):
        noisy = np.clip(fixed.data + size * rng.normal(size=fixed.data.shape), 0, 1)
        assert at(name, fixed, with_data(fixed, noisy)) < best


def test_squares_gain_nothing_over_chance_from_shuffled_voxels():
    fixed, moving = twins((80, 90))
    shuffled = np.random.default_rng(0).permutation(moving.data.ravel()).reshape(80, 90)
    assert abs(at("ssd", fixed, with_data(moving, shuffled))) < 0.02


def test_the_difference_that_chance_would_have():
    rng = np.random.default_rng(0)
    fixed, moving = rng.random((2, 1, 5, 6)), rng.random((2, 1, 4, 7))
    here, there = rng.random((1, 5, 6)), rng.random((1, 4, 7))
    every = np.square(fixed.reshape(2, -1, 1) - moving.reshape(2, 1, -1))
    weight = here.reshape(-1, 1) * there.reshape(1, -1)
    expected = (every * weight).sum((1, 2)).mean() / weight.sum()
    assert chance_difference(fixed, here, moving, there) == pytest.approx(expected)


# --- descriptors --------------------------------------------------------------------------------


def test_descriptors_by_their_definition():
    """The distance of two pairs of neighbours, written down once more for one voxel."""
    rng = np.random.default_rng(0)
    image = rng.random((9, 11))
    found = np.array(self_similarity(plain(image), Grid.with_spacing((9, 11))))
    assert found.shape == (4, 9, 11)
    assert (found.max(0) == 1).all() and (found > 0).all()
    offset = np.arange(-2, 3)
    patch = np.exp(-0.5 * (offset / 0.7) ** 2)
    patch = np.outer(patch, patch) / patch.sum() ** 2
    padded = np.pad(image, 4)
    x, y = 4 + 4, 5 + 4

    def around(dx, dy):
        return padded[x + dx - 2 : x + dx + 3, y + dy - 2 : y + dy + 3]

    distance = np.array([
        (patch * (around(s, 0) - around(0, t)) ** 2).sum() for s in (1, -1) for t in (1, -1)
    ])  # fmt: skip
    distance -= distance.min()
    np.testing.assert_allclose(found[:, 4, 5], np.exp(-distance / distance.mean()), rtol=1e-6)


@both_dimensions
def test_descriptors_follow_the_space_not_the_order_of_voxels(dimension):
    """The same image stored with other axes and directions is the same to the similarity."""
    shape = (14, 17) if dimension == 2 else (8, 9, 10)
    fixed, moving = (with_data(i, i.data.astype(np.float64)) for i in twins(shape))
    turned, matrix = np.swapaxes(moving.data, 0, 1)[::-1], np.eye(dimension + 1)
    matrix[[0, 1]] = matrix[[1, 0]]  # new axis 0 runs along old axis 1, backwards
    matrix[1, 0] *= -1
    matrix[1, -1] = shape[1] - 1
    stored = LevelImage(np.ascontiguousarray(turned), None, Grid(turned.shape, matrix))
    assert at("mind", fixed, stored) == pytest.approx(at("mind", fixed, moving), rel=1e-9)


@both_dimensions
def test_descriptors_of_a_constant_are_one(dimension):
    image = plain(np.full((7, 8, 9)[:dimension], 0.4))
    np.testing.assert_array_equal(self_similarity(image, image.grid), 1)


# --- view and masks -----------------------------------------------------------------------------


@every_one
@both_dimensions
def test_nothing_in_view_is_worth_nothing(name, dimension):
    fixed, moving = pair(*((FLAT, DEEP)[dimension - 2][:2]))
    objective = AffineObjective(similarity_of(name, fixed, moving), "affine")
    matrix = np.eye(dimension + 1)
    here = objective.evaluate(matrix)
    assert here.energy.similarity != 0 and here.in_view > 0.9
    matrix[0, -1] = 1e3
    away = objective.evaluate(matrix)
    assert away.energy.similarity == away.in_view == 0
    np.testing.assert_array_equal(away.gradient(), 0)


@every_one
def test_a_mask_of_nothing_is_worth_nothing(name):
    fixed, moving = pair((21, 24), (1.0, 1.0))
    empty = dataclasses.replace(fixed, mask=np.zeros((21, 24), bool))
    objective = AffineObjective(similarity_of(name, empty, moving), "affine")
    evaluation = objective.evaluate(np.eye(3))
    assert evaluation.energy.similarity == evaluation.in_view == 0
    np.testing.assert_array_equal(evaluation.gradient(), 0)


@every_one
def test_pushing_things_out_of_view_is_not_rewarded(name):
    """Dark background around an object: leaving with it must not pay, nor with the object."""
    x, y = np.mgrid[:48, :48] - 23.5
    texture = smooth_image((48, 48), np.random.default_rng(0), 8.0)
    image = plain(np.where(np.hypot(x, y) < 14, 0.3 + 0.7 * texture, 0.0))
    best = at(name, image, image)
    for growth in (1.2, 1.5, 2.0, 3.0):
        matrix = np.diag([growth, growth, 1.0])
        matrix[:2, -1] = 23.5 * (1 - growth)
        assert at(name, image, image, matrix) < best
    for shift in (10, 20, 30, 40):
        matrix = np.eye(3)
        matrix[0, -1] = shift
        assert at(name, image, image, matrix) < best


@every_new
@both_dimensions
@pytest.mark.parametrize("which", ["fixed", "moving"])
def test_what_a_mask_leaves_out_does_not_count(name, dimension, which):
    shape = FLAT[0] if dimension == 2 else DEEP[0]
    images = dict(zip(("fixed", "moving"), twins(shape), strict=True))
    mask = smooth_image(shape, np.random.default_rng(1), 0.7) > 0.4
    images[which] = dataclasses.replace(images[which], mask=mask)
    before = at(name, **images)
    changed = np.where(mask, images[which].data, np.random.default_rng(2).random(shape))
    images[which] = with_data(images[which], changed)
    assert at(name, **images) == pytest.approx(before, rel=1e-12)
    unmasked = {key: dataclasses.replace(image, mask=None) for key, image in images.items()}
    assert at(name, **unmasked) != pytest.approx(before, rel=1e-3)


@every_new
@both_dimensions
@pytest.mark.parametrize("mask", ["fixed", "moving"])
def test_a_mask_of_everything_is_none(name, dimension, mask):
    fixed, moving = twins(FLAT[0] if dimension == 2 else DEEP[0])
    matrix = random_affine(dimension, np.random.default_rng(1))
    everything = np.ones(fixed.data.shape, bool)
    masked = [
        dataclasses.replace(image, mask=everything if mask == name_ else None)
        for image, name_ in ((fixed, "fixed"), (moving, "moving"))
    ]
    assert at(name, *masked, matrix) == pytest.approx(at(name, fixed, moving, matrix), rel=1e-12)


@every_one
@pytest.mark.parametrize("constant", ["fixed", "moving", "both"])
def test_constant_images_divide_by_nothing(name, constant):
    fixed, moving = twins((21, 24))
    if constant != "moving":
        fixed = with_data(fixed, np.full((21, 24), 0.5))
    if constant != "fixed":
        moving = with_data(moving, np.full((21, 24), 0.5))
    objective = AffineObjective(similarity_of(name, fixed, moving), "affine")
    matrix = random_affine(2, np.random.default_rng(1))
    evaluation = objective.evaluate(matrix)
    value = evaluation.energy.similarity
    assert np.isfinite(value) and np.isfinite(evaluation.gradient()).all()
    if name != "ssd" or constant == "both":  # chance is no worse than any other placement
        assert value == pytest.approx(0, abs=0.06 if name == "mind" else 1e-9)


# --- solve --------------------------------------------------------------------------------------

T1 = np.array([0.0, 0.2, 0.5, 0.9, 0.65, 0.15, 0.4])
CONTRASTS = {  # of the moving image, and the slow shading on it
    "same": (T1, 0.0),
    "monotone": (T1**2, 0.1),
    "inverted": (np.where(T1 > 0, 1.05 - T1, 0.0), 0.2),
}
SUITABLE = {
    "ssd": "same", "lncc": "monotone", "mind": "inverted", "regional-mi": "inverted",
    "nmi": "same", "mi": "same",
}  # fmt: skip


@pytest.fixture(scope="module")
def anatomy():
    return deformed_pair(
        (96, 90), np.random.default_rng(4), affine=False, displacement_rms=2.0,
        correlation_length=12.0,
    )  # fmt: skip


def images_of(anatomy, contrast):
    """(fixed, moving) without noise."""
    table, shading = CONTRASTS[contrast]
    fixed = gaussian_filter(T1[anatomy.labels_fixed], 0.6)
    moving = gaussian_filter(table[anatomy.labels_moving], 0.6)
    slow = smooth_image(moving.shape, np.random.default_rng(0), 0.7) - 0.5
    return fixed, moving * np.exp(2 * shading * slow)


def error(displacement, anatomy):
    apart = np.linalg.norm(displacement - anatomy.displacement, axis=0)
    return float(apart[anatomy.mask].mean())


@pytest.mark.parametrize("name, contrast", SUITABLE.items())
@pytest.mark.parametrize("affine", [None, "rigid"])
def test_solve_recovers_a_known_deformation(name, contrast, affine, anatomy):
    fixed, moving = images_of(anatomy, contrast)
    result = varreg.solve(moving, fixed, similarity=name, affine=affine, progress=False, threads=1)
    assert error(result.displacement, anatomy) < 0.35 * error(0, anatomy)
    assert result.smallest_determinant > 0
    assert result.energy.total < result.start_energy.total
    assert result.energy.similarity > result.start_energy.similarity


@every_one
def test_energies_are_those_of_the_chosen_similarity(name, anatomy):
    images = images_of(anatomy, "same")
    options = dict(levels=(1,), iterations=2, bins=24, samples_per_node=None)
    result = varreg.solve(
        *images[::-1], similarity=name, affine=None, progress=False, threads=1, **options
    )
    fixed, moving = (plain(unit_intensities(np.float32(image), None)) for image in images)
    level = similarity_of(name, fixed, moving, np.float32, bins=24)
    objective = AffineObjective(level, "translation")
    assert result.start_energy.similarity == objective.evaluate(np.eye(3)).energy.similarity
    assert result.history[0].similarity == pytest.approx(result.start_energy.similarity, rel=1e-5)
    assert result.history[-1].similarity == result.energy.similarity


@pytest.mark.parametrize("name", ["lncc", "mind", "nmi", "ssd"])
def test_solve_with_masks_and_volumes(name):
    rng = np.random.default_rng(2)
    image = smooth_image((26, 25, 24), rng, 3.0)
    grid = np.stack(np.meshgrid(*map(np.arange, image.shape), indexing="ij")).astype(float)
    shift = 1.2 * np.sin(np.pi * grid[[1, 2, 0]] / 24.0)
    fixed = map_coordinates(image, grid + shift, order=3, mode="nearest")
    mask = np.zeros(image.shape, bool)
    mask[3:-3, 3:-3, 3:-3] = True
    result = varreg.solve(
        image, fixed, similarity=name, affine=None, fixed_mask=mask, progress=False, threads=1,
        smoothness_length=3.0,
    )  # fmt: skip
    inner = (slice(None),) + (slice(5, -5),) * 3
    apart = np.linalg.norm((result.displacement - shift)[inner], axis=0).mean()
    assert apart < 0.4 * np.linalg.norm(shift[inner], axis=0).mean()


def test_the_affine_stage_takes_what_sees_far():
    assert [affine_choice(name) for name in ALL] == ["overlap-mi"] * 5 + ["ssd"]
    coarsest = [deformable_choice(name, coarsest=True) for name in ALL]
    assert coarsest == ["mi", "mi", "nmi", "mi", "mi", "ssd"]
    assert [deformable_choice(name, coarsest=False) for name in ALL] == ALL


def test_the_per_pixel_estimator_is_of_mutual_information_only():
    for name in ALL:
        if name != "mi":
            with pytest.raises(InputError, match="add similarity='mi'"):
                Options(similarity=name, estimator="per-pixel")
