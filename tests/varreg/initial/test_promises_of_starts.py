"""What the solver promises of a start, and which starts are refused."""

import dataclasses
import json

import numpy as np
import pytest

import varreg
from varreg.errors import FileError, GeometryError, InputError, OverlapError
from varreg.geometry.grid import Grid
from varreg.images.image import Image
from varreg.initial.input_transform import input_transform
from varreg.initial.warm_start import warm_start
from varreg.stages.deformable import deformable_objective

from .starts import both_dimensions, folded_field, problem_of

QUICK = dict(deformable=True, threads=1, iterations=(6, 4), levels=(2, 1), affine_iterations=8)


@pytest.fixture(scope="module")
def cold(pairs):
    return {d: varreg.solve(p.moving, p.fixed, **QUICK) for d, p in pairs.items()}


def start_of(problem, transform):
    fixed, moving = (Image(p.data, p.grid) for p in (problem.fixed, problem.moving))
    return input_transform(transform, fixed, moving, argument="start", function="test")


def starts(found, result):
    rng = np.random.default_rng(14)
    d = found.fixed.ndim
    noise = rng.normal(size=found.displacement.shape)
    grid = result.transform.fixed
    return {
        "truth": found.displacement,
        "result": result,
        "transform": result.transform,
        "noise": found.displacement + 0.3 * noise,
        "folds": folded_field(found.fixed.shape, rng) + found.displacement,
        "other constraint": varreg.Transform(
            grid, grid, result.affine, result.transform.nodes, "zero-boundary"
        ),
        "nothing": np.zeros((d, *found.fixed.shape)),
        "wrong": -found.displacement,
    }


STARTS = (
    "truth", "result", "transform", "noise", "folds", "other constraint", "nothing", "wrong",
)  # fmt: skip


@both_dimensions
@pytest.mark.parametrize("name", STARTS)
def test_never_above_the_start_and_never_folded(pairs, cold, dimension, name):
    found = pairs[dimension]
    start = starts(found, cold[dimension])[name]
    result = varreg.solve(found.moving, found.fixed, start=start, **QUICK)
    assert result.energy.total <= result.start.energy.total
    assert all(h.smallest_determinant >= 0.05 for h in result.history)
    assert (result.start.smallest_determinant < 0) == (name == "folds" or name == "noise")
    if name in ("truth", "result", "transform", "nothing"):
        assert result.start.unfolding is None
    assert [level.stage for level in result.levels][-1] == "deformable"
    assert "Start: " in str(result)


@both_dimensions
@pytest.mark.parametrize("settings", [{}, dict(constraint="zero-boundary"), dict(preset="paper")])
def test_a_result_of_ours_comes_back_with_its_own_bits(pairs, dimension, settings):
    found, quick = pairs[dimension], {**QUICK, **settings}
    before = varreg.solve(found.moving, found.fixed, **quick)
    after = varreg.solve(found.moving, found.fixed, start=before, **{**quick, "iterations": 0})
    assert after.transform.nodes.tobytes() == before.transform.nodes.tobytes()
    assert after.affine.tobytes() == before.affine.tobytes()
    assert after.energy.similarity == before.energy.similarity
    assert after.energy.total == pytest.approx(before.energy.total, abs=1e-12)
    assert after.start.largest_moved == 0 and after.start.unfolding is None


def test_a_good_start_is_not_blurred_away(pairs, cold):
    """From the truth the solver ends nearer to it than from nothing, without the coarse level."""
    found = pairs[2]
    refined = varreg.solve(found.moving, found.fixed, start=found.displacement, **QUICK)
    error, before = (
        np.linalg.norm(r.displacement - found.displacement, axis=0)[found.mask].mean()
        for r in (refined, cold[2])
    )
    assert error < 0.9 * before
    assert refined.energy.total < cold[2].energy.total + 0.005
    assert [level.level for level in refined.levels] == [1]


def test_coarse_levels_run_where_they_have_something_to_gain(pairs):
    found = pairs[2]
    nothing = np.zeros((2, *found.fixed.shape))
    nothing[0] = 1e-3 * np.sin(np.arange(found.fixed.shape[1]))  # not affine, but next to nothing
    result = varreg.solve(found.moving, found.fixed, start=nothing, **QUICK)
    assert [n.level for n in result.levels if n.stage == "deformable"] == [0, 1]


