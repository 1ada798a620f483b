"""The descent with its iterates on the device."""

import numpy as np
import pytest

import varreg
from varreg.energy.smoothness import Smoothness
from varreg.geometry.folding import smallest_determinant
from varreg.selftest.images import deformed_pair
from varreg.stages import deformable

from .device import backend, needs_compiler

pytestmark = [needs_compiler, pytest.mark.usefixtures("device")]
QUIET = dict(progress=False, threads=1)
SETTINGS = {
    "paper": ((40, 36), dict(preset="paper", iterations=6)),
    "memory": ((40, 36), dict(preset="paper", iterations=8, memory=6)),
    "zero-boundary": (
        (40, 36),
        dict(constraint="zero-boundary", smoothness_length=0, iterations=6),
    ),
    "volume": ((18, 20, 16), dict(smoothness_length=0, iterations=4)),
    "fine": ((24, 26, 22), dict(regularity="fine", iterations=4)),
    "fine-slice": ((40, 36), dict(volume_weight=0.45, smoothness_length=2, iterations=6)),
    "lncc": ((40, 36), dict(similarity="lncc", smoothness_length=0, iterations=6)),
    "folds": ((40, 36), dict(preset="paper", iterations=8, smoothness_weight=1e-3, largest_step=4)),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_answers_are_those_of_iterates_on_the_host(setting, monkeypatch, device):
    shape, settings = SETTINGS[setting]
    images = deformed_pair(shape, 3)
    fixed = dict(backend="cupy", affine=None, deformable=True, **QUIET, **settings)
    host = varreg.solve(*images, **fixed)
    monkeypatch.setattr(deformable, "LEAST_ENTRIES_ON_DEVICE", 0)
    found = varreg.solve(*images, **fixed)
    assert isinstance(found.u, np.ndarray)
    assert len(found.history) == len(host.history)
    np.testing.assert_allclose(found.displacement, host.displacement, rtol=0, atol=1e-4)


def test_no_displacement_crosses_the_bus_in_a_step(monkeypatch, device):
    monkeypatch.setattr(deformable, "LEAST_ENTRIES_ON_DEVICE", 0)
    images, moved = deformed_pair((96, 88), 3), []

    def note(iteration):
        moved.append((device.log.bytes_up, device.log.bytes_down))

    varreg.solve(
        *images, backend="cupy", affine=None, deformable=True, preset="paper", iterations=4,
        levels=(1,), callback=note, **QUIET,
    )  # fmt: skip
    steps = np.diff(moved, axis=0)
    nodes = 2 * 96 * 88 * 4
    assert len(steps) == 4
    assert (steps.sum(1) < nodes / 2).all()  # parts of sums, a few numbers


@pytest.mark.parametrize("constraint", ["zero-mean", "zero-boundary"])
@pytest.mark.parametrize("shape", [(20, 23), (50, 60), (8, 9, 10)])
def test_transforms_and_bounds_are_those_of_the_host(shape, constraint):
    rng, d = np.random.default_rng(0), len(shape)
    field = rng.normal(size=(d, *shape)) * 0.1
    smoothness = Smoothness(shape, np.ones(d), 1.0, 2.0, constraint)
    there = backend().resident(field)
    for name in ("to_field", "to_coordinates", "pull_gradient"):
        found, wanted = (getattr(smoothness, name)(values) for values in (there, field))
        np.testing.assert_allclose(found.get(), wanted, rtol=0, atol=1e-12)
    place = np.ones(d), constraint, backend(), 1
    assert smallest_determinant(there, *place) == smallest_determinant(field, *place)
