"""Mutual information of a batch is that of the solver, pair by pair, and means what it says."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from learned.losses import MutualInformation
from learned.losses.fine_histogram import parzen_matrix
from learned.losses.mutual_information import bent, region_image
from learned.spatial import identity_grid, view_weight, warp
from varreg.backends.numba.sampling import bend
from varreg.geometry.grid import Grid
from varreg.options.options import Options
from varreg.options.presets import PRESETS
from varreg.similarity.estimator import parzen_kernel
from varreg.similarity.regions import region_counts, region_cuts

from ..varreg.problems import (
    deformable_problem,
    pair,
    random_affine,
    smooth_image,
    state,
)

FLAT, DEEP = (29, 34), (9, 12, 11)
SHAPES = pytest.mark.parametrize("shape", [FLAT, DEEP], ids=["2D", "3D"])
NAMED = {name: Options.preset(name) for name in PRESETS}
OPTIONS = {
    **NAMED,
    "whole-image": Options(similarity="mi"),
    "few-regions": Options(regions=3, bins=17, kernel_width=1.3),
}
DENSITY = ("estimator", "bins", "kernel_width", "regions", "interpolation")
every_option = pytest.mark.parametrize("name", OPTIONS)
ESTIMATORS = pytest.mark.parametrize("name", ["default", "accurate", "paper", "cfir"])


def solver_case(shape, options, seed, masks):
    """(value of the solver, warped, fixed, weight, mask), for an affine map and a displacement.

    Cubic values are those before they are bent back into the range of the image.
    """
    d, spacing = len(shape), (1.0,) * len(shape)
    objective, z, _ = deformable_problem(
        shape, spacing, seed=seed, fixed_mask=masks, moving_mask=masks,
        regional=options.similarity == "regional-mi",
        **{name: getattr(options, name) for name in DENSITY},
    )  # fmt: skip
    at = state(objective, z)
    fixed, moving = pair(shape, spacing, seed, masks, masks)
    affine = random_affine(d, np.random.default_rng(seed + 1))
    index = identity_grid(shape, torch.zeros((), dtype=torch.float64)).numpy()
    offset = affine[:-1, -1].reshape(-1, *[1] * d)
    position = np.tensordot(affine[:-1, :-1], index + at[1], 1) + offset
    field = torch.from_numpy(position - index)[None]
    image, share = (
        torch.from_numpy(np.array(i))
        for i in (moving.data, 1.0 if moving.mask is None else moving.mask)
    )
    weight = view_weight(field, shape)
    if masks:
        weight = weight * warp(share[None, None], field)
    warped = warp(image[None, None], field)
    if options.interpolation == "cubic":
        inside = np.clip(position, 0, np.array(shape).reshape(-1, *[1] * d) - 1)
        warped = torch.from_numpy(map_coordinates(moving.data, inside, order=3, mode="mirror"))
    mask = np.ones(shape) if fixed.mask is None else fixed.mask
    images = warped, torch.from_numpy(fixed.data), weight, torch.from_numpy(mask)
    return objective.evaluate(at).energy.similarity, [
        i.reshape(1, 1, *shape).double() for i in images
    ]


def batch(shape, options, dtype=torch.float64):
    """(values of the solver, four tensors (N, 1, *S)) of an unmasked, a masked and a weighted pair."""
    cases = enumerate((False, True, "weights"))
    values, images = zip(*(solver_case(shape, options, *case) for case in cases), strict=True)
    return np.array(values), [torch.cat(all_).to(dtype) for all_ in zip(*images, strict=True)]


def random_pair(shape, seed=0, dtype=torch.float64):
    """Warped and fixed image, (1, 1, *S), and a weight."""
    rng = np.random.default_rng(seed)
    warped, fixed, weight = (smooth_image(shape, rng) for _ in range(3))
    return [torch.from_numpy(image)[None, None].to(dtype) for image in (warped, fixed, weight)]


# --- equality with the solver -------------------------------------------------------------------


@SHAPES
@every_option
def test_value_of_the_solver(name, shape):
    values, (warped, fixed, weight, mask) = batch(shape, OPTIONS[name])
    assert values.min() > 0.01
    found = MutualInformation(OPTIONS[name])(warped, fixed, weight, mask)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found, values, rtol=0, atol=1e-10)


@every_option
def test_single_precision_is_near(name):
    values, (warped, fixed, weight, mask) = batch(FLAT, OPTIONS[name], torch.float32)
    found = MutualInformation(OPTIONS[name])(warped, fixed, weight, mask)
    assert found.dtype == torch.float32
    # a fixed value may fall into another bin
    np.testing.assert_allclose(found, values, rtol=1e-3)


def test_values_beyond_the_range_are_bent_as_in_the_solver():
    """The images above hardly overshoot."""
    value = np.linspace(-4, 30, 69)
    expected = [bend(one, 2.0, 21.0)[0] for one in value]
    np.testing.assert_allclose(bent(torch.from_numpy(value), 2.0, 21.0), expected, atol=1e-14)


@SHAPES
@pytest.mark.parametrize("regions", [1, 2, 5, 8])
def test_regions_are_the_boxes_of_the_solver(shape, regions):
    found, count = region_image(shape, regions)
    counts = region_counts(Grid.with_spacing(shape), regions)
    cuts = [region_cuts(n, parts) for n, parts in zip(shape, counts, strict=True)]
    assert count == np.prod(counts)
    for number, box in enumerate(np.ndindex(*counts)):
        within = tuple(slice(cut[b], cut[b + 1]) for cut, b in zip(cuts, box, strict=True))
        assert (found[within] == number).all()
        assert (found == number).sum() == found[within].numel() > 0


@pytest.mark.parametrize("bins, width", [(24, 0.5), (9, 1.3), (8, 4.0)])
def test_parzen_matrix_spreads_each_bin_by_its_kernel(bins, width):
    kernel = parzen_kernel(bins, width)
    matrix, reach = parzen_matrix(kernel), kernel.shape[1] // 2
    np.testing.assert_allclose(matrix.sum(0), 1, atol=1e-14)
    for target, source in np.ndindex(bins, bins):
        far = abs(target - source) > reach
        assert matrix[target, source] == (0 if far else kernel[source, target - source + reach])


# --- meaning ------------------------------------------------------------------------------------


def permuted(dtype=torch.float64):
    """Four tissues, and the same with their intensities exchanged."""
    rng = np.random.default_rng(0)
    tissue = np.digitize(smooth_image((40, 45), rng), (0.3, 0.5, 0.7))
    fixed, moving = np.array([0.1, 0.3, 0.6, 0.9])[tissue], np.array([0.6, 0.1, 0.9, 0.3])[tissue]
    return [torch.from_numpy(image)[None, None].to(dtype) for image in (fixed, moving)]


@ESTIMATORS
def test_alignment_of_exchanged_intensities_is_the_maximum(name):
    fixed, moving = permuted()
    similarity = MutualInformation(NAMED[name])
    best = similarity(moving, fixed)
    assert best > 0.5
    previous = best
    for shift in (1, 2, 4):
        now = similarity(moving.roll(shift, -1), fixed)
        assert now < previous - 0.02
        previous = now


@ESTIMATORS
def test_independent_or_constant_images_share_nothing(name):
    fixed, _ = permuted()
    similarity = MutualInformation(NAMED[name].replace(similarity="mi"))
    assert abs(similarity(torch.full_like(fixed, 0.5), fixed)) < 1e-4
    shuffled = fixed.flatten()[torch.randperm(1800, generator=torch.Generator().manual_seed(0))]
    assert abs(similarity(shuffled.reshape(fixed.shape), fixed)) < 0.02


@ESTIMATORS
def test_what_is_out_of_view_shares_nothing(name):
    """Half the image at weight 0 and nothing else changed: half the information; none in view: 0."""
    fixed, moving = permuted()
    twice = [torch.cat((image, image), -1) for image in (fixed, moving)]
    similarity = MutualInformation(NAMED[name].replace(similarity="mi"))
    weight = torch.ones_like(twice[0])
    weight[..., 45:] = 0
    whole, half = similarity(moving, fixed), similarity(twice[1], twice[0], weight)
    torch.testing.assert_close(half, whole / 2)
    nothing = torch.zeros_like(fixed).requires_grad_()
    value = similarity(moving.requires_grad_(), fixed, nothing)
    value.sum().backward()
    assert value == 0 and (moving.grad == 0).all()


@ESTIMATORS
def test_what_a_mask_leaves_out_does_not_count(name):
    fixed, moving = permuted()
    mask = torch.zeros_like(fixed, dtype=torch.bool)
    mask[..., 3:-8, 5:30] = True
    other = torch.rand(fixed.shape, generator=torch.Generator().manual_seed(0)).double()
    similarity = MutualInformation(NAMED[name])
    masked = similarity(moving, fixed, None, mask)
    changed = similarity(
        torch.where(mask, moving, other), torch.where(mask, fixed, other), None, mask
    )
    torch.testing.assert_close(masked, changed, rtol=0, atol=1e-13)
    assert abs(masked - similarity(moving, fixed)) > 1e-3
    assert similarity(moving, fixed, None, torch.zeros_like(mask)) == 0
    halves = similarity(moving, fixed, None, 0.5 * mask.double())  # only ratios of weights count
    torch.testing.assert_close(halves, masked, rtol=0, atol=1e-12)
    everything = similarity(moving, fixed, torch.ones_like(fixed), torch.ones_like(mask))
    torch.testing.assert_close(everything, similarity(moving, fixed), rtol=0, atol=0)


@SHAPES
@ESTIMATORS
def test_pairs_of_a_batch_do_not_see_each_other(name, shape):
    first, second = random_pair(shape, 0), random_pair(shape, 1)
    similarity = MutualInformation(NAMED[name])
    alone = torch.cat([similarity(*first), similarity(*second)])
    together = [torch.cat(images) for images in zip(first, second, strict=True)]
    torch.testing.assert_close(similarity(*together), alone, rtol=0, atol=1e-13)
