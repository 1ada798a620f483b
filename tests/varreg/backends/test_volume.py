"""The volume term: Numba against NumPy, and the same bits for any number of threads."""

import numpy as np
import pytest

from varreg.backends.numba import backend as cpu
from varreg.backends.numpy import backend as reference

#: Sizes with one plane of cells, and with more planes than one block has.
SHAPES = [(2, 2), (7, 9), (301, 270), (2, 2, 2), (5, 6, 4), (2, 9, 7), (45, 38, 41)]


def field_of(shape, amplitude, seed=0):
    """(field, spacing): white noise in units of the spacing, which folds from an amplitude of about 0.3."""
    rng = np.random.default_rng(seed)
    spacing = rng.uniform(0.5, 3.0, len(shape))
    noise = rng.normal(size=(len(shape), *shape))
    return amplitude * noise * spacing.reshape(-1, *(1,) * len(shape)), spacing


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("amplitude", [0.05, 1.0], ids=["whole", "folded"])
def test_both_backends_agree(shape, amplitude):
    field, spacing = field_of(shape, amplitude)
    wanted = reference.volume(field, spacing, 1)
    assert cpu.volume(field, spacing, 1) == pytest.approx(wanted, rel=1e-11)
    slope = reference.volume_gradient(field, spacing, 1)
    found = cpu.volume_gradient(field, spacing, 1)
    assert found.shape == field.shape
    np.testing.assert_allclose(found, slope, rtol=0, atol=1e-11 * np.abs(slope).max())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_same_bits_for_any_number_of_threads(shape):
    field, spacing = field_of(shape, 0.1)
    values = [cpu.volume(field, spacing, threads) for threads in (1, 2, 3)]
    slopes = [cpu.volume_gradient(field, spacing, threads).tobytes() for threads in (1, 2, 3)]
    assert values[1:] == values[:-1] and slopes[1:] == slopes[:-1]
    assert values[0] > 0
