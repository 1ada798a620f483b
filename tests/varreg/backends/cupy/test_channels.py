"""Several pairs of images on a device: all are asked before any is waited for."""

import numpy as np
import pytest

import varreg
from varreg.selftest.images import deformed_pair

from .device import needs_compiler

pytestmark = [needs_compiler, pytest.mark.usefixtures("device")]


def test_two_pairs_agree_with_the_cpu_and_wait_once_a_step(device):
    first, second = deformed_pair((48, 44), 3), deformed_pair((48, 44), 3)
    images = [[one, other**2] for one, other in zip(first, second, strict=True)]
    settings = dict(
        affine=None,
        deformable=True,
        similarity="mi",
        threads=1,
        progress=False,
        levels=(1,),
        iterations=8,
    )
    steps = []

    def note(step):
        steps.append((step.backtracks, device.log.synchronisations))

    there = varreg.solve(*images, backend="cupy", callback=note, **settings)
    here = varreg.solve(*images, backend="numba", **settings)
    np.testing.assert_allclose(there.displacement, here.displacement, atol=2e-3)
    assert there.energy.total == pytest.approx(here.energy.total, abs=1e-5)
    waits = [
        after[1] - before[1]
        for before, after in zip(steps[:-1], steps[1:], strict=True)
        if before[0] == after[0] == 0
    ]
    assert waits and max(waits) == 1
