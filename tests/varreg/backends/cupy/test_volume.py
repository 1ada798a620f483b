"""The volume term on the device against the other backends, and the energy that it is part of."""

import numpy as np
import pytest

from varreg.backends.cupy import fields
from varreg.backends.cupy.sending import ALIGNMENT
from varreg.backends.numba import backend as cpu
from varreg.backends.numpy import backend as reference
from varreg.energy.deformable import DeformableObjective
from varreg.energy.smoothness import Smoothness
from varreg.options.options import Options
from varreg.selftest.images import level_pair
from varreg.similarity.choice import similarity

from ...problems import central_difference
from .device import ORDERS, backend, fused, needs_compiler

pytestmark = needs_compiler
SHAPES = [(2, 7, 9), (2, 2, 2), (2, 30, 41), (3, 5, 6, 7), (3, 2, 2, 2), (3, 12, 9, 14)]
every_shape = pytest.mark.parametrize("shape", SHAPES)
#: Small changes of volume, and cells that fold.
both_amplitudes = pytest.mark.parametrize("amplitude", [0.1, 1.5])


def problem(shape, amplitude):
    """A field at the nodes, and their spacing."""
    rng = np.random.default_rng(1)
    return rng.normal(size=shape) * amplitude, np.array([1.0, 1.5, 0.8][: shape[0]])


@every_shape
@both_amplitudes
@pytest.mark.parametrize("flavour", ["plain", fused])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("other", [reference, cpu], ids=["numpy", "numba"])
def test_value_and_gradient_are_those_of_the_other_backends(
    shape, amplitude, flavour, order, other
):
    place, kernels = (*problem(shape, amplitude), 1), backend(flavour, order)
    assert kernels.volume(*place) == pytest.approx(other.volume(*place), rel=1e-12)
    found, wanted = (b.volume_gradient(*place) for b in (kernels, other))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())


@every_shape
@pytest.mark.parametrize("flavour", ["plain", fused])
def test_any_order_of_threads_gives_the_same_bits(shape, flavour):
    place = *problem(shape, 0.2), 1
    kernels = [backend(flavour, order) for order in ORDERS]
    assert len({one.volume(*place) for one in kernels}) == 1
    first, *others = (one.volume_gradient(*place) for one in kernels)
    for other in others:
        np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("shape", [(2, 30, 41), (3, 12, 9, 14)])
def test_cells_of_which_a_thread_takes_several(shape, monkeypatch):
    place = *problem(shape, 0.2), 1
    monkeypatch.setattr(fields, "MOST_BLOCKS", 2)
    assert backend().volume(*place) == pytest.approx(reference.volume(*place), rel=1e-12)


@pytest.mark.parametrize("shape", [(2, 6, 7), (3, 4, 5, 6)])
@pytest.mark.parametrize("amplitude", [0.1, 0.6])
def test_gradient_is_that_of_the_value(shape, amplitude):
    field, spacing = problem(shape, amplitude)
    direction = np.random.default_rng(2).normal(size=shape)
    numeric = central_difference(
        lambda t: backend().volume(field + t * direction, spacing, 1), 0.0, 1.0, 1e-6
    )
    gradient = backend().volume_gradient(field, spacing, 1)
    assert float((gradient * direction).sum()) == pytest.approx(numeric, rel=1e-6)


@pytest.mark.parametrize("d", [2, 3])
def test_what_changes_no_volume_costs_nothing(d):
    shift = np.ones((d, *(5, 6, 7)[:d]))
    assert backend().volume(shift, np.ones(d), 1) == 0
    assert not backend().volume_gradient(shift, np.ones(d), 1).any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_stays_none(value):
    field, spacing = problem((3, 5, 6, 7), 0.1)
    field[1, 2, 2, 2] = value
    assert not np.isfinite(backend().volume(field, spacing, 1))
    assert not np.isfinite(backend().volume_gradient(field, spacing, 1)).all()


@every_shape
def test_fields_on_the_device_are_answered_there(shape):
    field, spacing = problem(shape, 0.2)
    kernels = backend()
    there = kernels.resident(field)
    assert kernels.volume(there, spacing, 1) == kernels.volume(field, spacing, 1)
    host = kernels.volume_gradient(field, spacing, 1)
    assert isinstance(host, np.ndarray)
    np.testing.assert_array_equal(kernels.volume_gradient(there, spacing, 1).get(), host)
    turned = kernels.resident(np.ascontiguousarray(np.moveaxis(field, 0, -1)))
    strided = np.moveaxis(turned, -1, 0)
    np.testing.assert_array_equal(kernels.volume_gradient(strided, spacing, 1).get(), host)


def test_on_the_device_a_value_is_waited_for_once_and_its_gradient_never():
    field, spacing = problem((3, 30, 40, 50), 0.1)
    kernels = backend()
    there, log = kernels.resident(field), kernels.cupy.log
    log.reset()
    kernels.volume(there, spacing, 1)
    assert (log.launches, log.synchronisations, log.uploads) == (["volume_sum"], 1, 1)
    assert log.bytes_down <= 8 * fields.MOST_BLOCKS and log.bytes_up <= ALIGNMENT  # arguments
    log.reset()
    kernels.volume_gradient(there, spacing, 1)
    assert (log.launches, log.synchronisations, log.uploads) == (["volume_gradient"], 0, 1)
    assert log.bytes_up <= ALIGNMENT


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("constraint", ["zero-mean", "zero-boundary"])
@pytest.mark.parametrize("shape", [(40, 36), (18, 20, 16)])
def test_an_energy_with_the_volume_term_is_the_same_wherever_its_state_is(shape, constraint):
    kernels, d = backend(), len(shape)
    options = Options(similarity="ssd", volume_weight=0.45, constraint=constraint)
    fixed, moving = level_pair(shape, False, seed=1)
    nodes = tuple(n // 2 for n in shape)
    smoothness = Smoothness(nodes, fixed.grid.extent / np.array(nodes), 0.02, 4.0, constraint)
    field = np.random.default_rng(3).normal(size=(d, *nodes)) * 0.1
    z = smoothness.to_coordinates(field)

    def evaluation(kernels, *state):
        one = similarity("ssd", fixed, moving, options, kernels, 1, np.float64)
        return DeformableObjective(one, np.eye(d + 1), smoothness, options).evaluate(state)

    state = z, smoothness.to_field(z)
    wanted = evaluation(cpu, *state)
    assert wanted.energy.volume > 0 and np.isfinite(wanted.energy.total)
    host, there = evaluation(kernels, *state), evaluation(kernels, *map(kernels.resident, state))
    for found in (host, there):
        assert found.energy.volume == pytest.approx(wanted.energy.volume, rel=1e-12)
        assert found.energy.total == pytest.approx(wanted.energy.total, rel=1e-7)
    limit = 1e-7 * np.abs(wanted.gradient()).max()
    np.testing.assert_allclose(host.gradient(), wanted.gradient(), rtol=0, atol=limit)
    np.testing.assert_allclose(there.gradient().get(), wanted.gradient(), rtol=0, atol=limit)
