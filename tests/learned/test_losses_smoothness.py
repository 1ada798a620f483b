"""The smoothness term is that of the solver, by differences instead of cosines."""

import numpy as np
import pytest
import torch

from learned.losses import smoothness
from varreg.energy.smoothness import Smoothness
from varreg.errors import InputError

SHAPES = pytest.mark.parametrize("shape", [(9, 14), (5, 8, 7)], ids=["2D", "3D"])


def random_field(shape, seed=0, pairs=2):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(pairs, len(shape), *shape)))


def of_solver(field, spacing, length, order):
    term = Smoothness(field.shape[1:], spacing, 1.0, length, "zero-mean", order=order)
    return term.value(term.to_coordinates(field))


@SHAPES
@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize(
    "length, order", [(0.0, 4), (0.3, 2), (1.7, 2), (1.7, 3), (1.7, 4), (2, 4)]
)
def test_value_of_the_solver(shape, even, length, order):
    fields = random_field(shape)
    spacing = np.ones(len(shape)) if even else np.array([1.0, 2.5, 0.8])[: len(shape)]
    expected = [of_solver(field.numpy(), spacing, length, order) for field in fields]
    found = smoothness(fields, length, order, None if even else tuple(spacing))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@SHAPES
def test_h1_term_by_its_definition(shape):
    field = random_field(shape, pairs=1)[0].numpy()
    expected = sum(
        np.square(np.diff(field, axis=axis)).sum() for axis in range(1, field.ndim)
    ) / np.prod(shape)
    assert smoothness(torch.from_numpy(field[None])).item() == pytest.approx(expected, rel=1e-13)


@SHAPES
@pytest.mark.parametrize("length, order", [(0.0, 4), (1.3, 3), (1.3, 4)])
def test_translations_cost_nothing_and_components_add_up(shape, length, order):
    """No pull at the border, and every component counts alike."""
    fields = random_field(shape)
    value = smoothness(fields, length, order)
    torch.testing.assert_close(smoothness(fields + 7.0, length, order), value)
    assert smoothness(torch.ones_like(fields), length, order).abs().max() == 0
    torch.testing.assert_close(smoothness(fields.flip(1), length, order), value)
    torch.testing.assert_close(smoothness(fields.flip(-1), length, order), value)
    parts = [fields * (torch.arange(len(shape)) == c).view(-1, *[1] * len(shape))
             for c in range(len(shape))]  # fmt: skip
    torch.testing.assert_close(sum(smoothness(part, length, order) for part in parts), value)


@pytest.mark.parametrize("shape", [(5, 4), (3, 4, 3)], ids=["2D", "3D"])
@pytest.mark.parametrize("length, order", [(0.0, 4), (1.3, 3), (1.3, 4)])
def test_derivative_by_finite_differences(shape, length, order):
    field = random_field(shape).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda u: smoothness(u, length, order), (field,), eps=1e-4, atol=1e-6, rtol=1e-6
    )


def test_axes_of_one_or_two_nodes():
    """An axis without differences adds nothing."""
    row = random_field((1, 6), pairs=1)
    torch.testing.assert_close(
        smoothness(row, 1.5, 4),
        torch.tensor([of_solver(row[0].numpy(), np.ones(2), 1.5, 4)], dtype=torch.float64),
    )


def test_16_bit_fields_are_computed_in_32():
    field = random_field((9, 14)).bfloat16()
    found = smoothness(field, 2.0)
    assert found.dtype == torch.float32
    assert torch.equal(found, smoothness(field.float(), 2.0))


def test_bad_input_is_refused():
    field = random_field((9, 14))
    for arguments, message in (
        ((field[0],), r"`displacement` must be \(N, d, \*S\)"),
        ((field[:, :1],), r"`displacement` must be \(N, d, \*S\)"),
        ((field.long(),), "`displacement` must be a floating-point tensor"),
        ((field, -1.0), "`length` must be a number of voxels >= 0; got -1.0"),
        ((field, float("nan")), "`length` must be"),
        ((field, 1.0, 1), "`order` must be a whole number >= 2; got 1"),
        ((field, 1.0, 4, (1.0,)), "`spacing` must be 2 positive numbers"),
        ((field, 1.0, 4, (1.0, 0.0)), "`spacing` must be 2 positive numbers"),
    ):
        with pytest.raises(InputError, match=message):
            smoothness(*arguments)
