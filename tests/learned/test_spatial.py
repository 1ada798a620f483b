"""Positions, weights, compositions and determinants are what their definitions say."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from learned.affine import affine_displacement, compose_affine
from learned.folding import fold_fraction, jacobian_determinant
from learned.resampling import resize_field, resize_image
from learned.spatial import compose, identity_grid, view_weight, warp
from varreg.backends.numba import backend as cpu
from varreg.backends.numba.sampling import clamp_axis
from varreg.backends.numpy import backend as reference
from varreg.errors import InputError
from varreg.geometry.grid import Grid
from varreg.images.level_image import LevelImage, coarsen

SHAPES = [(7, 10), (13, 6), (5, 8, 7)]
every_shape = pytest.mark.parametrize("shape", SHAPES)


def random(*size, seed=0, dtype=torch.float64):
    return torch.rand(size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def field(shape, size=1.0, seed=1, batch=2, dtype=torch.float64):
    """Uniform in [-size, size], independent at every voxel."""
    return size * (2 * random(batch, len(shape), *shape, seed=seed, dtype=dtype) - 1)


def affine(d, size=0.1, seed=2, batch=2):
    noise = 2 * random(batch, d, d + 1, seed=seed) - 1
    return torch.eye(d, d + 1, dtype=torch.float64) + size * noise


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


# --- warp ---------------------------------------------------------------------------------------


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


# --- view ---------------------------------------------------------------------------------------


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


# --- composition --------------------------------------------------------------------------------


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


# --- resolution ---------------------------------------------------------------------------------

SIZES = [((7, 12), (21, 17)), ((12, 9), (5, 4)), ((4, 6, 5), (9, 6, 13)), ((9, 8, 7), (4, 5, 2))]


@pytest.mark.parametrize("old, new", SIZES)
def test_a_linear_field_is_resized_exactly(old, new):
    """Linear over the field of view; between the outermost centres and the border it is constant."""
    d = len(old)
    slope = random(2, d, d, seed=8)

    def linear(shape):
        place = identity_grid(shape, slope)
        size = torch.tensor(shape, dtype=torch.float64).reshape(-1, *[1] * d)
        return torch.einsum("nij,j...->ni...", slope, (place + 0.5) / size) * size

    found = resize_field(linear(old), new)
    expected = linear(new)
    inner = [slice(None)] * 2
    for n, m in zip(old, new, strict=True):
        margin = max(int(np.ceil((m / n - 1) / 2)), 0)
        inner.append(slice(margin, m - margin))
    torch.testing.assert_close(found[tuple(inner)], expected[tuple(inner)])
    assert expected[tuple(inner)].numel() > 0.2 * expected.numel()


@pytest.mark.parametrize("old, new", SIZES)
def test_resizing_keeps_the_place_that_a_field_points_to(old, new):
    constant = field((1,) * len(old)).expand(-1, -1, *old)
    found = resize_field(constant, new)
    ratio = torch.tensor(new) / torch.tensor(old)
    expected = constant.flatten(2)[:, :, 0] * ratio
    torch.testing.assert_close(found.flatten(2), expected[..., None].expand_as(found.flatten(2)))
    assert torch.equal(resize_field(constant, old), constant)


@pytest.mark.parametrize("old, new", SIZES[1::2])
def test_coarse_images_are_those_of_the_solver(old, new):
    image = random(1, 1, *old)
    level = image[0, 0].numpy()
    spacing = old[0] / new[0]
    expected = coarsen(LevelImage(level, None, Grid.with_spacing(old)), spacing, cpu, 1).data
    found = resize_image(image, expected.shape)[0, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-14)


@pytest.mark.parametrize("old, new", SIZES[1::2])
def test_averages_keep_the_mean_and_the_range(old, new):
    image = random(2, 3, *old)
    found = resize_image(image, new)
    torch.testing.assert_close(found.flatten(2).mean(2), image.flatten(2).mean(2))
    torch.testing.assert_close(resize_image(torch.ones_like(image), new), torch.ones_like(found))
    assert found.min() >= image.min() and found.max() <= image.max()
    assert torch.equal(resize_image(image, old), image)


def test_average_of_whole_blocks():
    image = random(1, 1, 8, 6)
    expected = image.reshape(1, 1, 4, 2, 2, 3).mean((3, 5))
    torch.testing.assert_close(resize_image(image, (4, 2)), expected)


def test_autocast_leaves_positions_and_images_alone():
    image, u = random(1, 1, 20, 30, dtype=torch.float32), field((20, 30), dtype=torch.float32)
    matrix = affine(2).float()
    expected = compose_affine(matrix, u), resize_image(image, (7, 9))
    with torch.autocast("cpu", torch.bfloat16):
        found = compose_affine(matrix, u), resize_image(image, (7, 9))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


# --- determinant --------------------------------------------------------------------------------


@every_shape
def test_determinant_of_an_affine_map(shape):
    matrix = affine(len(shape), 0.5)
    found = jacobian_determinant(affine_displacement(matrix, shape))
    assert found.shape == (2, *(n - 1 for n in shape))
    expected = torch.linalg.det(matrix[..., :-1]).reshape(-1, *[1] * len(shape))
    torch.testing.assert_close(found, expected.expand_as(found))


@pytest.mark.parametrize("shape", [(9, 12), (4, 6, 5)])
def test_determinant_is_that_of_the_solver_in_every_cell(shape):
    d, u = len(shape), field(shape, 1.0, batch=1)
    found = jacobian_determinant(u)[0]
    assert (found < 0).any() and (found > 0).any()
    for cell in np.ndindex(*found.shape):
        corners = (0, slice(None), *(slice(k, k + 2) for k in cell))
        expected, _ = reference.determinant_bound(u[corners].numpy(), np.ones(d), 1)
        assert found[cell].item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 3)])
def test_no_point_of_a_cell_is_below_its_bound(shape):
    """The determinant at points within the cells, by differentiating the interpolation itself."""
    d, u = len(shape), field(shape, 0.4, batch=1)
    bound = jacobian_determinant(u)[0]
    lowest = torch.full_like(bound, np.inf)
    cells = tuple(n - 1 for n in shape)
    for place in torch.cartesian_prod(*[torch.tensor([1e-6, 0.3, 0.5, 0.8, 1 - 1e-6])] * d):
        x = identity_grid(shape, u)[None] + place.double().reshape(-1, *[1] * d)
        x = (x - identity_grid(shape, u)).requires_grad_()
        value = warp(u, x)
        rows = [torch.autograd.grad(value[:, k].sum(), x, retain_graph=True)[0] for k in range(d)]
        jacobian = torch.stack(rows, 1).movedim((1, 2), (-2, -1)) + torch.eye(d)
        inner = (0, *(slice(n) for n in cells))
        lowest = torch.minimum(lowest, torch.linalg.det(jacobian)[inner])
    assert (lowest >= bound - 1e-9).all()
    if d == 2:
        torch.testing.assert_close(lowest, bound, atol=1e-4, rtol=0)


def test_gradient_of_the_determinant():
    for shape in ((3, 4), (2, 3, 2)):
        u = field(shape, 0.3, batch=1).requires_grad_()
        assert torch.autograd.gradcheck(jacobian_determinant, (u,))


@every_shape
def test_folds_are_counted(shape):
    d = len(shape)
    u = torch.zeros(3, d, *shape, dtype=torch.float64)
    assert not fold_fraction(u).any()
    u[1, 0] = -2 * identity_grid(shape, u)[0]  # a reflection
    u[2, 0, 2] = -1.5  # one row passes the one before it
    expected = torch.tensor([0, 1, 1 / (shape[0] - 1)], dtype=torch.float64)
    torch.testing.assert_close(fold_fraction(u), expected)
    assert fold_fraction(u * float("nan")).tolist() == [1, 1, 1]


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda u: warp(u[..., 1:], u), r"warp: `image` must be \(N, C, \*S\)"),
        (lambda u: warp(u, u[:, :1]), "warp: `displacement` must be"),
        (lambda u: warp(u, u.long()), "torch.int64"),
        (lambda u: compose(u, u[..., 1:]), "resize_field"),
        (lambda u: compose_affine(torch.eye(3)[None], u), "`affine` must be"),
        (lambda u: affine_displacement(torch.eye(2, 3)[None], (4, 5), (4.0,)), "`extent`"),
        (lambda u: affine_displacement(torch.eye(2, 3)[None], (4, 5), (4.0, 0.0)), "`extent`"),
        (lambda u: resize_field(u, (4, 5, 6)), "resize_field: `shape`"),
        (lambda u: resize_image(u, (9, 5)), "resize_image: `shape`"),
        (lambda u: view_weight(u, (0, 5)), "view_weight: `shape`"),
        (lambda u: view_weight(None, (4, 5)), "got NoneType"),
        (lambda u: jacobian_determinant(u[:, :, :1]), "two voxels"),
    ],
)
def test_unusable_arguments_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call(torch.zeros(1, 2, 4, 5))
