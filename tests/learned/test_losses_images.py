"""Background suppression and dual consistency: what they see, and their derivatives."""

import numpy as np
import pytest
import torch

from learned.losses import background_suppression, dual_consistency
from learned.spatial import warp
from varreg.errors import InputError

from ..varreg.problems import smooth_image

SHAPES = pytest.mark.parametrize("shape", [(61, 66), (25, 28, 27)], ids=["2D", "3D"])
SMALL = pytest.mark.parametrize("shape", [(7, 8), (3, 4, 5)], ids=["2D", "3D"])


def images(shape, count, seed=0, cycles=2.0):
    """`count` smooth images (2, 1, *S), float64."""
    rng = np.random.default_rng(seed)
    pairs = [[smooth_image(shape, rng, cycles) for _ in range(2)] for _ in range(count)]
    return [torch.from_numpy(np.stack(both)[:, None]) for both in pairs]


def smooth_field(shape, size, seed=1):
    """A smooth displacement (2, d, *S) of up to `size` voxels that stands still at the border."""
    rng, bump = np.random.default_rng(seed), np.ones(())
    for n in shape:
        bump = bump[..., None] * np.sin(np.pi * (np.arange(n) + 0.5) / n)
    field = [[smooth_image(shape, rng, 0.7) * bump for _ in shape] for _ in range(2)]
    return torch.from_numpy(size * np.array(field))


# --- background ---------------------------------------------------------------------------------


@SHAPES
def test_dark_on_dark_costs_nothing_and_light_on_dark_its_square(shape):
    fixed, warped = images(shape, 2)
    dark = fixed < 0.1
    assert 0 < dark.sum() < dark.numel()
    same = torch.where(dark, fixed, warped)
    assert (background_suppression(same, fixed) == 0).all()
    lighter = torch.where(dark, fixed + 0.5, warped)
    expected = 0.25 * dark.double().mean((1, *range(2, fixed.ndim)))
    torch.testing.assert_close(background_suppression(lighter, fixed), expected)


@SHAPES
def test_only_background_counts(shape):
    fixed, warped, other = images(shape, 3)
    for threshold in (0.0, 0.1, 0.4, 1.0):
        changed = torch.where(fixed < threshold, warped, other)
        assert torch.equal(
            background_suppression(changed, fixed, threshold),
            background_suppression(warped, fixed, threshold),
        )
    assert (background_suppression(warped, fixed, 0.0) == 0).all()
    expected = ((warped - fixed) ** 2).flatten(1).mean(1)
    found = background_suppression(warped, fixed + 0 * warped, 1.0)
    # the brightest voxel, 1, is no background
    assert ((expected - found) * fixed[0].numel() <= 1).all() and (found <= expected).all()


@SHAPES
def test_background_within_a_mask(shape):
    fixed, warped = images(shape, 2)
    mask = torch.zeros_like(fixed, dtype=torch.bool)
    mask[:, :, 2:9, 3:11] = True
    cut = background_suppression(warped[:, :, 2:9, 3:11], fixed[:, :, 2:9, 3:11], 0.7)
    torch.testing.assert_close(background_suppression(warped, fixed, 0.7, mask), cut)
    half = background_suppression(warped, fixed, 0.7, torch.full_like(fixed, 0.5))
    torch.testing.assert_close(half, background_suppression(warped, fixed, 0.7))
    nothing = background_suppression(warped, fixed, 0.7, torch.zeros_like(mask))
    assert (nothing == 0).all()


@SMALL
def test_derivative_of_background(shape):
    fixed, warped = images(shape, 2)
    assert torch.autograd.gradcheck(
        lambda w: background_suppression(w, fixed, 0.5), (warped.requires_grad_(),)
    )


# --- dual consistency ---------------------------------------------------------------------------


@SHAPES
@pytest.mark.parametrize("inverse", ["fixed-point", "paper"])
def test_no_displacement_is_consistent(shape, inverse):
    (moving,) = images(shape, 1)
    still = torch.zeros(2, len(shape), *shape, dtype=torch.float64)
    assert (dual_consistency(moving, warp(moving, still), still, inverse) == 0).all()


@SHAPES
def test_right_inverse_leaves_only_the_blur(shape):
    """The formula of the paper leaves more, and more the larger the displacement."""
    (moving,) = images(shape, 1, cycles=1.0)
    left = {}
    for size in (1.0, 3.0):
        field = smooth_field(shape, size)
        warped = warp(moving, field)
        moved = (moving - warped).square().flatten(1).mean(1)
        for inverse in ("fixed-point", "paper"):
            left[inverse, size] = dual_consistency(moving, warped, field, inverse) / moved
    assert (left["fixed-point", 3.0] < 0.02).all()
    assert (left["paper", 3.0] > 5 * left["fixed-point", 3.0]).all()
    assert (left["fixed-point", 3.0] < left["fixed-point", 1.0]).all()
    assert (left["paper", 3.0] > 1.5 * left["paper", 1.0]).all()


@SHAPES
def test_a_step_of_the_fixed_point_helps(shape):
    (moving,) = images(shape, 1, cycles=1.0)
    field = smooth_field(shape, 3.0)
    warped = warp(moving, field)
    none, one, five = (dual_consistency(moving, warped, field, iterations=k) for k in (0, 1, 5))
    assert (none > 2 * one).all() and (five < 1.05 * one).all()


@SMALL
@pytest.mark.parametrize("inverse", ["fixed-point", "paper"])
def test_derivative_of_consistency(shape, inverse):
    """Also through the inverse; between voxel centres, where linear interpolation is smooth."""
    moving, warped = images(shape, 2)
    field = smooth_field(shape, 0.3) + 0.31
    inputs = tuple(tensor.requires_grad_() for tensor in (moving, warped, field))
    assert torch.autograd.gradcheck(
        lambda a, b, u: dual_consistency(a, b, u, inverse, 2), inputs, eps=1e-6, atol=1e-6,
        fast_mode=len(shape) == 3,
    )  # fmt: skip


# --- both ---------------------------------------------------------------------------------------


def test_16_bits_are_computed_in_32():
    moving, warped = (image.bfloat16() for image in images((61, 66), 2))
    field = smooth_field((61, 66), 1.0).bfloat16()
    for found in (
        background_suppression(warped, moving, 0.5),
        dual_consistency(moving, warped, field),
    ):
        assert found.dtype == torch.float32 and (found > 0).all()


def test_bad_input_is_refused():
    moving, warped = images((7, 8), 2)
    field = smooth_field((7, 8), 1.0)
    for threshold in (-0.1, 1.5, float("nan"), "dark"):
        with pytest.raises(InputError, match="`threshold` must be a number in"):
            background_suppression(warped, moving, threshold)
    with pytest.raises(InputError, match="`fixed` must have the shape"):
        background_suppression(warped, moving[:1])
    with pytest.raises(InputError, match="`fixed` has values that are not finite"):
        background_suppression(warped, moving / 0)
    with pytest.raises(InputError, match="on the grid of the images"):
        dual_consistency(moving, warped, field[..., 1:])
    with pytest.raises(InputError, match=r"`displacement` must be \(N, d"):
        dual_consistency(moving, warped, field[:, :1])
    with pytest.raises(InputError, match="`method`"):
        dual_consistency(moving, warped, field, "exact")
