"""The embedded example, small: it finds the known map, and its folder is whole or absent."""

from __future__ import annotations

import json

import numpy as np
import pytest

import varreg
from varreg.data.demo import run_demo
from varreg.data.phantom.accuracy import ErrorSummary, mean_dice

SMALL = {"shape": (96, 96), "progress": False}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return run_demo(tmp_path_factory.mktemp("demo") / "out", seed=1, **SMALL)


def test_the_known_map_is_found(report):
    assert report.error_before.mean > 2.5
    assert report.error_after.mean < 0.35 * report.error_before.mean
    assert report.dice_after > report.dice_before + 0.15
    assert report.folds == 0 and report.smallest_determinant > 0


def test_the_report_reads_as_a_paragraph(report):
    text = str(report)
    assert "\n" not in text and "does not fold anywhere" in text
    assert f"{report.error_after.mean:.2f}" in text and "96 x 96" in text


def test_the_folder_holds_the_pair_the_result_and_the_picture(report):
    names = {entry.name for entry in report.output.iterdir()}
    assert names == {"demo.json", "fixed.nii.gz", "moving.nii.gz", "overview.png", "result"}
    assert report.picture.stat().st_size > 50_000
    numbers = json.loads((report.output / "demo.json").read_text())
    assert numbers["error_after"]["mean"] == pytest.approx(report.error_after.mean)
    result = varreg.load(report.output / "result")
    moved = result.warp(report.output / "moving.nii.gz")
    np.testing.assert_allclose(moved, result.warped.data, atol=1e-6)


def test_a_seed_gives_the_same_numbers_again(report, tmp_path):
    again = run_demo(tmp_path / "again", seed=1, **SMALL)
    assert again.error_after == report.error_after and again.dice_after == report.dice_after


def test_an_earlier_demo_is_replaced_only_when_asked(tmp_path):
    output = tmp_path / "out"
    quick = {"options": varreg.Options(levels=(4,), iterations=2, affine_iterations=2), **SMALL}
    run_demo(output, seed=3, **quick)
    with pytest.raises(varreg.FileError, match="exists"):
        run_demo(output, seed=4, **quick)
    assert json.loads((output / "demo.json").read_text())["seed"] == 3
    run_demo(output, seed=4, overwrite=True, **quick)
    assert json.loads((output / "demo.json").read_text())["seed"] == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"dim": 4}, "`dim` must be 2 or 3"),
        ({"seed": -1}, "`seed` must be a whole number"),
        ({"seed": 1.5}, "`seed` must be a whole number"),
        ({"shape": (8, 8)}, "each at least 32"),
    ],
)
def test_bad_arguments_leave_no_folder(tmp_path, arguments, words):
    with pytest.raises(varreg.InputError, match=words):
        run_demo(tmp_path / "out", **arguments)
    assert not list(tmp_path.iterdir())


def test_errors_and_overlaps_are_what_they_say():
    truth = np.zeros((2, 10, 10))
    off = truth.copy()
    off[0, :, 5:] = 3.0
    off[1, :, 5:] = 4.0
    found = ErrorSummary.between(off, truth, np.ones((10, 10), dtype=bool))
    assert (found.mean, found.percentile95, found.largest) == (2.5, 5.0, 5.0)
    labels = np.arange(7)
    assert mean_dice(labels, labels) == 1.0
    assert mean_dice(np.array([1, 1, 0, 2]), np.array([1, 0, 1, 2])) == pytest.approx(0.75)
