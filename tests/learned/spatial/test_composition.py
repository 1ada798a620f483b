"""Composition of maps."""

import numpy as np
import pytest
import torch

from learned.affine import affine_displacement, compose_affine
from learned.spatial import compose, identity_grid, resize_field, warp

from .fields import affine, every_shape, field, random


def contraction(d, seed=2, batch=2):
    """An affine map that takes the field of view into itself, whatever its shape."""
    matrix = affine(d, 0.03, seed, batch)
    matrix[..., :-1] *= 0.7
    return matrix


def times(a, b):
    """The affine map a o b."""
    last = torch.zeros_like(a[:, :1])
    last[..., -1] = 1
    return (torch.cat((a, last), 1) @ torch.cat((b, last), 1))[:, :-1]


def last_voxel(shape):
    return torch.tensor(shape).reshape(-1, *[1] * len(shape)) - 1


def inside(displacement):
    position = identity_grid(displacement.shape[2:], displacement) + displacement
    return bool(((position >= 0) & (position <= last_voxel(displacement.shape[2:]))).all())


def whole_steps(shape, seed):
    """Up to three voxels along every axis, within the field of view."""
    steps = field(shape, 3.49, seed).round()
    grid = identity_grid(shape, steps)
    return (grid + steps).clamp(min=0).minimum(last_voxel(shape).double()) - grid


@every_shape
def test_zero_is_the_unit_of_composition(shape):
    u = field(shape, dtype=torch.float32)
    assert torch.equal(compose(u, torch.zeros_like(u)), u)
    assert torch.equal(compose(torch.zeros_like(u), u), u)


@every_shape
def test_composition_of_affine_maps_is_their_product(shape):
    d = len(shape)
    a, b = affine(d, 0.3, 2), contraction(d, 3)
    second = affine_displacement(b, shape)
    assert inside(second)  # there a linear field is interpolated exactly
    found = compose(affine_displacement(a, shape), second)
    torch.testing.assert_close(found, affine_displacement(times(a, b), shape))
    assert not torch.allclose(found, affine_displacement(times(b, a), shape), atol=1e-2)


@every_shape
def test_composition_is_associative(shape):
    """For whole steps within the field of view, and for linear fields: nothing is interpolated."""
    a, b, c = field(shape, 2.0), whole_steps(shape, 3), whole_steps(shape, 4)
    torch.testing.assert_close(compose(compose(a, b), c), compose(a, compose(b, c)))
    a, b, c = (affine_displacement(contraction(len(shape), k), shape) for k in (2, 3, 4))
    torch.testing.assert_close(compose(compose(a, b), c), compose(a, compose(b, c)))


@every_shape
def test_composing_displaces_as_warping_twice_does(shape):
    image, first, update = random(2, 1, *shape), whole_steps(shape, 1), whole_steps(shape, 2)
    once, twice = warp(image, compose(first, update)), warp(warp(image, first), update)
    torch.testing.assert_close(once, twice)


@every_shape
def test_affine_identity_moves_nothing(shape):
    d = len(shape)
    identity = torch.eye(d, d + 1)[None].expand(2, -1, -1)
    assert not affine_displacement(identity, shape).any()
    u = field(shape, dtype=torch.float32)
    assert torch.equal(compose_affine(identity, u), u)
    assert torch.equal(compose_affine(identity, u, [3.3 * n + 1 for n in shape]), u)


@every_shape
def test_affine_on_centred_coordinates_by_its_definition(shape):
    d, u = len(shape), field(shape)
    matrix = affine(d, 0.4)
    position = (identity_grid(shape, u) + u).numpy()
    half, centre = max(shape) / 2, (np.array(shape) - 1) / 2
    for n in range(2):
        c = (np.moveaxis(position[n], 0, -1) - centre) / half
        y = (c @ matrix[n, :, :-1].numpy().T + matrix[n, :, -1].numpy()) * half + centre
        expected = np.moveaxis(y, -1, 0) - identity_grid(shape, u).numpy()
        np.testing.assert_allclose(compose_affine(matrix, u)[n].numpy(), expected, atol=1e-12)


@every_shape
def test_affine_of_a_displacement_agrees_with_composition(shape):
    matrix = affine(len(shape), 0.3)
    u = affine_displacement(contraction(len(shape), 5), shape) + field(shape, 0.1)
    assert inside(u)
    torch.testing.assert_close(
        compose_affine(matrix, u), compose(affine_displacement(matrix, shape), u)
    )


def test_a_rotation_keeps_distances_on_images_that_are_not_square():
    angle = torch.tensor(0.3)
    cos, sin, zero = angle.cos(), angle.sin(), torch.tensor(0.0)
    turn = torch.stack((cos, -sin, zero, sin, cos, zero)).reshape(1, 2, 3).double()
    y = (identity_grid((9, 21), turn) + affine_displacement(turn, (9, 21)))[0].flatten(1).T
    x = identity_grid((9, 21), turn).flatten(1).T
    torch.testing.assert_close(torch.cdist(y, y), torch.cdist(x, x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape, coarse", [((21, 30), (5, 8)), ((9, 14, 11), (2, 4, 3))])
def test_the_same_matrix_is_the_same_map_at_every_resolution(shape, coarse):
    matrix = affine(len(shape), 0.3)
    full = affine_displacement(matrix, shape)
    there = affine_displacement(matrix, coarse, extent=shape)
    torch.testing.assert_close(there, resize_field(full, coarse))
    assert not torch.allclose(there, affine_displacement(matrix, coarse), atol=1e-2)
    proportional = tuple(3 * n for n in shape)
    torch.testing.assert_close(
        affine_displacement(matrix, shape), affine_displacement(matrix, shape, proportional)
    )


def test_gradient_of_the_affine_composition():
    matrix, u = affine(3).requires_grad_(), field((2, 3, 4)).requires_grad_()
    assert torch.autograd.gradcheck(compose_affine, (matrix, u, (2.0, 7.0, 4.0)))
