"""Products and sums of arrays on the device against NumPy, and answers that are sent for together."""

import numpy as np
import pytest

from varreg.backends import vectors
from varreg.backends.cupy import vectors as device_vectors
from varreg.backends.cupy.sending import ALIGNMENT
from varreg.backends.later import Later

from .device import ORDERS, backend, fused, needs_compiler

pytestmark = needs_compiler
SIZES = [(2, 3, 4), (3, 17, 20, 11), (2, 130, 101)]


def arrays(shape, count, seed=0):
    return list(np.random.default_rng(seed).normal(size=(count, *shape)))


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("flavour", ["plain", fused])
def test_results_are_those_of_numpy_and_the_same_bits_in_any_order(shape, flavour):
    here = arrays(shape, 4)
    pairs = [(0, 0), (0, 1), (2, 3), (3, 1)]
    found = []
    for order in ORDERS:
        b = backend(flavour, order)
        there = [b.resident(array) for array in here]
        products = b.vectors.inner_products([(there[i], there[j]) for i, j in pairs])
        total = b.vectors.combination([0.5, -2.0, 0.0, 3.0], there).get()
        found.append((products, b.vectors.largest_length(there[0]), total))
    products, length, total = found[0]
    size = np.linalg.norm(here[0]) * np.linalg.norm(here[1])
    wanted = [float(np.vdot(here[i], here[j])) for i, j in pairs]
    np.testing.assert_allclose(products, wanted, rtol=0, atol=1e-12 * size)
    assert length == pytest.approx(float(np.sqrt(np.square(here[0]).sum(0).max())), rel=1e-14)
    np.testing.assert_allclose(total, 0.5 * here[0] - 2 * here[1] + 3 * here[3], rtol=0, atol=1e-13)
    for other in found[1:]:
        assert other[:2] == found[0][:2]
        np.testing.assert_array_equal(other[2], total)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 77, -1])
def test_a_field_with_what_is_no_number_is_infinitely_long(value, place):
    field = arrays((3, 5, 6, 7), 1)[0]
    field.reshape(-1)[place] = value
    assert backend().vectors.largest_length(backend().resident(field)) == np.inf


def test_arrays_in_another_order_of_memory_are_read_as_they_are():
    one, other = arrays((3, 5, 6), 2)
    b = backend()
    turned = np.moveaxis(b.resident(np.ascontiguousarray(np.moveaxis(one, 0, -1))), -1, 0)
    found = b.vectors.inner_products([(turned, b.resident(other))])
    assert found == pytest.approx([float(np.vdot(one, other))], rel=1e-12)
    with pytest.raises(ValueError, match="several shapes"):
        b.vectors.combination([1.0, 1.0], [b.resident(one), b.resident(other[:2])])


@pytest.mark.parametrize("shape", SIZES)
def test_on_the_host_they_are_those_of_numpy(shape):
    here = arrays(shape, 3)
    products = vectors.inner_products([(here[0], here[1]), (here[2], here[2])])
    assert products.is_known
    wanted = [float(np.vdot(here[0], here[1])), float(np.vdot(here[2], here[2]))]
    assert products.result() == pytest.approx(wanted, rel=1e-10)
    total = vectors.combination([0.5, -2.0, 3.0], here)
    np.testing.assert_allclose(total, 0.5 * here[0] - 2 * here[1] + 3 * here[2], atol=1e-13)


def test_all_products_are_one_launch_and_one_wait():
    b = backend()
    there = [b.resident(array) for array in arrays((3, 20, 21, 22), 13)]
    b.cupy.log.reset()
    b.vectors.inner_products([(a, there[0]) for a in there])
    assert (b.cupy.log.launches, b.cupy.log.synchronisations) == (["inner_products"], 1)


def test_what_is_asked_for_later_is_sent_and_waited_for_together():
    b = backend()
    field, spacing = 0.1 * arrays((3, 7, 8, 9), 1)[0], np.ones(3)
    there, one = b.resident(field), b.resident(np.array(2.5))
    wanted = b.volume(field, spacing, 1), b.determinant_bound(field, spacing, 1)
    b.cupy.log.reset()
    asked = [
        b.later(b.volume, field, spacing, 1), b.later(b.determinant_bound, field, spacing, 1),
        b.later(b.vectors.number, one), b.later(b.vectors.inner_products, [(there, there)]),
    ]  # fmt: skip
    assert not any(later.is_known for later in asked)
    assert not b.cupy.log.launches
    volume, bound, number, products = (later.result() for later in asked)
    assert (b.cupy.log.synchronisations, b.cupy.log.uploads) == (1, 1)
    assert b.cupy.log.bytes_up < field.nbytes + 8 * ALIGNMENT  # the field is sent once
    assert (volume, bound) == wanted
    assert number == 2.5 and products == pytest.approx([np.vdot(field, field)])
    assert all(later.is_known for later in asked)


def test_what_stays_on_the_device_is_not_waited_for():
    b = backend()
    field, spacing = b.resident(0.1 * arrays((3, 7, 8, 9), 1)[0]), np.ones(3)
    value = b.later(b.volume, field, spacing, 1)
    b.cupy.log.reset()
    gradient = b.later(b.volume_gradient, field, spacing, 1).result()
    assert b.cupy.log.launches == ["volume_sum", "volume_gradient"]
    assert b.cupy.log.synchronisations == 0
    assert value.result() == b.volume(field, spacing, 1)
    np.testing.assert_array_equal(gradient.get(), b.volume_gradient(field, spacing, 1).get())


def test_after_an_error_what_comes_next_is_right(monkeypatch):
    b = backend()
    field, spacing = 0.1 * arrays((2, 7, 8), 1)[0], np.ones(2)
    wanted = b.volume(field, spacing, 1)
    lost, value = (b.later(b.volume, share * field, spacing, 1) for share in (2, 1))
    with monkeypatch.context() as patch:
        patch.setattr(b.cupy, "largest", 100)
        with pytest.raises(MemoryError, match="of GPU 0 is not enough"):
            lost.result()
    assert value.result() == wanted
    assert b.volume(field, spacing, 1) == wanted


def test_a_result_is_computed_once():
    calls = []
    later = Later(lambda: calls.append(1) or 5)
    double = later.then(lambda n: 2 * n)
    assert not later.is_known and not double.is_known
    assert (double.result(), double.result(), later.result(), len(calls)) == (10, 10, 5, 1)
    assert later.then(lambda n: n + 1).is_known


def test_blocks_share_what_is_long():
    assert device_vectors._blocks(1) == 1
    assert device_vectors._blocks(10**9) == device_vectors.MOST_BLOCKS
