"""NVRTC takes the sources without a warning, and the kernels fit on the devices; no GPU is needed for that."""

import re

import numpy as np
import pytest

from varreg.backends.cupy.launch import SHARED_MEMORY
from varreg.backends.cupy.source import signatures, source, source_for_many

#: Turing, A100, H100.
ARCHITECTURES = ("75", "80", "90")
REGISTERS = 65_536
_ENTRY = re.compile(
    r"Compiling entry function '([^']+)'.*?\n(.*?)(?=Compiling entry|\Z)", re.DOTALL
)


@pytest.fixture(scope="module")
def nvrtc():
    """The compiler, from wheels or of the system."""
    pytest.importorskip("cupy", reason="CuPy is not installed: python -m pip install cupy-cuda12x")
    from cupy.cuda import nvrtc

    try:
        nvrtc.getVersion()
    except Exception as error:  # whatever says that the library is not there
        pytest.skip(
            f"no NVRTC (python -m pip install nvidia-cuda-nvrtc-cu12): {type(error).__name__}"
        )
    return nvrtc


def compiled(nvrtc, dtype, architecture):
    """(binary, log) with the options that CuPy adds to ours."""
    code = source_for_many(source(dtype), dtype)
    program = nvrtc.createProgram(code, "kernels.cu", (), ())
    options = ("-std=c++17", "-ftz=true", f"-arch=sm_{architecture}", "--ptxas-options=-v")
    try:
        nvrtc.compileProgram(program, options)
    except nvrtc.NVRTCError:
        pytest.fail(nvrtc.getProgramLog(program))
    return nvrtc.getCUBIN(program), nvrtc.getProgramLog(program)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_kernel_compiles_and_fits(nvrtc, dtype, architecture):
    binary, log = compiled(nvrtc, dtype, architecture)
    assert binary[:4] == b"\x7fELF"
    assert "warning" not in log
    expected = signatures(source(dtype), dtype)
    kernels = dict(_ENTRY.findall(log))
    assert set(kernels) == set(expected)
    for name, said in kernels.items():
        spilled = sum(map(int, re.findall(r"(\d+) bytes spill", said)))
        registers = int(re.search(r"Used (\d+) registers", said)[1])
        shared = re.search(r"(\d+) bytes smem", said)
        assert spilled == 0, name
        assert registers * expected[name].threads <= REGISTERS, name
        assert shared is None or int(shared[1]) <= SHARED_MEMORY, name
