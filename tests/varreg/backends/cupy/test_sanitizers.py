"""The kernels under the sanitizers, and kernels broken on purpose, each of which must be caught."""

import functools
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from varreg.backends.cupy.source import source, source_for_many

from .device import needs_compiler
from .host_module import COMPILER
from .mutants import MUTANTS
from .small_checks import FAILED, WRONG

ROOT = Path(__file__).resolve().parents[4]
SANITIZERS = {"asan": "libasan.so", "tsan": "libtsan.so"}
VERDICTS = ("ThreadSanitizer: data race", "AddressSanitizer", "runtime error")
TIMEOUT = 600  # seconds
pytestmark = [
    needs_compiler,
    pytest.mark.slow,
    pytest.mark.skipif(
        platform.system() != "Linux", reason="the sanitizers are loaded as on Linux"
    ),
]


def checked(flavour, *mutant):
    """What the checks find: "right", "wrong", "refused", "without end", or the verdict of a sanitizer."""
    variables = dict(os.environ, OPENBLAS_NUM_THREADS="1", PYTHONPATH=os.pathsep.join(sys.path))
    if flavour in SANITIZERS:
        variables.update(
            LD_PRELOAD=library(SANITIZERS[flavour]), PYTHONMALLOC="malloc",
            ASAN_OPTIONS="detect_leaks=0:detect_stack_use_after_return=0",
            TSAN_OPTIONS="exitcode=66:report_bugs=1",
        )  # fmt: skip
    command = [sys.executable, "-m", f"{__package__ or 'tests.varreg.backends.cupy'}.small_checks"]
    try:
        done = subprocess.run(
            [*command, flavour, *map(str, mutant)],
            capture_output=True,
            text=True,
            env=variables,
            cwd=ROOT,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:  # of memory that was written over
        return "without end"
    found = next((verdict for verdict in VERDICTS if verdict in done.stderr), None)
    code = {0: "right", WRONG: "wrong", FAILED: "refused"}.get(done.returncode)
    return found or code or f"ended with {done.returncode}: {done.stderr[-2000:]}"


@functools.lru_cache
def library(name):
    """Path of a library of the compiler; the tests that need it are skipped if there is none."""
    command = [COMPILER, f"-print-file-name={name}"]
    path = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    if not os.path.isabs(path):
        pytest.skip(f"the compiler has no {name}")
    return path


@pytest.mark.parametrize("flavour", ["plain", "asan", "tsan"])
def test_the_kernels_are_right_and_clean(flavour):
    assert checked(flavour) == "right"


@pytest.mark.parametrize("number", range(len(MUTANTS)), ids=[name for name, *_ in MUTANTS])
def test_a_broken_kernel_is_caught(number):
    _, old, new = MUTANTS[number]
    code = source_for_many(source("float32"), "float32")
    assert code.count(old) >= 1 and code.replace(old, new, 1) != code
    found = checked("plain", number)
    if (
        found == "right"
    ):  # the order of threads on one CPU hides races, and luck what is out of bounds
        found = next(
            (f for f in (checked("tsan", number), checked("asan", number)) if f != "right"), found
        )
    assert found != "right"