@both_dimensions
def test_an_affine_start_is_never_lost_either(pairs, dimension):
    found = pairs[dimension]
    good = varreg.solve(found.moving, found.fixed, deformable=False, threads=1)
    for start in (good, good.affine, good.transform):
        result = varreg.solve(found.moving, found.fixed, start=start, **QUICK)
        certificate = varreg.certify(
            found.moving, found.fixed, good.affine, threads=1, iterations=0,
            options=result.options,
        )  # fmt: skip
        assert result.energy.total <= certificate.energy.total
        assert result.start is None


def test_the_map_and_not_the_form_counts(pairs, cold, tmp_path):
    found, result = pairs[2], cold[2]
    result.save(tmp_path / "saved")
    ends = [
        varreg.solve(found.moving, found.fixed, start=start, **QUICK)
        for start in (result, tmp_path / "saved", str(tmp_path / "saved" / "result.json"))
    ]
    assert len({end.transform.nodes.tobytes() for end in ends}) == 1
    assert "saved" in ends[1].start.kind


def test_the_report_is_saved_and_older_files_are_read(pairs, tmp_path):
    found = pairs[2]
    start = folded_field(found.fixed.shape, np.random.default_rng(15)) * 3
    result = varreg.solve(found.moving, found.fixed, start=start, smoothness_length=2.0, **QUICK)
    assert result.start.unfolding is not None
    assert "FOLDED" in str(result)
    result.save(tmp_path / "saved")
    loaded = varreg.load(tmp_path / "saved")
    assert loaded.start == result.start
    assert str(loaded) == str(result)
    file = tmp_path / "saved" / "result.json"
    content = json.loads(file.read_text())
    content["start"]["repair"] = content["start"].pop("unfolding")  # its name in earlier versions
    file.write_text(json.dumps(content))
    assert varreg.load(tmp_path / "saved").start == result.start
    del content["start"]
    file.write_text(json.dumps(content))
    assert varreg.load(tmp_path / "saved").start is None
    content["start"] = {"kind": "?"}
    file.write_text(json.dumps(content))
    with pytest.raises(FileError, match="start"):
        varreg.load(tmp_path / "saved")


def test_a_single_level_and_masks(pairs):
    found = pairs[2]
    result = varreg.solve(
        found.moving, found.fixed, start=found.displacement, fixed_mask=found.mask, levels=(1,),
        iterations=3, threads=1,
    )  # fmt: skip
    assert result.energy.total <= result.start.energy.total


def test_many_pairs_take_starts_too(pairs, cold):
    found = pairs[2]
    jobs = [dict(moving=found.moving, fixed=found.fixed, start=found.displacement)]
    (result,) = varreg.solve_batch(jobs, **QUICK)
    assert result.start.kind == "a displacement"


@dataclasses.dataclass
class Foreign:
    transform: object


BAD = {
    "nan": (lambda d: np.full((2, *d.shape), np.nan), InputError, "start"),
    "shape": (lambda d: np.zeros((2, 3, 4)), InputError, "displacement"),
    "dimension": (lambda d: np.zeros((3, 4, 4, 4)), InputError, "start"),
    "3D": (
        lambda d: varreg.Transform(*[Grid.with_spacing((4, 4, 4))] * 2, np.eye(4)),
        GeometryError,
        "3D",
    ),
    "words": (lambda d: np.array([["a"]]), InputError, "start"),
    "object": (lambda d: Foreign(None), InputError, "start"),
    "away": (lambda d: np.full((2, *d.shape), 1e4), OverlapError, "overlap"),
    "collapsed": (lambda d: 20.0 - np.indices(d.shape), GeometryError, "start"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_starts_that_are_refused(pairs, name):
    make, error, words = BAD[name]
    with pytest.raises(error, match=words):
        varreg.solve(pairs[2].moving, pairs[2].fixed, start=make(pairs[2].fixed), **QUICK)


def test_a_start_that_deforms_contradicts_an_affine_answer(pairs):
    found = pairs[2]
    for settings, words in (
        (dict(affine=None), "`affine`"),
        (dict(affine=np.eye(3)), "`affine`"),
        (dict(deformable=False), "deformable=False was given"),
    ):
        with pytest.raises(InputError, match=words):
            varreg.solve(
                found.moving, found.fixed, start=found.displacement, **{**QUICK, **settings}
            )


def test_the_warm_start_is_on_the_grid_of_the_problem(pairs):
    problem = problem_of(pairs[3])
    warm = warm_start(problem, start_of(problem, pairs[3].displacement))
    assert warm.nodes.shape[1:] == deformable_objective(problem, 1, warm.affine).smoothness.shape
    assert warm.report.mean_moved < warm.report.largest_moved
