"""Matching points where the iterates are on the device."""

import numpy as np
import pytest

import varreg
from varreg.selftest.images import deformed_pair
from varreg.stages import deformable

from .device import needs_compiler

pytestmark = [needs_compiler, pytest.mark.usefixtures("device")]


@pytest.mark.parametrize("there", [False, True])
def test_a_guided_registration_agrees_with_the_cpu(there, monkeypatch):
    monkeypatch.setattr(deformable, "LEAST_ENTRIES_ON_DEVICE", 0 if there else np.inf)
    here = np.array([[12.0, 14.0], [30.0, 20.0], [22.0, 33.0], [22.2, 33.1]])
    settings = dict(
        affine=None, deformable=True, threads=1, progress=False, levels=(1,), iterations=3
    )
    points = dict(fixed_points=here, moving_points=here + (1.0, -0.5), points_weight=0.1)
    found, expected = (
        varreg.solve(*deformed_pair((48, 44), 3), backend=name, **points, **settings)
        for name in ("cupy", "numba")
    )
    # a few steps: later ones may be led another way by a rounding
    np.testing.assert_allclose(found.displacement, expected.displacement, atol=5e-3)
    assert found.energy.points == pytest.approx(expected.energy.points, rel=1e-2)
