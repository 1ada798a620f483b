"""Weights of the axes where the iterates are on the device."""

import numpy as np
import pytest

import varreg
from varreg.selftest.images import deformed_pair
from varreg.stages import deformable

from .device import needs_compiler

pytestmark = [needs_compiler, pytest.mark.usefixtures("device")]


@pytest.mark.parametrize("there", [False, True])
def test_a_displacement_along_one_axis_agrees_with_the_cpu(there, monkeypatch):
    monkeypatch.setattr(deformable, "LEAST_ENTRIES_ON_DEVICE", 0 if there else np.inf)
    settings = dict(affine=None, axes=(0, 1), threads=1, progress=False, levels=(1,), iterations=8)
    found, expected = (
        varreg.solve(*deformed_pair((48, 44), 3), backend=name, **settings)
        for name in ("cupy", "numba")
    )
    assert not found.u[0].any()
    np.testing.assert_allclose(found.displacement, expected.displacement, atol=2e-3)
