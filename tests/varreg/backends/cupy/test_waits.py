"""How often a descent waits for the device, and how much crosses the bus."""

import numpy as np
import pytest

import varreg
from varreg.selftest.images import deformed_pair
from varreg.stages import deformable

from .device import needs_compiler

pytestmark = [needs_compiler, pytest.mark.usefixtures("device")]
SOFT = dict(similarity="mi", smoothness_weight=1e-3, levels=(1,), iterations=12)
ALONE = dict(affine=None, deformable=True)
#: Shape, settings, whether the iterates are on the device, and waits for an accepted step whose first trial did.
DESCENTS = {
    "slice": ((64, 60), {}, False, 1),
    "head": ((26, 24, 28), SOFT, False, 1),
    "head-fine": ((26, 24, 28), dict(regularity="fine"), False, 1),
    "head-fine-there": ((26, 24, 28), dict(regularity="fine"), True, 1),
    "slice-dense": ((48, 44), dict(smoothness_length=0, iterations=12), True, 1),
    "zero-boundary": ((26, 24, 28), dict(SOFT, constraint="zero-boundary"), False, 1),
    "zero-boundary-there": ((26, 24, 28), dict(SOFT, constraint="zero-boundary"), True, 1),
    # a table of the whole image is looked at on the host before its slope is known
    "nmi": ((48, 44), dict(similarity="nmi"), False, 2),
    "paper": ((48, 44), dict(preset="paper", iterations=10), False, 2),
    "paper-there": ((48, 44), dict(preset="paper", iterations=10), True, 2),
}


@pytest.mark.parametrize("name", DESCENTS)
def test_an_accepted_step_waits_once(name, monkeypatch, device):
    shape, settings, there, expected = DESCENTS[name]
    monkeypatch.setattr(deformable, "LEAST_ENTRIES_ON_DEVICE", 0 if there else np.inf)
    steps = []

    def note(step):
        steps.append((step.level, step.iteration, step.backtracks, device.log.synchronisations))

    varreg.solve(
        *deformed_pair(shape, 3), backend="cupy", progress=False, threads=1, callback=note,
        **ALONE, **settings,
    )  # fmt: skip
    quick, rejected, waits, others = [], 0, 0, 0
    for before, after in zip(steps[:-1], steps[1:], strict=True):
        if before[0] != after[0]:
            continue
        taken = after[3] - before[3]
        # after a trial that was rejected the gradient is not computed with the energy
        if after[2] == 0 and (before[2] == 0 or before[1] == 0):
            quick.append(taken)
            if taken > expected:
                continue
        waits, rejected, others = waits + taken, rejected + after[2], others + 1
    assert len(quick) >= (2 if name.startswith("paper") else 4)
    # a direction is led around a fold before it is tried: seldom, and rounding decides whether at all
    assert sum(taken > expected for taken in quick) <= len(quick) // 5
    # one for a trial that is rejected, and two gradients that are waited for alone; around a fold a few more
    assert waits <= expected * others + 5 * rejected


def test_gradients_are_not_computed_in_vain_where_trials_are_rejected(device):
    """After a rejected trial the next gradient is computed once its step is accepted."""
    found = varreg.solve(
        *deformed_pair((48, 44), 3), backend="cupy", progress=False, threads=1, memory=0,
        iterations=10, levels=(1,), **ALONE,
    )  # fmt: skip
    steps = [step for step in found.history if step.iteration]
    rejected = [step.backtracks > 0 for step in steps]
    assert sum(rejected) >= 3
    in_vain = sum(
        now and not before for before, now in zip([False, *rejected], rejected, strict=False)
    )
    assert device.log.launches.count("smooth_transposed") <= len(steps) + 1 + in_vain
