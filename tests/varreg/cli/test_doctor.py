"""``varreg doctor`` says what is there, ``varreg completion`` prints what a shell can run."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from varreg import __version__
from varreg.cli import doctor, main


def run(*arguments):
    ended = CliRunner().invoke(main, arguments)
    assert ended.exit_code == 0, ended.output
    return ended.output


def test_it_says_what_an_issue_needs():
    said = run("doctor")
    assert said.startswith(f"varreg {__version__}, python {sys.version.split()[0]}")
    assert f"numpy {np.__version__}" in said
    assert "kernels: " in said and "threads: " in said
    assert "MISSING" not in said


def test_as_data_it_is_the_same():
    found, examined = json.loads(run("doctor", "--json")), doctor.examine()
    # the disk is not ours alone
    for kernels in (found["kernels"], examined["kernels"]):
        free = kernels.pop("free_gigabytes")
        assert free is None if kernels["cache"] is None else free > 0
    assert found == json.loads(json.dumps(examined))
    assert found["threads"] >= 1


def test_variables_that_rule_threads_are_told_and_no_others(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    variables = doctor.examine()["variables"]
    assert variables["NUMBA_NUM_THREADS"] == "3"
    assert "hidden" not in run("doctor")


def test_what_is_wrong_is_said_in_capitals():
    found = doctor.examine()
    found["packages"]["scipy"] = doctor.ABSENT
    found["kernels"] |= {"cache": "somewhere", "writable": False}
    said = doctor.described(found)
    assert "MISSING: scipy" in said and "NOT WRITABLE" in said


def test_a_cache_that_is_nowhere(monkeypatch):
    monkeypatch.setattr("varreg.backends.numba.cache.cache_folder", lambda kernel: None)
    found = doctor.examine()
    assert found["kernels"]["cache"] is None and not found["kernels"]["writable"]
    assert "every process compiles the kernels again" in doctor.described(found)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_of_the_shell(shell):
    script = run("completion", shell)
    assert "_VARREG_COMPLETE" in script and "varreg" in script
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True)
        assert checked.returncode == 0, checked.stderr


def test_completing_finds_commands_and_options():
    environment = {
        "_VARREG_COMPLETE": "bash_complete",
        "COMP_WORDS": "varreg cer",
        "COMP_CWORD": "1",
    }
    ended = CliRunner().invoke(main, [], env=environment, prog_name="varreg")
    assert "certify" in ended.output


def test_an_unknown_shell_is_refused():
    ended = CliRunner().invoke(main, ["completion", "tcsh"])
    assert ended.exit_code == 2 and "'bash', 'zsh', 'fish'" in ended.output
