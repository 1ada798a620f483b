"""What people bring first: slabs, slides, images that lie on their side. The answer is known."""

import numpy as np
import pytest

import varreg
from varreg.data.phantom import brain_phantom
from varreg.images.image import Image

SETTINGS = dict(threads=1, progress=False)


@pytest.fixture(scope="module")
def head():
    return brain_phantom((64, 72, 56), np.random.default_rng(5))


@pytest.fixture(scope="module")
def section():
    return brain_phantom((96, 112), np.random.default_rng(6))


def off(image_affine, shape):
    """A rigid map of 10 mm about the middle of an image, by which its header is off."""
    a, b = np.deg2rad(5), np.deg2rad(-4)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn = turn @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    centre = image_affine[:3, :3] @ ((np.array(shape) - 1) / 2) + image_affine[:3, 3]
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = centre - turn @ centre + (5, -4, 6)
    return matrix


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("swapped", [False, True])
def test_a_slab_finds_its_place_in_the_head(head, axis, swapped):
    """A third of the head in the other contrast, its header off by 10 mm, both ways round."""
    voxel = 2.0
    cut = [slice(None)] * 3
    third = head.t1.shape[axis] // 3
    cut[axis] = slice(third, 2 * third)
    grid = np.diag([voxel, voxel, voxel, 1.0])
    place = grid.copy()
    place[axis, 3] = voxel * third
    part = np.ascontiguousarray(head.t2[tuple(cut)])
    true = off(place, part.shape)
    whole, slab = (
        Image.from_array(head.t1, affine=grid),
        Image.from_array(part, affine=true @ place),
    )
    inside = np.argwhere(part > 0.1)[::97] @ place[:3, :3].T + place[:3, 3]
    there = inside @ true[:3, :3].T + true[:3, 3]
    if swapped:
        error = varreg.solve(whole, slab, **SETTINGS).points(there) - inside
    else:
        error = varreg.solve(slab, whole, **SETTINGS).points(inside) - there
    assert np.linalg.norm(error, axis=1).mean() < 1


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_slice_that_lies_on_its_side_is_turned(section, turns):
    moving = np.ascontiguousarray(np.rot90(section.t2, turns))
    result = varreg.solve(moving, section.t1, **SETTINGS)
    at = np.argwhere(section.t1 > 0.1)[::53].astype(float)
    truth, shape = at.copy(), list(section.t2.shape)
    for _ in range(turns):
        truth = np.c_[shape[1] - 1 - truth[:, 1], truth[:, 0]]
        shape.reverse()
    assert np.linalg.norm(result.points(at, "voxel") - truth, axis=1).mean() < 1


@pytest.mark.parametrize("axes", [(0, 1), (1, 2), (0, 2)])
def test_a_head_that_lies_on_its_side_is_turned(head, axes):
    moving = np.ascontiguousarray(np.rot90(head.t2, 1, axes))
    result = varreg.solve(moving, head.t1, **SETTINGS)
    at = np.argwhere(head.t1 > 0.1)[::197].astype(float)
    truth, (i, j) = at.copy(), axes
    truth[:, i], truth[:, j] = head.t2.shape[j] - 1 - at[:, j], at[:, i]
    assert np.linalg.norm(result.points(at, "voxel") - truth, axis=1).mean() < 1


@pytest.mark.parametrize("white", [False, True])
@pytest.mark.parametrize("corner", [(0, 0), (60, 80), (0, 100)])
def test_a_slide_may_be_white_or_black_and_the_object_anywhere_on_it(section, white, corner):
    slide = np.zeros((180, 230), np.float32)
    rows, columns = section.t2.shape
    slide[corner[0] : corner[0] + rows, corner[1] : corner[1] + columns] = section.t2
    fixed = section.t1
    if white:
        slide, fixed = slide.max() - slide, fixed.max() - fixed
    at = np.argwhere(section.t1 > 0.1)[::53].astype(float)
    error = varreg.solve(slide, fixed, **SETTINGS).points(at, "voxel") - (at + corner)
    assert np.linalg.norm(error, axis=1).mean() < 1


def test_blocks_of_other_brightness_are_not_exchanged():
    """Turned by a quarter they share as much information: the headers decide."""
    fixed = np.zeros((96, 96), np.float32)
    moving = np.zeros((96, 96), np.float32)
    for k, (i, j) in enumerate([(20, 20), (20, 50), (50, 20), (50, 50)]):
        fixed[i : i + 26, j : j + 26] = (0.3, 0.5, 0.7, 0.9)[k]
        moving[i + 4 : i + 30, j - 3 : j + 23] = (0.7, 0.9, 0.3, 0.5)[k]
    result = varreg.solve(moving, fixed, affine="rigid", deformable=False, **SETTINGS)
    at = np.argwhere(fixed > 0)[::31].astype(float)
    assert np.linalg.norm(result.points(at, "voxel") - (at + (4, -3)), axis=1).mean() < 0.5
