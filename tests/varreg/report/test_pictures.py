"""Pictures and histograms say what they should."""

from __future__ import annotations

import numpy as np
import pytest

from varreg.report.charts import charts, ticks
from varreg.report.field import arrows, field_colours, full_colour, wheel
from varreg.report.joint import histogram_picture, joint_histogram, mutual_information
from varreg.report.pictures import (
    FOLDED,
    determinant_colours,
    edge_thresholds,
    edges,
    level_lines,
    to_bytes,
)
from varreg.report.tiles import PIXELS, SLICES, resized, stacks


def test_the_joint_histogram_counts_every_voxel_and_has_its_margins():
    random = np.random.default_rng(0)
    fixed, moving = random.normal(size=(2, 5000))
    counts = joint_histogram(fixed, moving, (-2, 2), (-1, 3), 16)
    assert counts.sum() == 5000
    expected = np.histogram(np.clip(fixed, -2, 2), 16, (-2, 2))[0]
    assert np.array_equal(counts.sum(1), expected)
    assert np.array_equal(joint_histogram(moving, fixed, (-1, 3), (-2, 2), 16), counts.T)


def test_mutual_information_is_entropy_for_a_relation_and_zero_without_one():
    assert mutual_information(np.diag([5, 5, 5, 5])) == pytest.approx(np.log(4))
    assert mutual_information(np.outer([1, 2, 3], [4, 5])) == pytest.approx(0, abs=1e-12)
    assert mutual_information(np.zeros((3, 3), dtype=int)) == 0


def test_the_histogram_is_drawn_with_fixed_to_the_right_and_moving_upwards():
    counts = np.zeros((4, 4), dtype=int)
    counts[3, 0] = 9  # bright in the fixed image, dark in the moving one
    picture = histogram_picture(counts, 9).astype(int).sum(-1)
    assert np.unravel_index(picture.argmax(), (4, 4)) == (3, 3)


def test_edges_lie_on_the_border_of_a_disc_and_nowhere_else():
    row, column = np.mgrid[:90, :110]
    radius = np.hypot(row - 44, column - 55)
    disc = (radius < 28).astype(float)
    found = edges(disc, 1.5, edge_thresholds(disc, 1.5))
    assert np.abs(radius[found] - 28).max() < 1.8
    angle = np.sort(np.arctan2(row - 44, column - 55)[found])
    assert np.diff(angle).max() < 0.1  # on all sides
    flat = np.full((40, 40), 0.5)
    assert not edges(flat, 1.5, edge_thresholds(flat, 1.5)).any()


def test_a_grid_line_is_where_the_coordinate_is_a_multiple():
    row, column = np.mgrid[:60, :60].astype(float)
    bent = row + 3 * np.sin(column / 9)
    lines = level_lines(bent, 10.0)
    away = np.abs(bent - 10 * np.round(bent / 10))
    assert (lines[away > 1.5] == 0).all() and (lines[away < 0.2] > 0.7).all()
    assert (level_lines(np.full((5, 5), 3.0), 10.0) == 0).all()


def test_hue_is_direction_and_brightness_length():
    angle = np.linspace(0, 2 * np.pi, 9)[:-1]
    down, right = -np.sin(angle)[None], np.cos(angle)[None]
    full, half = (field_colours(size * down, size * right, 2.0)[0].astype(int) for size in (2, 1))
    assert (full.max(1) == 255).all() and np.abs(half - full / 2).max() <= 1
    apart = np.abs(full[:, None] - full[None]).sum(-1) + 999 * np.eye(8, dtype=int)
    assert apart.min() > 100  # eight directions, eight colours
    assert full[0].argmax() == 0 and set(full[4].argsort()[1:]) == {1, 2}  # right red, left cyan
    assert np.array_equal(field_colours(10 * down, 10 * right, 2.0)[0], full)
    assert not field_colours(0 * down, 0 * right, 2.0).any()


def test_a_fifth_of_a_millimetre_in_a_head_looks_like_little():
    u = np.full((8, 8), 0.2)
    shown = full_colour(u, 180.0)
    assert shown == 2.0 and field_colours(u, 0 * u, shown).max() <= 0.1 * 255 + 1
    assert not arrows(u, 0 * u, shown).any()
    assert full_colour(np.array([6.5]), 180.0) == 7.0
    assert full_colour(np.zeros(3), 0.18) == pytest.approx(0.002)  # of a histological slide


