"""Options on the command line: every field of :class:`varreg.Options`, with a value that it takes."""

from __future__ import annotations

import dataclasses

import pytest
from click.testing import CliRunner

from varreg.cli import main
from varreg.options.options import Options

#: Field -> values as they are typed, and what they mean.
VALUES = {
    "similarity": [("ssd", "ssd"), ("mi", "mi")],
    "regions": [("4", 4), ("none", None)],
    "similarity_weight": [("2", 2.0)],
    "axes": [("j", "j"), ("ik", "ik"), ("0.1,1,0.1", (0.1, 1.0, 0.1)), ("none", None)],
    "points_weight": [("0.5", 0.5)],
    "rigidity_weight": [("300", 300.0)],
    "weights": [("2,1", (2.0, 1.0)), ("none", None)],
    "similarities": [("mi,lncc", ("mi", "lncc")), ("none", None)],
    "smoothness_weight": [("0.5", 0.5), ("none", None)],
    "smoothness_length": [("0", 0.0), ("none", None)],
    "smoothness_order": [("2", 2), ("3", 3), ("4", 4), ("none", None)],
    "regularity": [("fine", "fine"), ("smooth", "smooth"), ("auto", "auto")],
    "volume_weight": [("0.45", 0.45), ("0", 0.0), ("none", None)],
    "constraint": [("zero-boundary", "zero-boundary")],
    "estimator": [("fine-histogram", "fine-histogram")],
    "bins": [("32", 32)],
    "kernel_width": [("0.75", 0.75)],
    "fixed_range": [("0,1.5", (0.0, 1.5)), ("none", None)],
    "moving_range": [("-1,1", (-1.0, 1.0)), ("none", None)],
    "interpolation": [("cubic", "cubic")],
    "samples_per_node": [("100", 100.0), ("none", None)],
    "levels": [("4,2,1.5", (4.0, 2.0, 1.5)), ("2", (2.0,)), ("none", None)],
    "iterations": [("5", 5), ("5,4", (5, 4)), ("none", None)],
    "memory": [("0", 0)],
    "gradient_tolerance": [("1e-5", 1e-5)],
    "energy_tolerance": [("0", 0.0)],
    "largest_step": [("0.5", 0.5)],
    "smallest_determinant": [("0.1", 0.1)],
    "affine_iterations": [("7", 7)],
}


class Asked(Exception):
    """Ends a registration with what was asked of it."""


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Options)])
def test_every_field_takes_its_values_on_the_command_line(field, tmp_path, monkeypatch):
    def solve(*images, options, **_):
        raise Asked(options)

    monkeypatch.setattr("varreg.api.solve", solve)
    pair = ["register", "moving.nii", "fixed.nii", "-o", str(tmp_path / "out")]
    for typed, meant in VALUES[field]:
        outcome = CliRunner().invoke(main, [*pair, "--" + field.replace("_", "-"), typed])
        assert outcome.exit_code == 70, outcome.output  # the exception that nobody expects
        assert repr(Options(**{field: meant})) in outcome.stderr


@pytest.mark.parametrize("typed", ["1", "5", "2.5", "two"])
def test_an_order_of_smoothness_that_does_not_exist_is_wrong_usage(tmp_path, typed):
    pair = ["register", "moving.nii", "fixed.nii", "-o", str(tmp_path / "out")]
    outcome = CliRunner().invoke(main, [*pair, "--smoothness-order", typed])
    assert outcome.exit_code == 2 and "'--smoothness-order'" in outcome.stderr
