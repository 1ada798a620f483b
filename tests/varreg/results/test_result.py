"""What a result offers and how it explains itself."""

import dataclasses

import numpy as np
import pytest

from varreg.errors import InputError
from varreg.geometry.affine_parts import affine_parts
from varreg.geometry.grid import Grid
from varreg.images.image import Image
from varreg.optimise.check import SILENT, Check
from varreg.optimise.history import Energy, HeadMotion, Iteration, Level, Stop
from varreg.options.options import Options
from varreg.results.result import Result
from varreg.transforms.transform import Transform

GRID = Grid.with_spacing((20, 24), (1.0, 2.0))
TURN = np.array([[0.99, -0.1, 3.0], [0.1, 0.99, -4.0], [0.0, 0.0, 1.0]])


def level(stage, stop=Stop.GRADIENT):
    return Level(stage, 0, 2.0, (10, 12), 7, 9, stop, 0.003, 0.25)


def make(affine=TURN, nodes=None, levels=(), bound=1.0, **changes):
    transform = Transform(GRID, GRID, affine, nodes)
    image = Image(np.random.default_rng(0).random(GRID.shape, np.float32), GRID, "T2.nii.gz")
    parts = {
        "transform": transform,
        "warped": Image(transform.warp(image), GRID),
        "fixed_name": "T1.nii.gz",
        "moving_name": "T2.nii.gz",
        "energy": Energy(0.84, 0.021, -0.78),
        "start_energy": Energy(0.61, 0.0, -0.61),
        "history": (Iteration("affine", 0, 2.0, 0, -0.6, 0.6, 0.0, 0.1, 0, 1.0, 0.0, 1.0),),
        "levels": tuple(levels),
        "options": Options(),
        "smallest_determinant": bound,
        "overlap": 0.983,
        "provenance": {"varreg": "0.1.0", "backend": "numba", "threads": 2, "seconds": {"a": 0.31}},
    }
    return Result(**(parts | changes))


def bent(levels=None, bound=0.61):
    nodes = np.zeros((2, 4, 4))
    nodes[0, 1, 1] = 4.0
    stages = [level("affine"), level("deformable")] if levels is None else levels
    return make(nodes=nodes, levels=stages, bound=bound)


def test_the_paragraph_says_what_was_done_how_well_and_what_it_does_not_prove():
    words = str(bent())
    for expected in [
        "T2.nii.gz (moving) was brought onto T1.nii.gz (fixed), 20 x 24 voxels of 1 x 2 mm",
        "98.3 % of them lie inside the moving image",
        "Affine: rotation 5.77 degrees, scale 0.995 x 0.995, shift",
        "u has mean 0.25 mm, largest 4.00 mm; it folds nowhere (det(id + grad u) >= 0.610 at",
        "Energy went from -0.6100 to -0.7800 (mutual information 0.8400 nats, smoothness 0.0210)",
        "affine level 0 (10 x 12): 7 iterations, stopped because the gradient fell below its",
        "near a stationary point; gradient reduced to 0.3 %.",
        "Checks: none were run",
        "Convergence does not prove correctness: inspect the images",
        "varreg 0.1.0, numba, 2 threads, 0.31 s.",
        "Maps points of FIXED to MOVING (world mm, RAS+).",
    ]:
        assert expected in words


def test_every_reason_to_stop_has_its_words():
    endings = {str(bent([level("deformable", stop)])).splitlines()[-3] for stop in Stop}
    assert len(endings) == len(Stop)
    assert all("stopped" in words or "identical voxel by voxel" in words for words in endings)


def test_a_budget_that_was_spent_is_told_by_what_further_steps_would_move():
    ended = bent([level("deformable", Stop.BUDGET)])
    words = str(dataclasses.replace(ended, motion=HeadMotion(1.2, 3.4, 0.054)))
    assert "20 further steps would move the head by about 0.054 mm on average" in words
    assert "u moves the head by 1.20 mm on average, at most 3.40 mm" in words
    assert "gradient" not in words
    assert "at its maximum number of steps; gradient reduced to 0.3 %" in str(ended)


