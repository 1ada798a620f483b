"""Matching points: followed to their weight, read from files, and named if they are wrong."""

import json

import numpy as np
import pytest

import varreg
from varreg.data.phantom import deformed_pair

SETTINGS = dict(progress=False, threads=1)


@pytest.fixture(scope="module")
def case():
    """Two images, points of the fixed one and where they belong."""
    pair = deformed_pair((64, 64), np.random.default_rng(2))
    rng = np.random.default_rng(0)
    inside = np.argwhere(pair.labels_fixed > 0)
    here = rng.choice(inside, 8, replace=False).astype(float)
    there = here + np.stack([pair.displacement[:, int(a), int(b)] for a, b in here])
    return pair, here, there


def ramps():
    """Images that say nothing of a shift along the first axis."""
    stripes = np.tile(np.sin(np.arange(48) / 3.0) + np.arange(48) / 30, (48, 1))
    return stripes, stripes


def test_points_decide_what_the_images_leave_open():
    moving, fixed = ramps()
    here = np.array([[10.0, 12.0], [30.0, 20.0], [24.0, 36.0]])
    there = here + (3.0, 0.0)
    found = varreg.solve(
        moving,
        fixed,
        affine="translation",
        deformable=False,
        moving_points=there,
        fixed_points=here,
        **SETTINGS,
    )
    np.testing.assert_allclose(found.affine[:2, 2], (3.0, 0.0), atol=0.1)
    assert [guide.before for guide in found.guides] == pytest.approx([3.0] * 3)
    assert max(guide.after for guide in found.guides) < 0.1
    assert "Points: 3 guides, median distance 3.0 mm before" in str(found)


def test_conflicting_points_meet_at_their_weighted_mean():
    moving, fixed = ramps()
    here = np.array([[20.0, 20.0], [20.0, 20.0]])
    there = here + [(2.0, 0.0), (-2.0, 0.0)]
    found = varreg.solve(
        moving, fixed, affine="translation", deformable=False, moving_points=there, fixed_points=here,
        point_weights=(3, 1), **SETTINGS,
    )  # fmt: skip
    assert found.affine[0, 2] == pytest.approx(1.0, abs=0.1)
    assert [guide.after for guide in found.guides] == pytest.approx([1.0, 3.0], abs=0.1)


def test_the_larger_the_weight_the_nearer_the_points(case):
    pair, here, there = case
    pushed = there + (1.5, -1.5)  # against what the images say
    residuals = []
    for weight in (1e-6, 0.02, 1.0):
        found = varreg.solve(
            pair.moving, pair.fixed, affine=None, deformable=True, moving_points=pushed, fixed_points=here,
            points_weight=weight, **SETTINGS,
        )  # fmt: skip
        residuals.append(np.sqrt(np.mean([guide.after**2 for guide in found.guides])))
        assert found.energy.points == pytest.approx(residuals[-1] ** 2, rel=1e-3)
    assert residuals[0] > 1.5
    assert residuals[0] > residuals[1] > residuals[2]
    assert residuals[2] < 0.3


def test_a_wrong_point_is_named(case):
    pair, here, there = case
    wrong = there.copy()
    wrong[3] += (12.0, 0.0)
    arguments = dict(affine=None, deformable=True, fixed_points=here, points_weight=1e-3)
    found = varreg.solve(pair.moving, pair.fixed, moving_points=wrong, **arguments, **SETTINGS)
    assert [check.name for check in found.warnings if check.name.startswith("point")] == ["point 4"]
    assert "Point 4 is" in str(found)
    right = varreg.solve(pair.moving, pair.fixed, moving_points=there, **arguments, **SETTINGS)
    assert not [check for check in right.warnings if check.name.startswith("point")]


