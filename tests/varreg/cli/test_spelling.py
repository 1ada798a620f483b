"""Messages of commands name options, and printed results in Python name arguments."""

from __future__ import annotations

import ast
import json
import re
import warnings
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

import varreg
from varreg.cli.commands import main
from varreg.cli.exit_codes import Command
from varreg.cli.spelling import spelled

from .calls import FEW, call, save

ROOT = Path(varreg.__file__).resolve().parent
CHECKED = sorted([*(ROOT / "checks").glob("*.py"), ROOT / "optimise" / "rigidity_report.py"])


def context(name, **given):
    """Of a command that has been given arguments."""
    return click.Context(main.commands[name], parent=click.Context(main), info_name=name), given


def shown(text, name="register", **given):
    ctx, ctx.params = context(name, **given)
    return spelled(text, ctx)


@pytest.mark.parametrize(
    ("python", "shell"),
    [
        ("pass overwrite=True (command line: --force) or", "pass --force or"),
        ("affine=None, start='header'", "--affine none, --start header"),
        ("alone (deformable=False).", "alone (--no-deformable)."),
        ("deformable=True, levels=(4, 2, 1).", "--deformable, --levels 4,2,1."),
        ("raise `smoothness_weight`.", "raise --smoothness-weight."),
        ("`Options(axes=...)` is 'k'", "--axes is 'k'"),
        ("by varreg.solve(..., start=map).", "by varreg register --start map."),
        ("(command line: --header) of a folder", "(command line: --header) of a folder"),
    ],
)
def test_arguments_become_options(python, shell):
    assert shown(python) == shell


@pytest.mark.parametrize(
    "text",
    [
        "'/data/start=3/t1.nii.gz' does not exist",
        "Command: varreg register a.nii b.nii --start `x` -o affine=None",
        "`function` is unknown, and so is place=2.",
        "`affine` holds NaN; correct the header.",
        "`moving` has no column 'x'.",
    ],
)
def test_what_is_no_argument_of_the_command_stays(text):
    assert shown(text) == text
    assert spelled("Pass start='moments'.") == "Pass start='moments'."  # outside of commands


def test_names_are_those_of_the_command_first():
    assert shown("`moving` is constant", moving="a.nii") == "MOVING is constant"
    assert shown("`moving` is constant", "report") == "--moving is constant"
    assert shown("(varreg.certify(..., trials=8) does)", "certify") == (
        "(varreg certify --trials 8 does)"
    )
    assert shown("give `format`", "convert") == "give --from"


def remedies():
    """Every constant text of the modules that make checks, except docstrings."""
    for path in CHECKED:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documented = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if id(node) not in documented:
                    yield node.value


def test_remedies_of_checks_name_options_that_exist():
    """No argument of Python is left, and no option is invented."""
    options = {o for p in main.commands["register"].params for o in [*p.opts, *p.secondary_opts]}
    said = [(text, shown(text)) for text in remedies()]
    assert sum(before != after for before, after in said) > 8
    for _, after in said:
        assert "`" not in after and not re.search(r"\b[a-z_]+=(\w|')", after), after
        assert set(re.findall(r"--[a-z-]+", after)) <= options


def test_a_result_is_printed_with_options_by_commands_and_with_arguments_in_python(tmp_path, pair):
    collapsed = tmp_path / "collapsed.txt"
    np.savetxt(collapsed, np.diag([0.4, 1.0, 1.0]))
    given = ["--affine", collapsed, "--no-deformable", "-o", tmp_path / "out"]
    printed = call("register", *pair, *given).stdout
    assert "Try --affine rigid or --affine similarity" in printed
    assert "affine='rigid'" not in printed
    assert f"Command: varreg register {pair[0]}" in printed
    assert "Try affine='rigid' or affine='similarity'" in str(varreg.load(tmp_path / "out"))
    assert "Try --affine rigid" in call("info", tmp_path / "out").stdout
    found = json.loads(call("info", tmp_path / "out", "--json").stdout)
    (told,) = [check["remedy"] for check in found["checks"] if check["name"] == "scales"]
    assert told.startswith("Try --affine rigid") and told in " ".join(found["warnings"])


def test_errors_name_options(tmp_path, pair):
    mask = save(tmp_path / "mask.nii.gz", np.zeros((64, 64, 1), dtype=np.uint8))
    outcome = call("register", *pair, "-o", tmp_path / "out", "--fixed-mask", mask, *FEW)
    assert outcome.exit_code == 1
    assert "varreg: error: --fixed-mask has no positive value" in outcome.stderr


def test_logged_messages_name_options(tmp_path, pair):
    """Of a start beside a matrix, which changes nothing."""
    identity = tmp_path / "identity.txt"
    np.savetxt(identity, np.eye(3))
    given = ["--affine", identity, "--start", identity, "-o", tmp_path / "out", *FEW]
    outcome = call("register", *pair, *given)
    assert outcome.exit_code == 0
    assert "varreg: --start is affine and changes nothing" in outcome.stderr


def test_warnings_name_options():
    @click.command(cls=Command)
    @click.option("--fixed-mask")
    def warned(fixed_mask):
        warnings.simplefilter("always")
        warnings.warn("`fixed_mask` contains all voxels.", stacklevel=1)

    outcome = CliRunner().invoke(warned, [])
    assert outcome.stderr == "varreg: warning: --fixed-mask contains all voxels.\n"
