"""Every backend is a module that satisfies the protocol."""

import inspect
import subprocess
import sys

import pytest

from varreg.backends.numba import backend as cpu
from varreg.backends.numpy import backend as reference
from varreg.backends.protocol import Backend

FUNCTIONS = {
    name: f for name, f in inspect.getmembers(Backend, inspect.isfunction) if name[0] != "_"
}


def test_the_protocol_describes_every_function_of_a_backend():
    assert set(FUNCTIONS) == set(cpu.__all__)
    assert all(inspect.getdoc(function) for function in FUNCTIONS.values())


@pytest.mark.parametrize("backend", [cpu, reference], ids=["cpu", "reference"])
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_signatures_are_those_of_the_protocol(backend, name):
    wanted = inspect.signature(FUNCTIONS[name])
    parameters = list(wanted.parameters.values())[1:]  # a module has no self
    assert inspect.signature(getattr(backend, name)) == wanted.replace(parameters=parameters)


def test_names_of_the_backends():
    assert (cpu.NAME, reference.NAME) == ("numba", "numpy")


def test_the_reference_needs_no_numba():
    code = (
        "import sys, varreg.backends.numpy.backend as r; assert 'numba' not in sys.modules, 'numba'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("shape", ["(20, 24)", "(8, 9, 10)"])
def test_a_registration_by_the_reference_needs_no_numba(shape):
    code = f"""
import sys, numpy as np, varreg
index = np.indices({shape})
fixed = np.exp(-((index - 5) ** 2).sum(0) / 20)
result = varreg.solve(1 - np.roll(fixed, 1, 0), fixed, backend="numpy", iterations=2)
assert result.warped.data.std() > 0
assert "numba" not in sys.modules, "numba"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
