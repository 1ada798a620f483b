"""A map as a start: what becomes of it, and what the solver promises of it."""

import dataclasses
import json

import numpy as np
import pytest

import varreg
from varreg.backends.numba import backend as cpu
from varreg.data.phantom import deformed_pair
from varreg.errors import FileError, GeometryError, InputError, OverlapError
from varreg.geometry.displacement import evaluate, expand
from varreg.geometry.folded_cells import cell_bounds, nearly_folded_cells
from varreg.geometry.folding import smallest_determinant
from varreg.geometry.grid import Grid
from varreg.geometry.projection import interpolation, project
from varreg.images.image import Image
from varreg.initial.affine_part import affine_and_rest
from varreg.initial.input_transform import input_transform
from varreg.initial.smoothing_spline import _spline, smoothing_spline_fit
from varreg.initial.warm_start import on_displacement_grid, unfolded_start, warm_start
from varreg.options.options import Options
from varreg.stages.deformable import deformable_objective, state_of
from varreg.stages.preparation import prepared

from ..problems import oblique_grid, pair, random_affine, smooth_image

both_constraints = pytest.mark.parametrize("constraint", ["zero-mean", "zero-boundary"])
both_dimensions = pytest.mark.parametrize("dimension", [2, 3])
QUICK = dict(deformable=True, threads=1, iterations=(6, 4), levels=(2, 1), affine_iterations=8)


@pytest.fixture(scope="module")
def pairs():
    return {
        2: deformed_pair((64, 71), np.random.default_rng(1)),
        3: deformed_pair((36, 40, 32), np.random.default_rng(2)),
    }


@pytest.fixture(scope="module")
def cold(pairs):
    return {d: varreg.solve(p.moving, p.fixed, **QUICK) for d, p in pairs.items()}


def smooth_field(shape, rng, size=2.0):
    return size * np.stack([smooth_image(shape, rng, 1.0) - 0.5 for _ in shape])


