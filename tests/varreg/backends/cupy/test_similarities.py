"""Every similarity with its images on the device, against the same on the CPU."""

import numpy as np
import pytest

from varreg.backends.numba import backend as cpu
from varreg.energy.deformable import DeformableObjective
from varreg.energy.smoothness import Smoothness
from varreg.options.names import SIMILARITIES
from varreg.options.options import Options
from varreg.similarity.choice import WARPED, similarity

from ...problems import pair, random_affine
from .device import backend, needs_compiler

pytestmark = [needs_compiler, pytest.mark.usefixtures("device_scipy")]
NAMES = [*SIMILARITIES, "overlap-mi"]
CASES = {
    "2d": dict(shape=(40, 44)),
    "2d-masks": dict(shape=(40, 44), fixed_mask=True, moving_mask=True),
    "3d": dict(shape=(14, 18, 16), moving_shape=(15, 16, 20)),
    "3d-oblique": dict(shape=(14, 18, 16), moving_mask=True, oblique=True),
}


def evaluations(name, case, kernels, constraint, dtype=np.float64):
    """Value, part in view and gradient by the nodes at one map."""
    rng = np.random.default_rng(5)
    d = len(CASES[case]["shape"])
    images = pair(spacing=(1.0,) * d, **CASES[case])
    options = Options(similarity="mi" if name == "overlap-mi" else name, constraint=constraint)
    found = similarity(name, *images, options, kernels, 1, dtype)
    nodes = tuple(n // 3 for n in found.fixed_grid.shape)
    spacing = found.fixed_grid.extent / np.array(nodes)
    smoothness = Smoothness(nodes, spacing, 1.0, 1.0, constraint)
    objective = DeformableObjective(found, random_affine(d, rng), smoothness, options)
    z = smoothness.to_coordinates(rng.normal(size=(d, *nodes)) * 0.2)
    evaluation = objective.evaluate_folded((z, smoothness.to_field(z)))
    return evaluation.energy.similarity, evaluation.in_view, evaluation.gradient() - z


@pytest.mark.parametrize("constraint", ["zero-mean", "zero-boundary"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient_are_those_of_the_cpu(name, case, constraint):
    value, in_view, gradient = evaluations(name, case, backend(), constraint)
    wanted = evaluations(name, case, cpu, constraint)
    assert value == pytest.approx(wanted[0], rel=1e-5)
    assert in_view == pytest.approx(wanted[1], rel=1e-5)
    tolerance = 1e-7 if name in WARPED else 2e-3  # tables are in steps of 2^-18
    np.testing.assert_allclose(
        gradient, wanted[2], rtol=0, atol=tolerance * np.abs(wanted[2]).max()
    )
