"""Flips, permutations, headers and units: the map between the worlds stays the same."""

import numpy as np
import pytest
from scipy import ndimage

import varreg
from varreg.data.phantom import deformed_pair
from varreg.images.image import Image

from ..problems import smooth_image
from .measures import QUICK

SYMMETRIES = {
    "flip-0": lambda a: a[::-1],
    "flip-1": lambda a: a[:, ::-1],
    "both": lambda a: a[::-1, ::-1],
    "transposed": lambda a: a.T,
    "turned": lambda a: np.rot90(a),
}


def turned_field(u, turn, shape):
    """The field u of the images before `turn`, as a field of the turned images."""
    moved = np.stack([turn(component) for component in u])
    index = np.stack([turn(c) for c in np.indices(shape)]).astype(float)
    axes = [[np.diff(index[k], axis=a).mean() for k in range(len(u))] for a in range(len(u))]
    return np.tensordot(np.array(axes), moved, 1)


def smooth_pair(shape):
    """Without kinks: nothing is clipped, and cubic interpolation is smooth."""
    rng = np.random.default_rng(9)
    pairs = [smooth_image(shape, rng, 1.5) for _ in range(2)]
    images = [pairs[0], 0.6 * np.roll(pairs[0], 1, 0) + 0.4 * pairs[1]]
    ranges = dict(fixed_range=(-0.5, 1.5), moving_range=(-0.5, 1.5), interpolation="cubic")
    return [i.astype(np.float32) for i in images], ranges


@pytest.mark.parametrize("name", SYMMETRIES)
def test_flips_and_permutations_of_both_images_turn_the_answer_along(name):
    turn, shape = SYMMETRIES[name], (60, 68)
    (moving, fixed), ranges = smooth_pair(shape)
    plain = varreg.solve(moving, fixed, affine=None, **QUICK, **ranges)
    turned = varreg.solve(turn(moving).copy(), turn(fixed).copy(), affine=None, **QUICK, **ranges)
    np.testing.assert_allclose(turned.u, turned_field(plain.u, turn, shape), atol=0.01)
    assert turned.energy.total == pytest.approx(plain.energy.total, abs=1e-5)
    assert np.abs(plain.u).max() > 0.5


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 1, 0)])
def test_permutations_of_a_volume(order):
    shape = (26, 30, 24)
    (moving, fixed), ranges = smooth_pair(shape)
    plain = varreg.solve(moving, fixed, affine=None, **QUICK, **ranges)
    turned = varreg.solve(
        moving.transpose(order).copy(),
        fixed.transpose(order).copy(),
        affine=None,
        **QUICK,
        **ranges,
    )
    wanted = np.stack([plain.u[k].transpose(order) for k in order])
    np.testing.assert_allclose(turned.u, wanted, atol=0.01)
    assert np.abs(plain.u).max() > 0.3


@pytest.mark.parametrize("name", SYMMETRIES)
def test_flips_of_a_brain_with_default_options_change_little(bent, name):
    """Linear interpolation has kinks at the start; the ends still agree to a fraction of a voxel."""
    turn = SYMMETRIES[name]
    plain = varreg.solve(bent.moving, bent.fixed, threads=1)
    turned = varreg.solve(turn(bent.moving).copy(), turn(bent.fixed).copy(), threads=1)
    wanted = turned_field(plain.displacement, turn, bent.fixed.shape)
    assert np.abs(turned.displacement - wanted)[:, turn(bent.mask)].mean() < 0.25
    assert turned.energy.total == pytest.approx(plain.energy.total, rel=0.1)


def test_a_header_that_undoes_a_flip_gives_the_same_map_in_the_world():
    """But for what the order of the rows, of which some are left out, changes."""
    apart = []
    for seed in range(6):
        bent = deformed_pair((63, 70), np.random.default_rng(seed), displacement_rms=1.5)
        n = bent.moving.shape[0]
        flip = np.array([[-1.0, 0, n - 1], [0, 1, 0], [0, 0, 1]])
        plain = varreg.solve(bent.moving, bent.fixed, threads=1)
        header = Image.from_array(bent.moving[::-1].copy(), affine=flip)
        flipped = varreg.solve(header, bent.fixed, threads=1)
        points = np.argwhere(bent.mask)[::7].astype(float)
        change = world_points(flipped, points) - world_points(plain, points)
        apart.append(np.linalg.norm(change, axis=1).mean())
    assert np.mean(apart) < 0.15


def world_points(result, points):
    """Where world points of the fixed image go, (k, d) -> (k, d) in moving world."""
    return np.asarray(result.points(points, space="world"))


def oblique(dimension, degrees, centre):
    """A rotation in the last two axes about a centre."""
    matrix, angle = np.eye(dimension + 1), np.deg2rad(degrees)
    matrix[-3:-1, -3:-1] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:-1, -1] = centre - matrix[:-1, :-1] @ centre
    return matrix


@pytest.mark.parametrize(
    "settings",
    [dict(affine=None, similarity="mi", iterations=60), dict(affine="affine")],
    ids=["mi-without-affine", "affine"],
)
def test_the_moving_image_on_another_oblique_grid_gives_the_same_map_in_the_world(settings):
    """Resampled onto a turned, finer, shifted grid of its own: the world map stays.

    Without an affine stage the start is further off than regional densities reach, and than a few
    steps take the map.
    """
    pair = deformed_pair((80, 84), np.random.default_rng(8), noise=0.0)
    matrix = oblique(2, 25, np.array([40.0, 42.0])) @ np.diag([0.8, 0.9, 1])
    matrix[:-1, -1] += [-8.0, -5.0]
    moved = ndimage.affine_transform(
        pair.moving, matrix[:-1, :-1], matrix[:-1, -1], (125, 125), order=3
    )
    plain = varreg.solve(pair.moving, pair.fixed, threads=1, **settings)
    header = Image.from_array(moved.astype(np.float32), affine=matrix)
    other = varreg.solve(header, pair.fixed, threads=1, **settings)
    points = np.argwhere(pair.mask)[::13].astype(float)
    distance = np.linalg.norm(world_points(plain, points) - world_points(other, points), axis=1)
    moved_by = np.linalg.norm(world_points(plain, points) - points, axis=1)
    assert moved_by.mean() > 1.0
    assert distance.mean() < 0.25


def test_the_unit_of_length_does_not_matter(bent):
    """Both headers scaled: u in mm scales along."""
    plain = varreg.solve(bent.moving, bent.fixed, **QUICK)
    for scale in (0.25, 64.0):
        images = [Image.from_array(i, spacing=scale) for i in (bent.moving, bent.fixed)]
        scaled = varreg.solve(*images, **QUICK)
        np.testing.assert_allclose(scaled.u, scale * plain.u, atol=1e-3 * scale)
        np.testing.assert_allclose(scaled.displacement, plain.displacement, atol=1e-3)