def folded_field(shape, rng):
    """A smooth field with one place where it turns over."""
    field = smooth_field(shape, rng, 0.5)
    middle = tuple(n // 2 for n in shape)
    field[(0, *middle)] += 5.0
    return field


def problem_of(found, options=None):
    images = Image.from_array(found.moving), Image.from_array(found.fixed)
    chosen = (options or Options(levels=(2, 1))).for_dimension(found.fixed.ndim)
    return prepared(*images, None, None, chosen, cpu, 1)


def start_of(problem, transform):
    fixed, moving = (Image(p.data, p.grid) for p in (problem.fixed, problem.moving))
    return input_transform(transform, fixed, moving, argument="start", function="test")


# -- what is handed over


@both_dimensions
def test_a_displacement_is_split_without_loss(dimension):
    rng = np.random.default_rng(0)
    shape, spacing = ((13, 18), (2.0, 1.5)) if dimension == 2 else ((9, 8, 7), (2.0, 1.5, 1.0))
    grid = oblique_grid(Grid.with_spacing(shape, spacing), rng)
    displacement = smooth_field(shape, rng, 4.0)
    affine, u = affine_and_rest(displacement, grid)
    transform = varreg.Transform(grid, grid, affine, u)
    np.testing.assert_allclose(transform.displacement, displacement, atol=1e-5)
    np.testing.assert_allclose(u.mean(axis=tuple(range(1, dimension + 1))), 0, atol=1e-12)


@both_dimensions
def test_a_displacement_that_is_affine_leaves_nothing_over(dimension):
    rng = np.random.default_rng(3)
    grid = Grid.with_spacing((11, 12, 9)[:dimension], 1.5)
    matrix = random_affine(dimension, rng, 0.1)
    displacement = varreg.Transform(grid, grid, matrix).displacement.astype(float)
    affine, u = affine_and_rest(displacement, grid)
    np.testing.assert_allclose(affine, matrix, atol=1e-5)
    assert np.abs(u).max() < 1e-5


@both_dimensions
def test_a_transform_of_another_grid_stays_the_same_map_of_the_world(dimension):
    rng = np.random.default_rng(4)
    shape, other = (24, 28, 20)[:dimension], (31, 25, 27)[:dimension]
    fixed, _, = pair(shape, (1.0,) * dimension, 0)  # fmt: skip
    target = fixed.grid
    source = oblique_grid(target.resized(other), rng)
    transform = varreg.Transform(
        source, source, random_affine(dimension, rng), smooth_field(other, rng)
    )
    image = Image(smooth_image(shape, rng).astype(np.float32), target)
    placed = input_transform(transform, image, image, argument="start", function="test").transform
    middle = target.voxel_to_world(
        (np.array(shape)[:, None] - 1) * rng.uniform(0.35, 0.65, (dimension, 40))
    )
    np.testing.assert_allclose(placed.points(middle.T), transform.points(middle.T), atol=0.05)


@both_dimensions
def test_where_a_voxel_field_keeps_its_affine_part_makes_no_difference(dimension):
    rng = np.random.default_rng(16)
    shape = (15, 18, 12)[:dimension]
    grid = oblique_grid(Grid.with_spacing(shape, (2.0, 1.5, 1.0)[:dimension]), rng)
    image = Image(smooth_image(shape, rng).astype(np.float32), grid)
    matrix, u = random_affine(dimension, rng, 0.2), smooth_field(shape, rng)
    first = varreg.Transform(grid, grid, matrix, u)
    away = np.tensordot(grid.direction.T, first.points(
        grid.voxel_to_world(grid.coordinates()).reshape(dimension, -1).T
    ).T.reshape(dimension, *shape) - grid.voxel_to_world(grid.coordinates()), 1)  # fmt: skip
    second = varreg.Transform(grid, grid, np.eye(dimension + 1), away)
    one, two = (
        input_transform(t, image, image, argument="start", function="test").transform
        for t in (first, second)
    )
    np.testing.assert_allclose(one.affine, two.affine, atol=1e-6)
    np.testing.assert_allclose(one.nodes, two.nodes, atol=1e-5)
    np.testing.assert_allclose(one.displacement, first.displacement, atol=1e-4)
    assert np.abs(one.affine - matrix).max() > 0.01


# -- onto the displacement grid


@both_constraints
@pytest.mark.parametrize(("voxels", "nodes"), [((31, 24), (9, 24)), ((12, 13, 14), (5, 6, 7))])
def test_what_the_grid_can_hold_is_kept_exactly(voxels, nodes, constraint):
    field = np.random.default_rng(5).normal(size=(len(voxels), *nodes))
    there = expand(field, voxels, constraint)
    back = project(there, "zero-mean", voxels, nodes, constraint)
    np.testing.assert_allclose(back, field, atol=1e-5)


@both_constraints
def test_the_projection_leaves_a_rest_orthogonal_to_the_grid(constraint):
    voxels, nodes = (31, 24), (9, 8)
    field = np.random.default_rng(6).normal(size=(2, *voxels))
    fewer = project(field, "zero-mean", voxels, nodes, constraint)
    rest = field - expand(fewer, voxels, constraint)
    first, second = (interpolation(n, m, constraint) for n, m in zip(voxels, nodes, strict=True))
    assert np.abs(first.T @ rest @ second).max() < 1e-5
    assert np.abs(rest).max() > 1


@both_dimensions
def test_a_mean_goes_into_the_affine_part_and_the_map_stays(pairs, dimension):
    rng = np.random.default_rng(7)
    problem = problem_of(pairs[dimension])
    grid, nodes = problem.fixed.grid, deformable_objective(problem, 1, np.eye(dimension + 1))
    field = smooth_field(nodes.smoothness.shape, rng) + 1.5
    before = varreg.Transform(grid, grid, random_affine(dimension, rng), field)
    affine, u = on_displacement_grid(problem, before)
    after = varreg.Transform(grid, grid, affine, u)
    points = rng.uniform(0, 20, (50, dimension))
    np.testing.assert_allclose(after.points(points), before.points(points), atol=1e-6)
    np.testing.assert_allclose(u.mean(axis=tuple(range(1, dimension + 1))), 0, atol=1e-12)
    assert np.abs(affine - before.affine).max() > 1


# -- folds


@both_constraints
@pytest.mark.parametrize("shape", [(9, 12), (40, 131), (7, 8, 9)])
def test_tight_cells_are_all_cells_below_and_the_worst_is_the_bound(shape, constraint):
    rng = np.random.default_rng(8)
    field, spacing = rng.normal(size=(len(shape), *shape)) * 0.4, rng.uniform(0.8, 1.5, len(shape))
    places, bounds, cells = nearly_folded_cells(field, spacing, constraint, 0.3, cpu, 1)
    whole = smallest_determinant(field, spacing, constraint, cpu, 1)[0]
    assert (bounds <= 0.3).all() and (np.diff(bounds) >= 0).all()
    if constraint == "zero-mean":
        assert cells == np.prod(np.array(shape) + 1)
        edged = np.pad(field, [(0, 0)] + [(1, 1)] * len(shape), mode="edge")
        assert len(bounds) == (cell_bounds(edged, spacing) <= 0.3).sum()
        assert bounds[0] == pytest.approx(whole, abs=1e-9)
    else:  # half cells: the same in 2D, where the bound is exact, and no looser in 3D
        assert cells == np.prod(2 * np.array(shape))
        assert bounds[0] >= whole - 1e-9
        assert len(shape) == 3 or bounds[0] == pytest.approx(whole, abs=1e-9)
    # the determinant there is what is said of it
    step, at = 1e-4, places[0]
    voxels = tuple(shape)
    columns = []
    for axis in range(len(shape)):
        offset = step * np.eye(len(shape))[:, axis : axis + 1]
        high, low = (evaluate(field, voxels, at[:, None] + s * offset, constraint) for s in (1, -1))
        columns.append((high - low)[:, 0] / (2 * step * spacing[axis]))
    assert np.linalg.det(np.array(columns).T + np.eye(len(shape))) >= bounds[0] - 1e-3


@both_dimensions
@both_constraints
def test_a_start_that_folds_is_damped_until_it_does_not(pairs, dimension, constraint):
    options = Options(levels=(2, 1), constraint=constraint, smoothness_length=2.5)
    problem, identity = problem_of(pairs[dimension], options), np.eye(dimension + 1)
    objective = deformable_objective(problem, 1, identity)
    rng = np.random.default_rng(9)
    rough = 40 * rng.normal(size=(dimension, *objective.smoothness.shape))
    for field in (folded_field(objective.smoothness.shape, rng), rough):
        _, damped, report = unfolded_start(problem, identity, field)
        assert report.before == objective.bound(field) < 0
        assert report.after == objective.bound(damped) >= options.smallest_determinant
        assert 0 < report.mean < report.largest
        assert np.abs(damped).max() > 0
    smooth = smooth_field(objective.smoothness.shape, rng, 0.5)
    _, same, report = unfolded_start(problem, identity, smooth)
    assert same is smooth and report is None


# -- roughness


@both_dimensions
def test_the_smoothing_spline_solves_its_equations(pairs, dimension, monkeypatch):
    monkeypatch.setattr("varreg.initial.smoothing_spline.STEPS", 2000)
    monkeypatch.setattr("varreg.initial.smoothing_spline.ENOUGH", 1e-20)
    objective = deformable_objective(problem_of(pairs[dimension]), 1, np.eye(dimension + 1))
    smoothness, rng = objective.smoothness, np.random.default_rng(12)
    field, weights = smooth_field(smoothness.shape, rng), rng.uniform(0, 1e-3, smoothness.shape)
    z = _spline(objective, np.zeros_like(field), field, weights)
    gradient = z + smoothness.pull_gradient(weights * (smoothness.to_field(z) - field))
    assert np.abs(gradient).max() < 1e-7 * np.abs(z).max()


@both_dimensions
def test_the_smoothing_spline_fit_never_raises_the_energy_and_never_folds(pairs, dimension):
    problem = problem_of(pairs[dimension])
    objective = deformable_objective(problem, 1, np.eye(dimension + 1))
    rng = np.random.default_rng(13)
    rough = 0.2 * rng.normal(size=(dimension, *objective.smoothness.shape))
    before = objective.evaluate(state_of(objective, rough)).energy.total
    fit = smoothing_spline_fit(problem, objective, rough)
    after = objective.evaluate(state_of(objective, fit))
    assert after.energy.total < before
    assert after.smallest_determinant >= 0.05


# -- what the solver promises


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
        (dict(deformable=False), "`deformable`"),
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