def test_the_first_line_is_that_of_the_checks():
    right = Check("view", 0.9, 0.4, True, "90 % in view.", "Check the headers.")
    wrong = Check("scales", 2.0, 1.3, False, "Scaled by 2.", "Try affine='rigid'.")
    result = dataclasses.replace(bent(), checks=(right,))
    assert str(result).splitlines()[0] == SILENT
    assert result.warnings == ()
    result = dataclasses.replace(bent(), checks=(right, wrong))
    assert str(result).splitlines()[:2] == [
        "Checks: 1 warning: Scaled by 2.",
        "Possible remedies: Try affine='rigid'.",
    ]
    assert list(map(str, result.warnings)) == ["Scaled by 2. Try affine='rigid'."]


def test_stages_that_were_left_out_are_said_so():
    assert "Deformable: none." in str(make(levels=[level("affine")]))
    assert "Affine: the identity." in str(make(np.eye(3)))
    assert "Affine (given): rotation" in str(make())
    assert "solver ended" not in str(make())
    assert make().stop is None
    assert "The moving image was brought onto the fixed image" in str(
        make(fixed_name="", moving_name="")
    )


def test_a_possible_fold_is_shouted():
    assert "it may FOLD" in str(bent(bound=-0.1))


def test_what_the_transform_can_do_is_offered_by_the_result():
    result = bent()
    transform = result.transform
    np.testing.assert_array_equal(result.displacement, transform.displacement)
    assert result.displacement is result.displacement
    np.testing.assert_array_equal(result.u, transform.u)
    np.testing.assert_array_equal(result.affine, TURN)
    np.testing.assert_array_equal(result.jacobian(), transform.jacobian())
    np.testing.assert_array_equal(result.points([[1.0, 2.0]]), transform.points([[1.0, 2.0]]))
    labels = np.arange(GRID.size).reshape(GRID.shape) // 100
    np.testing.assert_array_equal(result.warp_labels(labels), transform.warp_labels(labels))
    np.testing.assert_array_equal(result.warp(labels), transform.warp(labels))
    assert result.inverse().converged
    assert result.stop is Stop.GRADIENT
    assert result.seconds == 0.31


def test_compilation_is_told_apart_from_the_seconds():
    spent = {"affine": 0.31, "compilation": 12.0}
    result = make(provenance={"varreg": "0.1.0", "seconds": spent})
    assert (result.seconds, result.compilation_seconds) == (pytest.approx(0.31), 12.0)
    assert "0.31 s, after 12.0 s for compiling or loading kernels." in str(result)
    quick = make(provenance={"seconds": spent | {"compilation": 0.01}})
    assert "0.31 s." in str(quick) and "compiling" not in str(quick)
    assert make().compilation_seconds == make(provenance={}).compilation_seconds == 0


def test_seconds_fall_back_on_the_levels():
    assert make(levels=[level("affine")] * 3, provenance={}).seconds == 0.75


def test_a_warped_image_on_another_grid_is_refused():
    other = Image(np.zeros((5, 5), np.float32), Grid.with_spacing((5, 5)))
    with pytest.raises(InputError, match="`warped` has shape"):
        make(warped=other)


@pytest.mark.parametrize("degrees", [0.0, 1e-7, 3.2, 90.0, 179.0])
@pytest.mark.parametrize("dim", [2, 3])
def test_polar_decomposition_finds_rotation_and_scale(degrees, dim):
    angle = np.deg2rad(degrees)
    turn = np.eye(dim)
    turn[-2:, -2:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    scales = np.array([1.3, 1.0, 0.8][:dim])
    affine = np.eye(dim + 1)
    affine[:-1, :-1] = turn @ np.diag(scales)
    grid = Grid((9,) * dim, np.diag([1.0] * dim + [1.0]))
    affine[:-1, -1] = grid.centre - affine[:-1, :-1] @ grid.centre + 2.0
    found, sizes, shift = affine_parts(affine, grid)
    assert found == pytest.approx(degrees, abs=1e-6)
    np.testing.assert_allclose(sizes, scales)
    assert shift == pytest.approx(2 * np.sqrt(dim))


def test_a_reflection_shows_as_a_negative_scale():
    _, scales, _ = affine_parts(np.diag([1.0, -1.0, 1.0]), GRID)
    assert scales.prod() == pytest.approx(-1)
