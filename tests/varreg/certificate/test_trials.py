"""Trials: the known changes are undone, and what they measure says how far a map is from the true one."""

import dataclasses
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner

import varreg
from varreg.certificate import trials as module
from varreg.certificate.accuracy import voxel_size
from varreg.checks.head import head_of
from varreg.cli import main
from varreg.data.phantom import deformed_pair
from varreg.errors import InputError, OverlapError
from varreg.options.backend_choice import chosen_backend
from varreg.options.options import Options
from varreg.stages.preparation import prepared

SMALL = dict(threads=1, iterations=0)


@pytest.fixture(scope="module")
def pair():
    return deformed_pair((80, 71), np.random.default_rng(4))


@pytest.fixture(scope="module")
def result(pair):
    return varreg.solve(pair.moving, pair.fixed, threads=1)


@pytest.fixture(scope="module")
def problem(pair):
    images = (varreg.Image.from_array(image) for image in (pair.moving, pair.fixed))
    options = Options().for_dimension(2)
    return prepared(*images, None, None, options, chosen_backend("numba"), 1)


def found_map(matrix, nodes=None):
    """What a stage returns, as far as a trial looks at it."""
    return SimpleNamespace(affine=matrix, nodes=nodes)


def mean_error(pair, displacement):
    return np.linalg.norm(displacement - pair.displacement, axis=0)[pair.mask].mean()


def accuracy(pair, transform, trials=4, **settings):
    given = {**SMALL, **settings}
    return varreg.certify(pair.moving, pair.fixed, transform, trials=trials, **given).accuracy


# -- what a trial changes


@pytest.mark.parametrize("dimension", [2, 3])
def test_the_motion_is_rigid_and_small(dimension):
    grid = varreg.Image.from_array(np.zeros((20, 30, 25)[:dimension]), spacing=2.0).grid
    for seed in range(20):
        motion = module.rigid_motion(grid, 3.0, np.random.default_rng(seed))
        turn = motion[:-1, :-1]
        np.testing.assert_allclose(turn @ turn.T, np.eye(dimension), atol=1e-12)
        assert np.linalg.det(turn) == pytest.approx(1)
        angle = np.degrees(np.linalg.norm(turn - np.eye(dimension)) / np.sqrt(2))
        assert 0 < angle <= module.TURN * np.sqrt(3)
        shift = turn @ grid.centre + motion[:-1, -1] - grid.centre
        assert 0 < np.abs(shift).max() <= 3


def test_cropping_leaves_every_voxel_where_it_is_in_the_world(problem):
    image = problem.fixed
    shapes = set()
    for seed in range(10):
        cropped = module.cropped(image, np.random.default_rng(seed))
        shapes.add(cropped.data.shape)
        world = cropped.grid.voxel_to_world(cropped.grid.coordinates())
        index = tuple(np.rint(image.grid.world_to_voxel(world)).astype(int))
        np.testing.assert_array_equal(cropped.data, image.data[index])
    lost = np.array((80, 71)) - np.array(sorted(shapes))
    assert len(shapes) > 3 and lost.min() >= 0 and lost.max() <= 4


def test_a_solver_that_is_always_right_agrees_with_itself(problem, monkeypatch):
    """The known motion is composed back, and the crop undone."""
    truth = np.array([[1.05, 0.1, 3.0], [-0.08, 0.97, -2.0], [0, 0, 1]])
    moved = []

    def perfect(changed, *_, **__):
        motion = changed.moving.grid.affine @ np.linalg.inv(problem.moving.grid.affine)
        moved.append(motion)
        return motion @ truth

    monkeypatch.setattr(module, "affine_stage", perfect)
    monkeypatch.setattr(module, "last_stage", lambda p, matrix, *_: found_map(matrix))
    transform = varreg.Transform(problem.fixed.grid, problem.moving.grid, truth)
    found = module.run_trials(problem, transform, 3, seed=0)
    assert len({motion.tobytes() for motion in moved}) == 3
    assert all(np.abs(motion - np.eye(3)).max() > 1e-3 for motion in moved)
    assert found.distances.max() < 1e-9 and found.squared.max() < 1e-18


