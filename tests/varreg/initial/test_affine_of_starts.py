"""`affine` and `start` together: which affine map the answer has, and what its record says."""

import logging

import numpy as np
import pytest

import varreg
from varreg.backends.numba import backend as cpu
from varreg.data.phantom import deformed_pair
from varreg.images.image import Image
from varreg.initial.alternatives import OWN
from varreg.initial.last_stage import last_stage
from varreg.options.options import Options
from varreg.stages.affine import affine_stage
from varreg.stages.levels import Recorder
from varreg.stages.preparation import prepared

QUICK = dict(threads=1, levels=(2, 1), iterations=(15, 10), progress=False)
MODELS = ["translation", "rigid", "similarity"]
every_model = pytest.mark.parametrize("model", MODELS)
both_dimensions = pytest.mark.parametrize("dimension", [2, 3])


@pytest.fixture(scope="module")
def pairs():
    """With affine parts that are not rigid."""
    return {
        2: deformed_pair((72, 80), np.random.default_rng(3)),
        3: deformed_pair((36, 40, 32), np.random.default_rng(2)),
    }


@pytest.fixture(scope="module")
def cold(pairs):
    return {d: varreg.solve(p.moving, p.fixed, deformable=True, **QUICK) for d, p in pairs.items()}


def error(displacement, found):
    """Mean distance (voxels) to the known answer inside the head."""
    return float(np.linalg.norm(displacement - found.displacement, axis=0)[found.mask].mean())


def singular_values(matrix):
    return np.linalg.svd(matrix[:-1, :-1], compute_uv=False)


@both_dimensions
@every_model
@pytest.mark.parametrize("form", ["displacement", "transform", "result", "saved"])
def test_the_affine_map_of_a_start_that_deforms_becomes_one_of_the_model(
    pairs, cold, dimension, model, form, tmp_path
):
    found, result = pairs[dimension], cold[dimension]
    assert np.abs(singular_values(result.affine) - 1).max() > 0.02
    if form == "saved":
        result.save(tmp_path / "saved")
    start = {
        "displacement": found.displacement, "transform": result.transform, "result": result,
        "saved": tmp_path / "saved",
    }[form]  # fmt: skip
    refined = varreg.solve(found.moving, found.fixed, start=start, affine=model, **QUICK)
    values, linear = singular_values(refined.affine), refined.affine[:-1, :-1]
    assert np.linalg.det(linear) > 0 and np.ptp(values) < 1e-6
    if model != "similarity":
        np.testing.assert_allclose(values, 1, atol=1e-6)
    if model == "translation":
        np.testing.assert_allclose(linear, np.eye(dimension), atol=1e-6)
    assert error(refined.displacement, found) < 1.1 * error(result.displacement, found)
    assert refined.energy.total <= refined.start.energy.total
    assert refined.smallest_determinant > 0


def given_matrices(found):
    """(affine, start): two matrices near the known answer, but apart."""
    d = found.fixed.ndim
    affine, start = np.eye(d + 1), np.eye(d + 1)
    affine[0, -1], start[1, -1], start[0, 0] = 1.25, -2.0, 1.03
    return affine, start


@both_dimensions
@pytest.mark.parametrize("deformable", [False, True])
@pytest.mark.parametrize("kind", ["matrix", "None"])
def test_a_given_affine_map_is_used_whatever_the_start(pairs, dimension, deformable, kind, caplog):
    found = pairs[dimension]
    matrix, start = given_matrices(found)
    affine, wanted = (matrix, matrix) if kind == "matrix" else (None, np.eye(dimension + 1))
    settings = dict(affine=affine, deformable=deformable, **QUICK)
    plain = varreg.solve(found.moving, found.fixed, **settings)
    assert not caplog.records
    with caplog.at_level(logging.WARNING, logger="varreg"):
        result = varreg.solve(found.moving, found.fixed, start=start, **settings)
    assert any("`start`" in r.getMessage() and "`affine`" in r.getMessage() for r in caplog.records)
    np.testing.assert_allclose(result.affine, wanted, rtol=0, atol=0)
    np.testing.assert_array_equal(result.displacement, plain.displacement)
    assert {level.stage for level in result.levels} == ({"deformable"} if deformable else set())


