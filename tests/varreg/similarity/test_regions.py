"""Mutual information given the region."""

import numpy as np
import pytest

import varreg
from varreg.backends.arrays import Workspace
from varreg.backends.numba import backend as cpu
from varreg.backends.numpy import backend as reference
from varreg.data.phantom import ErrorSummary, deformed_pair
from varreg.data.phantom.random_map import smooth_field
from varreg.energy.affine import AffineObjective
from varreg.geometry.grid import Grid
from varreg.images.level_image import LevelImage
from varreg.options.options import Options
from varreg.similarity.estimator import parzen_kernel
from varreg.similarity.mutual_information import MutualInformation
from varreg.similarity.regions import region_counts

from ..problems import pair
from .boxes import boxes

both_dimensions = pytest.mark.parametrize("dimension", [2, 3])


def textures(dimension, seed=0, **settings):
    """Two images that share some structure, on grids of their own."""
    shape = {2: (45, 38), 3: (18, 15, 21)}[dimension]
    fixed, moving = pair(shape, (1.2, 0.9, 1.6)[:dimension], seed, **settings)
    return fixed, LevelImage(0.5 * moving.data + 0.5 * fixed.data, moving.mask, moving.grid)


def similarity(fixed, moving, regional, affine=None, kernels=cpu, threads=1, **options):
    """(value, the MutualInformation) at a world map, the identity by default."""
    problem = MutualInformation(
        fixed, moving, Options(**options), kernels, threads, np.float64, regional=regional
    )
    affine = np.eye(fixed.grid.dim + 1) if affine is None else affine
    return AffineObjective(problem, "translation").evaluate(affine).energy.similarity, problem


def histogram(problem):
    """The tables of the regions, (R, B, B), where the nodes were last."""
    bins = problem.estimator.bins
    images = problem.moving, *problem.place
    table = problem.kernels.joint_histogram(*images, problem.rows, Workspace(), 1)
    return table.reshape(-1, bins, bins)


def gradient_of(problem):
    """By the nodes, where they were last."""
    return problem.evaluate(*problem.place).gradient()


def shifted(dimension):
    """Maps part of the image, some boxes whole, out of view."""
    matrix = np.eye(dimension + 1)
    matrix[:-1, -1] = (13.3, -2.4) if dimension == 2 else (6.3, -2.4, 4.1)
    return matrix


def cut_out(image, box):
    """A box of an image, where it was in the world."""
    start = [s.start for s in box]
    matrix = image.grid.affine.copy()
    matrix[:-1, -1] += matrix[:-1, :-1] @ start
    mask = None if image.mask is None else image.mask[box]
    return LevelImage(image.data[box], mask, Grid(image.data[box].shape, matrix))