def test_the_field_of_a_trial_is_that_of_the_cropped_image(problem, monkeypatch):
    """u belongs to world points, not to the voxels that are left."""
    slope = np.linspace(-3, 3, 80)

    def perfect(changed, *_, **__):
        return changed.moving.grid.affine @ np.linalg.inv(problem.moving.grid.affine)

    def deformed(changed, matrix, *_):
        rows = changed.fixed.grid.voxel_to_world(changed.fixed.grid.coordinates())[0]
        field = np.interp(rows, np.arange(80), slope)
        return found_map(matrix, np.stack([field, 0 * field]))

    monkeypatch.setattr(module, "affine_stage", perfect)
    monkeypatch.setattr(module, "last_stage", deformed)
    nodes = np.stack([np.repeat(slope[:, None], 71, 1), np.zeros((80, 71))])
    transform = varreg.Transform(problem.fixed.grid, problem.moving.grid, np.eye(3), nodes)
    assert module.run_trials(problem, transform, 3, seed=0).distances.max() < 1e-6


def test_a_trial_that_fails_is_as_far_as_the_head_is_large(problem, result, monkeypatch):
    def refuse(*_, **__):
        raise OverlapError("nothing is in view")

    monkeypatch.setattr(module, "affine_stage", refuse)
    found = module.run_trials(problem, result.transform, 2, seed=0)
    size = head_of(problem.level(problem.factors[0])[0]).size
    np.testing.assert_allclose(found.distances, size * (1 - np.eye(3)))
    np.testing.assert_allclose(found.squared, size**2)


# -- the same numbers again


def test_seed_and_nothing_else_decides(pair, result):
    one = accuracy(pair, result)
    assert accuracy(pair, result, threads=2) == one
    assert accuracy(pair, result, trials=8).distances[:4] == one.distances
    assert accuracy(pair, result, seed=1).distances != one.distances


def test_other_figures_of_the_certificate_do_not_change(pair, result):
    plain = varreg.certify(pair.moving, pair.fixed, result, **SMALL)
    tried = varreg.certify(pair.moving, pair.fixed, result, trials=4, **SMALL)
    assert plain.accuracy is None and plain.spread is None
    assert dataclasses.replace(tried, accuracy=None) == plain


@pytest.mark.parametrize("spacing", [1e-3, 20.0])
def test_an_image_in_other_units_has_the_same_interval_in_its_voxels(pair, result, spacing):
    images = [varreg.Image.from_array(i, spacing=spacing) for i in (pair.moving, pair.fixed)]
    matrix = result.affine.copy()
    matrix[:-1, -1] *= spacing
    nodes = spacing * result.transform.nodes
    transform = varreg.Transform(images[1].grid, images[0].grid, matrix, nodes)
    scaled = varreg.certify(*images, transform, trials=4, **SMALL).accuracy
    one = accuracy(pair, result)
    assert voxel_size(images[1].grid) == pytest.approx(spacing)
    for name in ("low", "high", "median", "distance", "apart"):
        assert getattr(scaled, name) / spacing == pytest.approx(getattr(one, name), rel=0.05), name


# -- right and wrong maps


def test_the_interval_of_a_right_answer_holds_its_error(pair, result):
    found = accuracy(pair, result, trials=8)
    assert found.low < mean_error(pair, result.displacement) < found.high < 2
    assert found.low < found.median < found.high
    assert found.familiar and found.trials == len(found.distances) == 8 and found.level == 0.9


@pytest.mark.parametrize("shift", [5.0, 12.0])
def test_the_interval_of_a_wrong_answer_lies_above_two_millimetres(pair, shift):
    """Of a map from anywhere, and of a result whose own restriction made it wrong."""
    displacement = pair.displacement + np.float32(shift) * np.array([0.8, 0.6])[:, None, None]
    found = accuracy(pair, displacement.astype(np.float32), trials=8)
    assert 2 < found.low < shift < found.high
    matrix = np.eye(3)
    matrix[0, 2] = shift
    restricted = varreg.solve(pair.moving, pair.fixed, affine=matrix, deformable=False, threads=1)
    error = mean_error(pair, restricted.displacement)
    found = accuracy(pair, restricted, trials=8)
    assert 2 < found.low < error < found.high


def test_in_three_dimensions_too():
    made = deformed_pair((32, 34, 32), np.random.default_rng(2))
    right = varreg.solve(made.moving, made.fixed, threads=1)
    error = mean_error(made, right.displacement)
    found = varreg.certify(made.moving, made.fixed, right, trials=4, **SMALL).accuracy
    assert found.low < error < found.high
    wrong = made.displacement + np.float32(4)
    found = varreg.certify(made.moving, made.fixed, wrong, trials=4, **SMALL).accuracy
    assert 2 < found.low < 4 * np.sqrt(3) < found.high


