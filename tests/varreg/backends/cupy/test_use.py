"""``backend="cupy"`` from the outside, with a stand-in for the device."""

import sys

import click.testing
import numpy as np
import pytest

import varreg
from varreg.backends.cupy import selection
from varreg.cli import main
from varreg.cli.doctor import described, examine
from varreg.errors import BackendError, InputError
from varreg.selftest import running
from varreg.selftest.cases import AnswerCase, ValueCase, answer_cases, value_cases
from varreg.selftest.images import deformed_pair
from varreg.selftest.maps import map_cases

from .device import needs_compiler

pytestmark = needs_compiler
QUIET = dict(progress=False, threads=1)


@pytest.fixture(scope="module")
def images():
    return deformed_pair((96, 88), 11)


def test_a_registration_finds_what_the_cpu_finds(device, images):
    found = varreg.solve(*images, backend="cupy", **QUIET)
    wanted = varreg.solve(*images, backend="numba", **QUIET)
    apart = np.linalg.norm(found.displacement - wanted.displacement, axis=0)
    assert apart.mean() < 0.02
    assert found.energy.total == pytest.approx(wanted.energy.total, rel=1e-3)
    assert found.provenance["backend"] == "cupy"
    assert "cupy on no device" in str(found)


def test_the_device_asked_for_is_the_current_one(device, images):
    device.cuda.runtime.devices = 2
    found = varreg.solve(
        *images, backend="cupy", device=1, affine="rigid", deformable=False, **QUIET
    )
    assert device.log.used == 1
    assert found.provenance["backend"] == "cupy"


def test_a_registration_waits_a_few_times_a_step(device, images):
    found = varreg.solve(*images, backend="cupy", affine=None, deformable=True, **QUIET)
    evaluations = sum(level.evaluations for level in found.levels)
    steps = sum(level.iterations for level in found.levels)
    launched = [name for name in device.log.launches if name == "region_information"]
    assert len(launched) <= evaluations + 3 * len(found.levels) + 10
    # a trial: the bound of folds and the value; a step: the gradient
    assert device.log.synchronisations <= 2 * len(launched) + steps + 60


def test_a_batch_is_the_same_as_one_by_one(device, images):
    pairs = [images, deformed_pair((60, 56), 4)]
    together = varreg.solve_batch(pairs, backend="cupy", progress=False, threads=2)
    for pair, result in zip(pairs, together, strict=True):
        alone = varreg.solve(*pair, backend="cupy", **QUIET)
        np.testing.assert_array_equal(alone.displacement, result.displacement)
    with pytest.raises(InputError, match="processes"):
        varreg.solve_batch(pairs, backend="cupy", processes=2)


def test_a_map_is_certified_on_the_device(device, images):
    result = varreg.solve(*images, backend="cupy", **QUIET)
    device.log.reset()
    found = varreg.certify(*images, result, backend="cupy", threads=1)
    assert found.energy.total == pytest.approx(result.energy.total, rel=1e-6)
    assert "joint_histogram" in device.log.launches


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (dict(device=1), BackendError, "1 devices, from 0; got device 1"),
        (dict(device=-1), InputError, "`device`"),
        (dict(device="gpu"), InputError, "`device`"),
    ],
)
def test_refusals_before_anything_is_computed(device, images, arguments, error, message):
    for call in (varreg.solve, lambda m, f, **a: varreg.solve_batch([(m, f)], **a)):
        with pytest.raises(error, match=message):
            call(*images, backend="cupy", **arguments)
    assert not device.log.launches


def test_no_device_is_an_error_with_a_remedy(device, images):
    device.cuda.runtime.devices = 0
    with pytest.raises(BackendError, match=r"no CUDA device.*backend='numba'"):
        varreg.solve(*images, backend="cupy")
    assert varreg.solve(*images, affine="rigid", deformable=False, **QUIET).provenance[
        "backend"
    ] == ("numba")