def test_arrows_point_where_u_points():
    u = np.full((60, 60), 3.0)
    for down, right in ((u, 0 * u), (0 * u, u)):
        axis = 0 if down.any() else 1
        there, back = (
            arrows(sign * down, sign * right, 3.0).sum(1 - axis).reshape(3, 20).sum(0)
            for sign in (1, -1)
        )  # along the arrows, all of them together: the head is the wider end
        assert there[11:].sum() > 1.5 * there[:9].sum()
        assert back[:9].sum() > 1.5 * back[11:].sum()
    assert wheel(40)[20, 38, 0] > 200 and wheel(40)[0, 0, 3] == 0


def test_determinants_at_and_below_zero_have_a_colour_of_their_own():
    values = np.linspace(-1, 3, 401)
    colours = determinant_colours(values)
    pink = (colours == FOLDED).all(-1)
    assert np.array_equal(pink, values <= 0)
    shrinks, grows = colours[(values > 0) & (values < 1)], colours[values > 1]
    assert (shrinks[:, 2] >= shrinks[:, 0]).all() and (grows[:, 0] > grows[:, 2]).all()


@pytest.mark.parametrize("shape", [(40, 66), (20, 90, 31), (300, 280, 310)])
def test_tiles_keep_proportions_in_mm_and_the_budget_of_pixels(shape):
    spacing = np.array([1.0, 2.0, 0.5])[: len(shape)]
    made = stacks(shape, np.diag([*spacing, 1.0]))
    assert len(made) == (1 if len(shape) == 2 else 3)
    assert sum(s.height * s.width * len(s.indices) for s in made) < 1.05 * max(PIXELS, 640**2)
    for stack in made:
        down, right = (shape[a] * spacing[a] for a in stack.plane.in_plane)
        assert stack.height / stack.width == pytest.approx(down / right, rel=0.06)
        axis = stack.plane.axis
        if axis is not None:
            assert len(stack.indices) == min(shape[axis], SLICES)
            assert (stack.indices[0], stack.indices[-1]) == (0, shape[axis] - 1)
            assert list(stack.indices) == sorted(set(stack.indices))


def test_slices_outside_the_box_are_left_out():
    box = (slice(2, 9), slice(0, 10), slice(3, 8))
    volume = np.random.default_rng(0).random((12, 10, 11))
    for stack in stacks(volume.shape, np.eye(4), 0.1, box):
        axis = stack.plane.axis
        assert (stack.indices[0], stack.indices[-1]) == (box[axis].start, box[axis].stop - 1)
        assert box[axis].start <= stack.plane.index < box[axis].stop
        whole = stacks(volume.shape, np.eye(4), 0.1)
        outside = volume.copy()
        outside[box] = 0
        assert not np.any(stack.cuts(outside))
        assert len(whole[0].indices) == 11


def test_a_mosaic_holds_every_tile_where_the_page_looks_for_it():
    stack = stacks((9, 10, 11), np.eye(4), scale=0.1)[0]
    tiles = [np.full((stack.height, stack.width), k, np.uint8) for k in range(len(stack.indices))]
    whole = stack.mosaic(tiles)
    for k in range(len(tiles)):
        row, column = divmod(k, stack.columns)
        part = whole[row * stack.height :, column * stack.width :][: stack.height, : stack.width]
        assert (part == k).all()


def test_resizing_keeps_constants_and_means():
    assert np.allclose(resized(np.full((7, 9), 2.5), 20, 31), 2.5)
    picture = np.random.default_rng(0).normal(size=(64, 64))
    assert resized(picture, 16, 16).mean() == pytest.approx(picture.mean(), abs=0.01)
    assert to_bytes(np.array([np.pi]), 0.0, np.pi).tolist() == [255]


def test_charts_stay_in_their_box_and_begin_each_level_at_the_same_height(slices):
    history = slices.result.history
    energy, gradient = charts(history)
    for chart in (energy, gradient):
        points = [[tuple(map(float, p.split(","))) for p in b.points.split()] for b in chart.bands]
        assert sum(map(len, points)) == len(history)
        assert all(78 <= x <= 628 and 26 <= y <= 216 for band in points for x, y in band)
        assert len({band[0][1] for band in points}) == 1
    assert len(energy.bands) == len(slices.result.levels)
    assert len(charts(history + history)[0].bands) == 2 * len(energy.bands)
    assert f"{history[-1].energy:.4f}" in energy.description
    assert charts(()) == []
    assert charts(history[:1])[0].bands  # one record has no range
    assert ticks(0, 70, 6) == [0, 10, 20, 30, 40, 50, 60, 70]