@both_dimensions
@pytest.mark.parametrize("masks", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("moved", [False, True], ids=["aligned", "partly-out-of-view"])
@pytest.mark.parametrize("options", [dict(), dict(interpolation="cubic", bins=20)], ids=str)
def test_it_is_the_weighted_sum_over_the_boxes_by_themselves(dimension, masks, moved, options):
    fixed, moving = textures(dimension, fixed_mask=masks, moving_mask=masks, oblique=True)
    if masks:
        fixed.mask[: fixed.grid.shape[0] // 2] = False  # some boxes do not count at all
    affine = shifted(dimension) if moved else None
    value, problem = similarity(fixed, moving, True, affine, regions=3, **options)
    counts = region_counts(fixed.grid, 3)
    wanted = total = 0.0
    for box in boxes(fixed.grid.shape, counts):
        part = cut_out(fixed, box)
        count = part.data.size if part.mask is None else part.mask.sum()
        total += count
        if count:
            wanted += count * similarity(part, moving, False, affine, **options)[0]
    assert len(boxes(fixed.grid.shape, counts)) == len(histogram(problem)) > 4
    assert value == pytest.approx(wanted / total, rel=1e-10)
    assert value > 0.005


@both_dimensions
@pytest.mark.parametrize("masks", [False, True], ids=["whole", "masked"])
def test_one_region_is_the_whole_image_bit_for_bit(dimension, masks):
    fixed, moving = textures(dimension, fixed_mask=masks, moving_mask=masks)
    (here, one), (there, whole) = (
        similarity(fixed, moving, regional, shifted(dimension), regions=1)
        for regional in (True, False)
    )
    assert here == there
    assert one.rows.row.tobytes() == whole.rows.row.tobytes()
    np.testing.assert_array_equal(one.rows.tiles, whole.rows.tiles)
    assert gradient_of(one).tobytes() == gradient_of(whole).tobytes()


@pytest.mark.parametrize("shape", [(48, 52), (32, 36, 33)], ids=str)
def test_a_registration_with_one_region_is_one_of_the_whole_image(shape):
    images = deformed_pair(shape, np.random.default_rng(0))
    settings = dict(affine="affine", deformable=True, affine_iterations=3, iterations=3)
    settings |= dict(levels=(2, 1), threads=2)
    one, whole, several = (
        varreg.solve(images.moving, images.fixed, **settings, **kind)
        for kind in (dict(regions=1), dict(similarity="mi"), dict())
    )
    assert one.u.tobytes() == whole.u.tobytes()
    assert (one.energy, one.start_energy) == (whole.energy, whole.start_energy)
    assert one.history == whole.history
    assert several.u.tobytes() != whole.u.tobytes()
    np.testing.assert_array_equal(several.affine, whole.affine)  # always of the whole image


def test_start_and_end_are_of_the_same_similarity():
    """Else the energy would seem to rise where it fell."""
    images = deformed_pair((64, 64), np.random.default_rng(1), affine=False)
    settings = dict(affine=None, threads=1)
    kept = varreg.solve(images.moving, images.fixed, iterations=0, deformable=True, **settings)
    wanted = pytest.approx(kept.start_energy.total, rel=1e-6)  # float32 rounds differently
    assert kept.energy.total == wanted
    moved = varreg.solve(images.moving, images.fixed, deformable=True, **settings)
    assert moved.start_energy == kept.start_energy
    assert moved.energy.total < moved.start_energy.total
    whole = varreg.solve(images.moving, images.fixed, deformable=False, **settings)
    assert whole.energy == whole.start_energy != kept.start_energy


@both_dimensions
def test_the_chain_rule_of_information(dimension):
    """I(F; M | R) = I((F, R); M) - I(R; M), which lies between 0 and I((F, R); M), and is at
    least I(F; M) - I(R; M)."""
    fixed, moving = textures(dimension)
    value, problem = similarity(fixed, moving, True, regions=4)
    measure = problem.estimator
    tables = cpu.smooth_table(histogram(problem).reshape(-1, measure.bins), measure.kernel)
    tables = tables.reshape(-1, measure.bins, measure.bins) / tables.sum()

    def information(density):
        product = density.sum(1, keepdims=True) * density.sum(0)
        some = density > 0
        return float((density[some] * np.log(density[some] / product[some])).sum())

    place = information(tables.sum(1))
    everything = information(tables.reshape(-1, measure.bins))
    assert value == pytest.approx(everything - place, rel=1e-10)
    assert 0 < value < everything
    assert value >= information(tables.sum(0)) - place
    assert value < np.log(measure.bins)


def test_a_shading_of_each_box_of_its_own_changes_nothing():
    """Per box, intensities may be renumbered at will: nothing is compared across boxes."""
    rng = np.random.default_rng(5)
    regions, bins = 6, 16
    kernel = parzen_kernel(bins, 0.05)
    tables = rng.random((regions, bins, bins)) * (np.eye(bins) + 0.02)
    turned = np.stack([t[rng.permutation(bins)][:, rng.permutation(bins)] for t in tables])

    def value(histogram):
        return reference.information(histogram, kernel)[0]

    here, there = (value(t.reshape(-1, bins)) for t in (tables, turned))
    assert here == pytest.approx(there, rel=1e-12)
    here, there = (value(t.sum(0)) for t in (tables, turned))
    assert there < 0.5 * here


@both_dimensions
def test_both_backends_and_any_number_of_threads(dimension):
    fixed, moving = textures(dimension, fixed_mask=True, moving_mask=True)
    affine = shifted(dimension)
    value, problem = similarity(fixed, moving, True, affine)
    gradient = gradient_of(problem)
    for threads in (2, 4):
        again, other = similarity(fixed, moving, True, affine, threads=threads)
        assert again == value
        assert gradient_of(other).tobytes() == gradient.tobytes()
    slow, other = similarity(fixed, moving, True, affine, kernels=reference)
    assert slow == pytest.approx(value, rel=1e-12)
    scale = np.abs(gradient).max()
    np.testing.assert_allclose(gradient_of(other), gradient, rtol=0, atol=1e-11 * scale)


@pytest.mark.slow  # compiles the kernels anew, for wider fixed
def test_very_many_regions_are_still_the_sum_over_the_boxes():
    """More than 32767 rows of tables."""
    fixed, moving = textures(2)
    fixed, moving = (
        LevelImage(np.kron(i.data, np.ones((3, 3))), None, Grid.with_spacing((135, 114)))
        for i in (fixed, moving)
    )
    value, problem = similarity(fixed, moving, True, regions=64, bins=64)
    assert len(histogram(problem)) * 64 > np.iinfo(np.int16).max
    slow, other = similarity(fixed, moving, True, regions=64, bins=64, kernels=reference)
    assert slow == pytest.approx(value, rel=1e-12)
    parts = boxes(fixed.grid.shape, region_counts(fixed.grid, 64))
    wanted = sum(
        fixed.data[box].size * similarity(cut_out(fixed, box), moving, False, bins=64)[0]
        for box in parts
    )
    assert value == pytest.approx(wanted / fixed.data.size, rel=1e-10)


def shaded(image, strength, rng):
    """The image under a smooth bias field, `strength` being the deviation of its logarithm."""
    field = smooth_field(image.shape, 1.0, 0.2 * image.shape[0], rng)[0]
    return (image * np.exp(strength * field)).astype(np.float32)


def test_a_bias_field_hurts_less_than_with_one_table_for_the_whole_image():
    """Mean over pairs of what the bias adds to the target registration error."""
    errors = {"regional-mi": [], "mi": []}
    for seed in range(4):
        images = deformed_pair((112, 112), np.random.default_rng(seed), bias=0.0)
        biased = shaded(images.moving, 0.35, np.random.default_rng(100 + seed))
        for kind, found in errors.items():
            results = (
                varreg.solve(moving, images.fixed, similarity=kind, threads=2)
                for moving in (images.moving, biased)
            )
            found.append(
                [
                    ErrorSummary.between(r.displacement, images.displacement, images.mask).mean
                    for r in results
                ]
            )
    clean, spoilt = (
        {kind: np.array(found)[:, k].mean() for kind, found in errors.items()} for k in (0, 1)
    )
    assert spoilt["regional-mi"] < 0.8 * spoilt["mi"]
    added = {kind: spoilt[kind] - clean[kind] for kind in errors}
    assert added["regional-mi"] < 0.5 * added["mi"]