def test_too_little_memory_is_an_error_with_the_size_and_a_remedy(device, images):
    device.largest = 20_000
    with pytest.raises(MemoryError, match=r"allocating .*\(0\.2 of 8\.0 GB .*backend='numba'"):
        varreg.solve(*images, backend="cupy", **QUIET)


def test_no_cupy_is_an_error_with_the_line_to_type(monkeypatch, images):
    selection.device_backend.cache_clear()
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendError, match=r"pip install 'cupy-cuda12x\[ctk\]'"):
        varreg.solve(*images, backend="cupy")


def test_auto_takes_a_device_whose_self_test_has_passed(device, images):
    brief = dict(affine="rigid", deformable=False, **QUIET)
    assert varreg.solve(*images, **brief).provenance["backend"] == "numba"
    assert "not tested" in described(examine())
    selection.remember(0)
    assert varreg.solve(*images, **brief).provenance["backend"] == "cupy"
    assert "has passed" in described(examine())
    device.cuda.runtime.driver = 13000  # another driver has to pass anew
    assert varreg.solve(*images, **brief).provenance["backend"] == "numba"


def test_a_damaged_record_is_none(device, images):
    path = selection.remember(0)
    assert selection.is_proven(0)
    path.write_text("{")
    assert not selection.is_proven(0)


def test_there_are_fifty_four_cases():
    cases = [*value_cases(), *map_cases(), *answer_cases()]
    assert len(cases) == 54
    assert len(set(map(str, cases))) == 54


def test_maps_of_the_self_test_agree(device, monkeypatch):
    outcomes = running.run(selection.device_backend(0), cases=map_cases())
    assert all(outcome.passed for outcome in outcomes), [str(o) for o in outcomes]
    assert "read_points" in device.log.launches and "norm" in device.log.operations
    read = selection.CuPyBackend.read_linear

    def shifted(self, image, points, fill, out):
        read(self, image, points + np.float32(0.01), fill, out)

    monkeypatch.setattr(selection.CuPyBackend, "read_linear", shifted)
    assert not running.run(selection.device_backend(0), cases=map_cases()[:1])[0].passed


def test_energies_of_the_self_test_agree(device):
    outcomes = running.run(
        selection.device_backend(0), cases=[*value_cases()[:12:3], *value_cases()[-2:]]
    )
    assert all(outcome.passed for outcome in outcomes), [str(o) for o in outcomes]


def test_the_command_prints_a_report_and_remembers(device, monkeypatch, tmp_path):
    cases = [ValueCase("mi", 2, True), AnswerCase((48, 44), dict(iterations=2))]
    monkeypatch.setattr(running, "value_cases", lambda: cases[:1])
    monkeypatch.setattr(running, "map_cases", list)
    monkeypatch.setattr(running, "answer_cases", lambda: cases[1:])
    run = click.testing.CliRunner().invoke
    done = run(main, ["selftest", "-o", str(tmp_path / "report.txt")])
    assert done.exit_code == 0, done.output
    assert "2 of 2 cases passed." in done.output
    assert (tmp_path / "report.txt").read_text() == done.output
    assert selection.is_proven(0)


def test_a_failure_is_said_and_not_remembered(device, monkeypatch):
    monkeypatch.setattr(running, "value_cases", lambda: [ValueCase("mi", 2, True)])
    monkeypatch.setattr(running, "map_cases", list)
    monkeypatch.setattr(running, "answer_cases", list)
    monkeypatch.setattr(running, "VALUES", 0.0)
    done = click.testing.CliRunner().invoke(main, ["selftest"])
    assert done.exit_code == 70
    assert "FAIL" in done.output and "0 of 1 cases passed." in done.output
    assert not selection.is_proven(0)


@pytest.mark.slow
def test_the_whole_self_test_passes(device):
    outcomes = running.run(selection.device_backend(0))
    assert all(outcome.passed for outcome in outcomes), [str(o) for o in outcomes]
