"""Weights and rigid masks where the iterates are on the device."""

import numpy as np
import pytest

import varreg
from varreg.selftest.images import deformed_pair
from varreg.stages import deformable

from .device import needs_compiler

pytestmark = [needs_compiler, pytest.mark.usefixtures("device")]
BOX = np.zeros((48, 44), bool)
BOX[14:30, 12:28] = True
MASKS = {
    "fixed": dict(fixed_rigid_mask=BOX),
    "moving": dict(moving_rigid_mask=BOX),
    "weights": dict(fixed_mask=np.where(BOX, 0.3, 1.0), moving_mask=np.where(BOX, 0.5, 1.0)),
}


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("there", [False, True])
def test_a_registration_with_masks_agrees_with_the_cpu(there, masks, monkeypatch):
    monkeypatch.setattr(deformable, "LEAST_ENTRIES_ON_DEVICE", 0 if there else np.inf)
    settings = dict(
        affine=None, deformable=True, threads=1, progress=False, levels=(1,), iterations=3
    )
    found, expected = (
        varreg.solve(*deformed_pair((48, 44), 3), backend=name, **MASKS[masks], **settings)
        for name in ("cupy", "numba")
    )
    # a few steps: later ones may be led another way by a rounding
    np.testing.assert_allclose(found.displacement, expected.displacement, atol=5e-3)
    if masks != "weights":
        assert found.energy.rigidity == pytest.approx(expected.energy.rigidity, rel=1e-2)
        assert found.rigidity.mean == pytest.approx(expected.rigidity.mean, rel=1e-2)
