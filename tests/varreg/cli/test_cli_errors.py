"""The command line: errors in one line, refusals, exit codes, interruptions."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

import varreg
from varreg.cli.commands import main
from varreg.cli.exit_codes import Command
from varreg.cli.value_types import Numbers
from varreg.options.options import Options

from .calls import FEW, call, save

ROOT = Path(varreg.__file__).resolve().parents[1]


def one_line(outcome, code=1):
    """The only line of an error."""
    lines = outcome.stderr.strip().splitlines()
    assert outcome.exit_code == code, outcome.output
    assert len(lines) == 1 and lines[0].startswith("varreg: "), outcome.stderr
    assert "Traceback" not in outcome.output
    return lines[0]


def broken_inputs(folder):
    """Name -> (moving image that cannot be used, words of the message)."""
    rng = np.random.default_rng(0)
    good = rng.random((32, 32, 1)).astype(np.float32)
    nan = good.copy()
    nan[:] = np.nan
    save(folder / "nan.nii.gz", nan)
    save(folder / "volume.nii.gz", rng.random((16, 16, 16)).astype(np.float32))
    save(folder / "constant.nii.gz", np.ones_like(good))
    whole = (folder / "nan.nii.gz").read_bytes()
    (folder / "corrupt.nii.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "text.nii").write_text("not an image")
    (folder / "folder.nii.gz").mkdir()
    return {
        "absent.nii.gz": "does not exist",
        "folder.nii.gz": "folder",
        "corrupt.nii.gz": "corrupt.nii.gz",
        "text.nii": "text.nii",
        "nan.nii.gz": "NaN",
        "constant.nii.gz": "constant",
        "volume.nii.gz": "3D",
    }


NAMES = ("absent", "folder", "corrupt", "nan", "constant", "volume")


@pytest.mark.parametrize("name", [f"{name}.nii.gz" for name in NAMES] + ["text.nii"])
def test_a_bad_image_ends_in_one_line(tmp_path, pair, name):
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    expected = broken_inputs(inputs)[name]
    before = sorted(tmp_path.iterdir())
    line = one_line(call("register", inputs / name, pair[1], "-o", tmp_path / "out"))
    assert expected in line and "MOVING" in line
    assert sorted(tmp_path.iterdir()) == before


def test_a_mask_of_another_place_is_refused(tmp_path, pair):
    away = np.eye(4) + 55 * np.eye(4, k=3)
    mask = save(tmp_path / "mask.nii.gz", np.ones((20, 20, 1), dtype=np.uint8), away)
    line = one_line(call("register", *pair, "-o", tmp_path / "out", "--fixed-mask", mask))
    assert "--fixed-mask" in line


@pytest.mark.parametrize("name", ["out", "out.nii.gz"])
def test_what_exists_is_replaced_only_when_forced(tmp_path, pair, name, monkeypatch):
    target = tmp_path / name
    assert call("register", *pair, "-o", target, *FEW, "-q").exit_code == 0
    with monkeypatch.context() as patched:
        patched.setattr("varreg.api.solve", lambda *_, **__: pytest.fail("computed in vain"))
        refused = one_line(call("register", *pair, "-o", target, *FEW))
        assert "pass --force or" in refused and "overwrite" not in refused
        missing = tmp_path / "no" / name
        assert "does not exist" in one_line(call("register", *pair, "-o", missing, *FEW))
        figure = call("register", *pair, "-o", tmp_path / "x", "--png", tmp_path / "no" / "a.png")
        assert "does not exist" in one_line(figure)
        picture = call("register", *pair, "-o", tmp_path / "x", "--png", tmp_path / "a.txt")
        assert ".svg" in one_line(picture)
    assert call("register", *pair, "-o", target, *FEW, "-q", "--force").exit_code == 0
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_foreign_folder_is_never_replaced(tmp_path, pair):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    line = one_line(call("register", *pair, "-o", tmp_path / "thesis", "--force", *FEW))
    assert "not replaced" in line
    assert one_line(call("demo", "-o", tmp_path / "thesis", "--force"))
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "years of work"


def test_a_volume_is_not_computed_to_become_a_picture(tmp_path):
    volume = save(tmp_path / "v.nii.gz", np.random.default_rng(0).random((16, 16, 16)))
    assert "3D" in one_line(call("register", volume, volume, "-o", tmp_path / "out.png"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bins", "4"], "Invalid value for '--bins': must be a whole number from 8 to 1024"),
        (["--bins", "many"], "'many' is not a valid integer"),
        (["--levels", "1,2"], "'--levels': must be"),
        (["--levels", "4,x"], "'4,x' is not numbers separated by commas"),
        (["--iterations", "4.5"], "is not whole numbers"),
        (["--fixed-range", "1,0"], "'--fixed-range': must be"),
        (["--smoothness-length", "1,2"], "is more than one number"),
        (["--affine", "elastic"], "is neither auto, translation, rigid"),
        (["--preset", "quick"], "'quick' is not one of"),
        (["--threads", "0"], "'--threads'"),
    ],
)
def test_option_values_are_refused_as_usage(tmp_path, pair, arguments, words):
    outcome = call("register", *pair, "-o", tmp_path / "out", *arguments)
    assert outcome.exit_code == 2
    assert words in outcome.stderr and "Options(" not in outcome.stderr
    assert not list(tmp_path.iterdir())


def test_labels_are_not_interpolated_by_cubics(tmp_path, files):
    given = ("--labels", "--interpolation", "cubic", "-o", tmp_path / "out.nii.gz")
    assert call("apply", files / "result", files / "labels.nii.gz", *given).exit_code == 2


@pytest.mark.parametrize("command", ["info", "apply"])
def test_what_is_no_result_is_refused(tmp_path, pair, command):
    rest = [] if command == "info" else [pair[0], "-o", tmp_path / "out.nii.gz"]
    assert "result.json" in one_line(call(command, tmp_path, *rest))
    (tmp_path / "result.json").write_text("{")
    assert one_line(call(command, tmp_path, *rest))


def test_every_option_of_the_energy_is_an_option_of_the_command():
    shown = call("register", "--help").stdout
    for field in dataclasses.fields(Options):
        assert "--" + field.name.replace("_", "-") in shown
    options = {parameter.name: parameter for parameter in main.commands["register"].params}
    for field in dataclasses.fields(Options):
        text = options[field.name].help
        assert len(text) > 20 and "\\" not in text and "`" not in text


def test_numbers_become_what_options_takes():
    iterations = Numbers(int | tuple[int, ...])
    assert iterations.convert("60", None, None) == 60
    assert iterations.convert("60,30", None, None) == (60, 30)
    levels = Numbers(tuple[float, ...] | None)
    assert levels.convert("2", None, None) == (2.0,) and levels.convert("none", None, None) is None
    with pytest.raises(click.BadParameter):
        Numbers(float).convert("none", None, None)


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted; nothing was written"),
        (MemoryError("Unable to allocate 9 TiB"), 1, "not enough memory"),
        (OSError(5, "Input/output error"), 1, "Input/output error"),
        (ZeroDivisionError("division by zero"), 70, "unexpected ZeroDivisionError"),
        (varreg.InputError("varreg.solve: `moving` is\n bad."), 1, "error: `moving` is bad."),
    ],
)
def test_every_exception_has_its_exit_code(raised, code, words):
    @click.command(cls=Command)
    def fail():
        raise raised

    outcome = CliRunner().invoke(fail, [])
    assert words in one_line(outcome, code)
    if isinstance(raised, Exception):
        assert "Traceback" in CliRunner().invoke(fail, ["--debug"]).stderr


def run(*arguments, **settings):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "varreg", *map(str, arguments)]
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )


def test_the_module_is_the_command():
    stdout, _ = run("--version").communicate(timeout=60)
    assert stdout.split() == ["varreg,", "version", varreg.__version__]
    process = run("register", "a.nii", "b.nii")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 2 and stderr.startswith("Usage: varreg register")


def test_help_does_not_load_the_heavy_packages():
    code = (
        "import sys; from varreg.cli.commands import main; main(['--help'], standalone_mode=False);"
        "print({'numba', 'scipy', 'matplotlib', 'nibabel', 'skimage'} & set(sys.modules))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip().endswith("set()")


@pytest.mark.skipif(os.name == "nt", reason="signals are sent differently on Windows")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_leaves_nothing_behind(tmp_path, number, code):
    process = run("demo", "--3d", "-o", tmp_path / "demo")
    limit = time.monotonic() + 60
    while not list(tmp_path.iterdir()) and time.monotonic() < limit:
        time.sleep(0.02)  # until the output is reserved: the computation has begun
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in stderr
    assert not list(tmp_path.iterdir())


def test_strict_ends_with_a_code_of_its_own_and_writes_all_the_same(tmp_path, pair):
    collapsed = tmp_path / "collapsed.txt"
    np.savetxt(collapsed, np.diag([0.4, 1.0, 1.0]))
    given = [*pair, "--affine", collapsed, "--no-deformable", "-o", tmp_path / "out"]
    outcome = call("register", *given, "--strict", "-q")
    assert outcome.exit_code == 3
    (line,) = outcome.stderr.strip().splitlines()
    assert line.startswith("varreg: Checks: ")
    assert "scales an axis by 0.40" in line
    assert varreg.load(tmp_path / "out").warnings
    lenient = call("register", *given, "--force")
    assert lenient.exit_code == 0
    assert lenient.stdout.startswith("Checks: ")
