"""What all tests of varreg share."""

import pytest

from .problems import deformable_problem, state


@pytest.fixture(scope="session", autouse=True)
def compiled_kernels_of_problems(compiled_kernels):
    """Kernels in float64, in which derivatives are checked against differences, compiled once."""
    objective, z, _ = deformable_problem()
    objective.evaluate(state(objective, z)).gradient()