def test_what_a_mask_leaves_out_is_not_asked(pair, result):
    mask = np.ones(pair.fixed.shape, dtype=bool)
    mask[:, :30] = False
    settings = dict(trials=4, fixed_mask=mask, **SMALL)
    certificate = varreg.certify(pair.moving, pair.fixed, result, **settings)
    columns = certificate.spread.grid.voxel_to_world(certificate.spread.grid.coordinates())[1]
    assert certificate.spread.data[columns > 32].any()
    assert not certificate.spread.data[columns < 28].any()


def test_the_spread_shows_where_a_map_is_wrong(pair):
    wrong = pair.displacement.copy()
    x, y = np.mgrid[:80, :71]
    place = np.array([30, 40])
    wrong[0] += 5 * np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / (2 * 6.0**2))
    certificate = varreg.certify(pair.moving, pair.fixed, wrong, trials=4, **SMALL)
    spread = certificate.spread
    worst = np.unravel_index(spread.data.argmax(), spread.data.shape)
    world = spread.grid.voxel_to_world(np.array(worst, dtype=float))
    assert np.linalg.norm(world - place) < 6
    assert spread.data.max() > 3 * np.median(spread.data[spread.data > 0])


# -- words, files, arguments


@pytest.mark.parametrize("value", [1, 2, 3, -8, 2.5, True, "8", None])
def test_a_number_of_trials_without_a_calibration_is_refused(pair, result, value):
    with pytest.raises(InputError, match=r"varreg\.certify: `trials` must be 0 .* 4 or 8"):
        varreg.certify(pair.moving, pair.fixed, result, trials=value)


def test_the_certificate_says_it_apart_and_keeps_it(pair, result, tmp_path):
    certificate = varreg.certify(pair.moving, pair.fixed, result, trials=4, **SMALL)
    facts, said = str(certificate).split("\n\n")
    found = certificate.accuracy
    assert "Convergence does not prove correctness" in facts and "Accuracy" not in facts
    assert said.startswith("Accuracy (estimated from 4 trials)")
    assert f"{found.low:.2g} to {found.high:.2g} mm with a probability of 90 %" in said
    assert "both images show one head" in said and "order of magnitude" not in said
    strange = dataclasses.replace(found, familiar=False)
    assert "order of magnitude" in str(dataclasses.replace(certificate, accuracy=strange))
    certificate.save(tmp_path / "certificate.json")
    loaded = varreg.Certificate.load(tmp_path / "certificate.json")
    assert loaded == certificate and loaded.accuracy == found and loaded.spread is None
    without = varreg.certify(pair.moving, pair.fixed, result, **SMALL)
    assert str(without).split("\n\n")[1].startswith("Accuracy: not estimated")


def test_a_certificate_of_an_earlier_version_has_no_accuracy(pair, result):
    import json

    certificate = varreg.certify(pair.moving, pair.fixed, result, **SMALL)
    content = json.loads(certificate.to_json())
    del content["accuracy"], content["spread"]
    assert varreg.Certificate.from_json(json.dumps(content)) == certificate


def test_the_command_line_estimates_and_writes_the_spread(pair, result, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("moving", "fixed"):
        image = nibabel.Nifti1Image(getattr(pair, name)[..., None], np.diag([2, 2, 3, 1.0]))
        nibabel.save(image, f"{name}.nii.gz")
    found = varreg.solve("moving.nii.gz", "fixed.nii.gz", threads=1)
    found.save("registered")
    line = ["certify", "moving.nii.gz", "fixed.nii.gz", "registered", "--threads", "1"]
    ended = CliRunner().invoke(main, [*line, "--trials", "4", "--spread", "spread.nii.gz"])
    assert ended.exit_code == 0, ended.output
    assert "Accuracy (estimated from 4 trials)" in ended.output
    certificate = varreg.certify("moving.nii.gz", "fixed.nii.gz", found, trials=4, **SMALL)
    written = nibabel.load("spread.nii.gz")
    np.testing.assert_array_equal(written.get_fdata().squeeze(), certificate.spread.data)
    np.testing.assert_allclose(written.affine, certificate.spread.volume_affine)
    assert CliRunner().invoke(main, [*line, "--spread", "other.nii.gz"]).exit_code == 2
    refused = CliRunner().invoke(main, [*line, "--trials", "5"])
    assert refused.exit_code != 0 and "--trials must be" in refused.output