def assert_consistent(result):
    """History and levels tell one story: each level once, its steps counted from 0, to the answer."""
    places = [(level.stage, level.level) for level in result.levels]
    assert len(set(places)) == len(places)
    wanted = [
        (*place, step)
        for place, level in zip(places, result.levels, strict=True)
        for step in range(level.iterations + 1)
    ]
    assert [(h.stage, h.level, h.iteration) for h in result.history] == wanted
    assert result.history[-1].energy == result.energy.total


def turned_away(found):
    """The known answer after a turn by 75 degrees about the centre."""
    x = np.indices(found.fixed.shape) - (np.reshape(found.fixed.shape, (2, 1, 1)) - 1) / 2
    a = np.deg2rad(75)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return found.displacement + np.tensordot(turn, x, 1) - x


@pytest.mark.parametrize("start", ["none", "matrix", "known", "wrong"])
def test_the_record_is_that_of_the_answer(pairs, start):
    found = pairs[2]
    given = {
        "none": None, "matrix": given_matrices(found)[1], "known": found.displacement,
        "wrong": turned_away(found),
    }[start]  # fmt: skip
    result = varreg.solve(found.moving, found.fixed, start=given, **QUICK)
    assert_consistent(result)
    stages = {level.stage for level in result.levels}
    assert stages == ({"deformable"} if start == "known" else {"affine", "deformable"})
    assert result.start is None or result.start.instead == (OWN if start == "wrong" else None)


def test_a_search_that_leads_away_from_a_better_start_is_no_part_of_the_record():
    """The start is exact, and the affine stage, at coarse levels alone, leaves it for a worse map."""
    found = deformed_pair((112, 112), np.random.default_rng(2), affine=False, displacement_rms=0.0)
    fixed = np.pad(found.fixed, 8)
    start = np.eye(3)
    start[:2, 2] = 5, -3
    moving = Image.from_array(np.pad(found.moving, 8), affine=start)
    seen = []
    result = varreg.solve(
        moving, fixed, start=start, threads=1, iterations=0, deformable=True, progress=False,
        callback=seen.append,
    )  # fmt: skip
    np.testing.assert_array_equal(result.affine, start)
    assert max(h.iteration for h in seen if h.stage == "affine") > 0
    assert {level.stage for level in result.levels} == {"deformable"}
    assert_consistent(result)


@pytest.mark.parametrize("better", ["start", "found"])
def test_the_stage_of_the_better_map_is_recorded_once(pairs, better):
    """Either the start, and nothing of the search, or what the search has found, with the search."""
    found = pairs[2]
    images = Image.from_array(found.moving), Image.from_array(found.fixed)
    options = Options(levels=(2, 1), iterations=(6, 4)).for_dimension(2)
    problem, recorder = prepared(*images, None, None, options, cpu, 1), Recorder(None)
    near, far = np.eye(3), np.eye(3)
    far[0, 2] = 30
    affine_stage(problem, "rigid", near, False, recorder)
    start, other = (near, far) if better == "start" else (far, near)
    found = last_stage(problem, other, start, recorder)
    np.testing.assert_array_equal(found.affine, near)
    stages = [(level.stage, level.level) for level in recorder.levels]
    deformable = [("deformable", 0), ("deformable", 1)]
    assert stages == (deformable if better == "start" else [("affine", 0), *deformable])
    assert recorder.history[-1].energy == found.evaluation.energy.total
    assert [h.iteration for h in recorder.history if h.stage == "deformable"] == [
        step for level in recorder.levels[-2:] for step in range(level.iterations + 1)
    ]
    assert min(level.iterations for level in recorder.levels[-2:]) > 0


@both_dimensions
@every_model
def test_an_affine_start_becomes_one_of_the_model(pairs, dimension, model):
    found = pairs[dimension]
    start = np.diag([1.1, 0.95, *[1.0] * (dimension - 1)])
    result = varreg.solve(found.moving, found.fixed, start=start, affine=model, **QUICK)
    values = singular_values(result.affine)
    assert np.ptp(values) < 1e-6
    if model != "similarity":
        np.testing.assert_allclose(values, 1, atol=1e-6)
