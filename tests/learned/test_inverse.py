"""The fixed point inverts, one step at a time; the paper's formula does not."""

import pytest
import torch

from learned.affine import affine_displacement
from learned.inverse import inverse_displacement, inverse_residual
from learned.spatial import compose, identity_grid
from varreg.errors import InputError

SHAPES = [(40, 33), (25, 22, 27)]
every_shape = pytest.mark.parametrize("shape", SHAPES)


def bend(shape, size):
    """Two fields that vanish at the border: sines of different frequencies and sizes."""
    d = len(shape)
    last = torch.tensor(shape, dtype=torch.float64).reshape(-1, *[1] * d) - 1
    x = identity_grid(shape, last) / last * torch.pi
    envelope = x.sin().prod(0)
    waves = [(x.roll(k, 0)[0] * (k + 1)).cos() + 0.5 * x.roll(1, 0)[k].sin() for k in range(d)]
    one = torch.stack([envelope * wave for wave in waves])
    return size * torch.stack((one, -0.5 * one.flip(0)))


@every_shape
def test_both_compositions_of_the_inverse_are_the_identity(shape):
    u = bend(shape, 1.0)
    v = inverse_displacement(u, iterations=40)
    assert inverse_residual(u, v).max() < 1e-12
    assert compose(u, v).abs().max() < 1e-12
    # the other way round v is interpolated, which is where the rest comes from
    assert compose(v, u).abs().max() < 0.1 * u.abs().max()


@every_shape
def test_inverse_of_an_affine_map(shape):
    """An expansion, so that the inverse stays within the field of view."""
    d = len(shape)
    matrix = torch.eye(d, d + 1, dtype=torch.float64)
    matrix[:, :-1] *= 1.3
    matrix[0, 1] = 0.05
    inverse = torch.linalg.inv(matrix[:, :-1])
    back = torch.cat((inverse, -inverse @ matrix[:, -1:]), 1)
    u = affine_displacement(matrix[None], shape)
    v = inverse_displacement(u, iterations=60)
    torch.testing.assert_close(v, affine_displacement(back[None], shape))


@every_shape
def test_every_step_contracts_the_residual(shape):
    u = bend(shape, 1.0)
    residuals = [
        inverse_residual(u, inverse_displacement(u, iterations=n)).max().item() for n in range(6)
    ]
    assert all(b < 0.6 * a for a, b in zip(residuals, residuals[1:], strict=False))
    default = inverse_residual(u, inverse_displacement(u)).max().item()
    assert default == residuals[5]


@every_shape
def test_the_paper_is_twice_as_far_from_an_inverse_as_no_step_at_all(shape):
    """To second order -u errs by (grad u) u, and -u(x + u(x)) by 2 (grad u) u.

    On a linear field, which is interpolated exactly away from the border.
    """
    d = len(shape)
    noise = torch.rand(1, d, d + 1, generator=torch.Generator().manual_seed(0)).double() - 0.5
    u = affine_displacement(torch.eye(d, d + 1) + 0.01 * noise, shape)
    inner = (slice(None), slice(None), *[slice(1, -1)] * d)

    def rms(v):
        return inverse_residual(u, v)[inner].square().mean().sqrt().item()

    paper, none = rms(inverse_displacement(u, "paper")), rms(-u)
    assert paper / none == pytest.approx(2, rel=0.01)
    assert rms(inverse_displacement(u, iterations=1)) < 0.02 * none
    assert torch.equal(inverse_displacement(u, iterations=0), -u)


@pytest.mark.parametrize("method", ["fixed-point", "paper"])
def test_gradient_against_differences(method):
    generator = torch.Generator().manual_seed(0)
    for shape in ((4, 5), (3, 3, 4)):
        u = 0.3 * (torch.rand(1, len(shape), *shape, generator=generator).double() + 0.2)
        u.requires_grad_()
        assert torch.autograd.gradcheck(lambda u: inverse_displacement(u, method, 3), (u,))


def test_no_motion_is_its_own_inverse():
    u = torch.zeros(1, 2, 5, 6)
    for method in ("fixed-point", "paper"):
        assert not inverse_displacement(u, method).any()


def test_the_residual_has_a_derivative_where_it_is_zero():
    u = torch.zeros(1, 2, 5, 6, requires_grad=True)
    (slope,) = torch.autograd.grad(inverse_residual(u, -u).sum(), u)
    assert slope.isfinite().all()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda u: inverse_displacement(u, "exact"), "'fixed-point', 'paper'; got 'exact'"),
        (lambda u: inverse_displacement(u, iterations=-1), "must be a whole number >= 0; got -1"),
        (lambda u: inverse_displacement(u, iterations=2.0), "must be a whole number >= 0; got 2.0"),
        (lambda u: inverse_displacement(u[0], iterations=0), "inverse_displacement: `u` must be"),
        (lambda u: inverse_residual(u[0], u[0]), "inverse_residual: `u` must be"),
        (lambda u: inverse_residual(u, u[..., 1:]), "the same shape"),
    ],
)
def test_unusable_arguments_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call(torch.zeros(1, 2, 4, 5))
