"""Warping, and what is in view."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from learned.spatial import identity_grid, view_weight, warp
from varreg.backends.numba.sampling import clamp_axis

from .fields import SHAPES, every_shape, field, random


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [*SHAPES, (1, 9), (225, 223), (2, 2, 2)])
def test_no_motion_is_the_image_itself(shape, dtype):
    image = random(2, 3, *shape, dtype=dtype)
    assert torch.equal(warp(image, torch.zeros(2, len(shape), *shape, dtype=dtype)), image)


def test_voxels_that_stay_keep_their_values_beside_others_that_move():
    image, u = random(2, 1, 41, 37, dtype=torch.float32), field((41, 37), dtype=torch.float32)
    still = random(2, 1, 41, 37, seed=5) < 0.5
    u = torch.where(still, 0, u)
    warped = warp(image, u)
    assert torch.equal(warped[still], image[still])
    assert (warped != image)[~still].double().mean() > 0.99


@every_shape
@pytest.mark.parametrize("size", [0.8, 12.0])
def test_interpolation_is_linear_and_continued_constantly(shape, size):
    image, u = random(2, 3, *shape), field(shape, size)
    position = (identity_grid(shape, u) + u).numpy()
    for n in range(2):
        for c in range(3):
            expected = map_coordinates(image[n, c].numpy(), position[n], order=1, mode="nearest")
            np.testing.assert_allclose(warp(image, u)[n, c].numpy(), expected, atol=1e-13)


def test_single_precision_is_near_double():
    image, u = random(1, 1, 224, 224), field((224, 224), 5.0, batch=1)
    single = warp(image.float(), u.float())
    assert (single - warp(image, u)).abs().max() < 5e-5


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 3)])
def test_gradient_of_warp_against_differences(shape):
    image, u = random(1, 2, *shape), field(shape, 0.9, batch=1)
    # away from the kinks, where a difference would straddle two cells
    u = torch.where((u.abs() < 0.05) | (u.abs() > 0.85), 0.4, u).requires_grad_()
    assert torch.autograd.gradcheck(warp, (image.requires_grad_(), u), eps=1e-6, atol=1e-7)


@every_shape
def test_warp_and_its_backward_pass_are_adjoint(shape):
    image, u = random(2, 1, *shape).requires_grad_(), field(shape, 3.0)
    probe = random(2, 1, *shape, seed=4)
    (pulled,) = torch.autograd.grad(warp(image, u), image, probe)
    other = random(2, 1, *shape, seed=5)
    left, right = (warp(other, u) * probe).sum(), (other * pulled).sum()
    assert left.item() == pytest.approx(right.item(), rel=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_at_rest_the_derivative_is_a_difference_of_neighbours(shape):
    """The exact value at u = 0 must not cut the way back to the network."""
    image = random(1, 1, *shape)
    u = torch.zeros(1, len(shape), *shape, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(warp(image, u).sum(), u)
    for axis, n in enumerate(shape):
        rise = image.diff(dim=axis + 2)[:, 0]
        inner = slope[:, axis].narrow(axis + 1, 1, n - 2)
        apart = [(inner - rise.narrow(axis + 1, k, n - 2)).abs() for k in (0, 1)]
        assert torch.minimum(*apart).max() < 1e-9


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_position_is_no_value(bad):
    u = torch.zeros(1, 2, 5, 6)
    u[0, 1, 2, 3] = bad
    warped = warp(torch.ones(1, 2, 5, 6), u)
    assert warped[:, :, 2, 3].isnan().all() and warped.isnan().sum() == 2


@every_shape
@pytest.mark.parametrize("other", [False, True])
def test_view_is_the_rule_of_the_solver(shape, other):
    moving = tuple(n + 2 for n in shape) if other else shape
    u = field(shape, 4.0).requires_grad_()
    position = (identity_grid(shape, u) + u).detach().numpy()
    rule = np.vectorize(clamp_axis.py_func)
    axes = [rule(position[:, k], n) for k, n in enumerate(moving)]
    _, weight, slope = (np.array(each) for each in zip(*axes, strict=True))
    found = view_weight(u, moving)
    np.testing.assert_allclose(found[:, 0].detach().numpy(), weight.prod(0), atol=1e-15)
    assert 0.05 < (found == 1).double().mean() < 0.95 and (found == 0).any()
    (gradient,) = torch.autograd.grad(found.sum(), u)
    for k in range(len(shape)):
        expected = slope[k] * np.delete(weight, k, 0).prod(0)
        np.testing.assert_allclose(gradient[:, k].numpy(), expected, atol=1e-14)


def test_view_along_a_line():
    shift = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0, 7.0], dtype=torch.float64)
    u = torch.zeros(6, 2, 4, 5, dtype=torch.float64)
    u[:, 1] = shift.reshape(-1, 1, 1)
    left = (1 - shift).clamp(min=0)
    torch.testing.assert_close(view_weight(u, (4, 5))[:, 0, 0, -1], left**2 * (3 - 2 * left))