def test_points_begin_the_search_where_the_images_are_far_apart(case):
    """Turned by 140 degrees, which no initialisation of the images alone tries."""
    pair, here, _ = case
    turn = np.deg2rad(140)
    matrix = np.eye(3)
    matrix[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    matrix[:2, 2] = np.array([31.5, 31.5]) - matrix[:2, :2] @ [31.5, 31.5]
    grid = varreg.Grid.with_spacing((64, 64))
    moving = varreg.Transform(grid, grid, np.linalg.inv(matrix)).warp(1 - pair.fixed, fill=1.0)
    there = (matrix @ np.append(here, np.ones((8, 1)), axis=1).T)[:2].T
    inside = np.all((there > 0) & (there < 63), axis=1)
    found = varreg.solve(
        moving, pair.fixed, affine="rigid", deformable=False, moving_points=there[inside], fixed_points=here[inside],
        **SETTINGS,
    )  # fmt: skip
    np.testing.assert_allclose(found.affine, matrix, atol=0.6)


@pytest.fixture(scope="module")
def volume():
    rng = np.random.default_rng(0)
    image = varreg.phantom.brain_phantom((40, 44, 36), rng)
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (38, -40, -30)
    fixed, moving = (varreg.Image.from_array(a, affine=affine) for a in (image.t1, image.t2))
    here = np.array([[10.0, -12.0, 4.0], [-14.0, 20.0, 10.0], [4.0, 8.0, -12.0], [-6.0, -4.0, 8.0]])
    return moving, fixed, here


def fcsv(points, system):
    rows = [f"p{k},{x},{y},{z},0,0,0,1,1,1,0,F-{k},," for k, (x, y, z) in enumerate(points)]
    head = f"# Markups fiducial file version = 4.11\n# CoordinateSystem = {system}\n# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
    return head + "\n".join(rows)


def markups(points, system):
    controls = [
        {"label": f"F-{k}", "position": list(point), "positionStatus": "defined"}
        for k, point in enumerate(points)
    ]
    return json.dumps(
        {"markups": [{"type": "Fiducial", "coordinateSystem": system, "controlPoints": controls}]}
    )


def table(points, _):
    return "name,x,y,z\n" + "\n".join(f"F-{k},{x},{y},{z}" for k, (x, y, z) in enumerate(points))


@pytest.mark.parametrize(
    "suffix, write, system",
    [
        (".fcsv", fcsv, "LPS"), (".fcsv", fcsv, "0"), (".fcsv", fcsv, "RAS"), (".fcsv", fcsv, "1"),
        (".mrk.json", markups, "LPS"), (".mrk.json", markups, "RAS"), (".csv", table, "RAS"),
    ],
)  # fmt: skip
def test_files_of_points_say_in_which_space_they_are(volume, suffix, write, system, tmp_path):
    moving, fixed, here = volume
    sign = np.array([-1, -1, 1]) if system in ("LPS", "1") else np.ones(3)
    (tmp_path / f"fixed{suffix}").write_text(write(here * sign, system))
    there = here + (1.0, 0.0, -2.0)
    rows = "x,y,z,name,weight\n" + "\n".join(
        f"{x},{y},{z},F-{k},2.5" for k, (x, y, z) in reversed(list(enumerate(there)))
    )
    (tmp_path / "moving.csv").write_text(rows)
    found = varreg.solve(
        moving, fixed, affine="translation", deformable=False, points_weight=100.0,
        moving_points=tmp_path / "moving.csv", fixed_points=tmp_path / f"fixed{suffix}", **SETTINGS,
    )  # fmt: skip
    assert [guide.name for guide in found.guides] == ["F-0", "F-1", "F-2", "F-3"]
    assert [guide.weight for guide in found.guides] == [2.5] * 4
    np.testing.assert_allclose(found.affine[:3, 3], (1.0, 0.0, -2.0), atol=0.1)


def test_a_result_keeps_its_points(case, tmp_path):
    pair, here, there = case
    found = varreg.solve(
        pair.moving,
        pair.fixed,
        affine=None,
        deformable=True,
        moving_points=there,
        fixed_points=here,
        **SETTINGS,
    )
    found.save(tmp_path / "result")
    loaded = varreg.load(tmp_path / "result")
    assert loaded.guides == found.guides and loaded.energy == found.energy


@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(fixed_points=[[3.0, 4.0]]), "`moving_points` is missing"),
        (dict(point_weights=[1.0]), "`point_weights` is given without points"),
        (dict(fixed_points=[[3.0, 4.0]], moving_points=[[3.0, 4.0], [5, 6]]), "has 1 points and `moving_points` 2"),
        (dict(fixed_points=[[3.0, 400.0]], moving_points=[[3.0, 4.0]]), "1 of 1 `fixed_points` lie outside .* by 336.5 mm"),
        (dict(fixed_points=[[3.0, 4.0]], moving_points=[[-3.0, 4.0]]), "`moving_points` lie outside"),
        (dict(fixed_points=[[3.0, 4.0, 1.0]], moving_points=[[3.0, 4.0, 1.0]]), r"must have shape \(n, 2\)"),
        (dict(fixed_points=[[3.0, np.nan]], moving_points=[[3.0, 4.0]]), "NaN or infinity"),
        (dict(fixed_points=[[3.0, 4.0]], moving_points=[[3.0, 4.0]], point_weights=[0.0]), "above 0 for each of 1"),
        (dict(fixed_points=[[3.0, 4.0]], moving_points=[[3.0, 4.0]], points_weight=0), r"`Options\(points_weight=...\)`"),
        (dict(fixed_points="absent.csv", moving_points=[[3.0, 4.0]]), "'absent.csv' cannot be read"),
        (dict(fixed_points="absent.fcsv", moving_points=[[3.0, 4.0]]), "'absent.fcsv' holds no points"),
    ],
)  # fmt: skip
def test_bad_points_get_a_sentence(case, arguments, words):
    with pytest.raises(varreg.VarregError, match=words):
        varreg.solve(case[0].moving, case[0].fixed, **arguments)


def test_a_slicer_file_that_says_no_space_gets_a_sentence(volume, tmp_path):
    (tmp_path / "p.fcsv").write_text(fcsv(volume[2], "IJK"))
    (tmp_path / "p.mrk.json").write_text(markups(volume[2], "scanner"))
    for name in ("p.fcsv", "p.mrk.json"):
        with pytest.raises(varreg.FileError, match="coordinate system is .*, not LPS or RAS"):
            varreg.solve(*volume[:2], fixed_points=tmp_path / name, moving_points=volume[2])


def test_points_that_only_a_deformation_explains_leave_the_affine_part_alone(case):
    """A bend in the middle of the image, on which all points are."""
    pair, *_ = case
    x = np.stack(np.meshgrid(*[np.arange(64.0)] * 2, indexing="ij"))
    bend = np.stack([0 * x[0], 7 * np.exp(-((x[0] - 32) ** 2 + (x[1] - 32) ** 2) / 128)])
    grid = varreg.Grid.with_spacing((64, 64))
    fixed = varreg.Transform(grid, grid, np.eye(3), bend).warp(1 - pair.moving, fill=1.0)
    here = np.array([[32.0, 32.0], [28.0, 30.0], [35.0, 33.0]])
    there = here + np.stack([bend[:, int(a), int(b)] for a, b in here])
    found = varreg.solve(
        pair.moving,
        fixed,
        affine="rigid",
        deformable=True,
        moving_points=there,
        fixed_points=here,
        **SETTINGS,
    )
    inside = pair.labels_moving > 0
    assert np.linalg.norm(found.displacement - bend, axis=0)[inside].mean() < 1.0
    assert max(guide.after for guide in found.guides) < 1.0
