"""Calls of the command with a table."""

from __future__ import annotations

import csv

import pytest
from click.testing import CliRunner

from varreg.cli.commands import main

FEW = ["--levels", "2", "--iterations", "3", "--affine-iterations", "3"]


def call(*arguments):
    return CliRunner().invoke(main, ["register", *map(str, arguments)])


def one_line(outcome, code=1):
    """The only line of an error."""
    lines = outcome.stderr.strip().splitlines()
    assert outcome.exit_code == code, outcome.output
    assert len(lines) == 1 and lines[0].startswith("varreg: "), outcome.stderr
    return lines[0]


def summary(folder):
    with open(folder / "summary.csv", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def fail_if_asked(*_, **__):
    """In place of the generator of results."""
    pytest.fail("computed in vain")
    yield
