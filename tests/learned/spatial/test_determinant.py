"""The determinant, and folds; what is refused."""

import numpy as np
import pytest
import torch

from learned.affine import affine_displacement, compose_affine
from learned.inverse import fold_fraction, jacobian_determinant
from learned.spatial import compose, identity_grid, resize_field, resize_image, view_weight, warp
from varreg.backends.folding import HALVED_BELOW
from varreg.backends.numpy import backend as reference
from varreg.errors import InputError

from .fields import affine, every_shape, field


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
        bound = found[cell].item()
        if d == 3 and bound < HALVED_BELOW:  # the solver comes closer there
            assert bound <= expected + 1e-12
        else:
            assert bound == pytest.approx(expected, rel=1e-9, abs=1e-12)


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
