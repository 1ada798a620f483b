"""Motion in numbers, by the conventions of FSL and fMRIPrep; directions of diffusion weighting."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from varreg.errors import FileError, InputError
from varreg.exchange.fsl import scaled_voxels
from varreg.geometry.grid import Grid
from varreg.geometry.matrices import transform_points
from varreg.series.bvectors import read_bvectors, rotated, scanner_axes, write_bvectors
from varreg.series.motion import (
    Head,
    framewise_displacement,
    mean_motion,
    motion_parameters,
)

from . import heads

RADIOLOGICAL = Grid((20, 22, 16), np.diag([-2.0, 2.0, 3.0, 1.0]))
NEUROLOGICAL = Grid((20, 22, 16), np.diag([2.0, 2.0, 3.0, 1.0]))


def left_handed(rotations):
    """The rotation of MCFLIRT for three angles: miscmaths' turns are left-handed, z after y after x."""
    x, y, z = (
        Rotation.from_rotvec(angle * axis).as_matrix().T
        for angle, axis in zip(rotations, np.eye(3), strict=True)
    )
    return z @ y @ x


@pytest.mark.parametrize("grid", [RADIOLOGICAL, NEUROLOGICAL, heads.GRID])
def test_the_six_numbers_make_the_matrix_of_mcflirt(grid):
    centre = np.array([4.0, -3.0, 7.0])
    found = motion_parameters(heads.MOTIONS, grid, centre)
    to_scaled = scaled_voxels(grid) @ np.linalg.inv(grid.affine)
    point = transform_points(to_scaled, centre)
    for numbers, motion in zip(found, heads.MOTIONS, strict=True):
        rotation = left_handed(numbers[3:])
        flirt = np.eye(4)  # volume -> reference, scaled voxels
        flirt[:3, :3] = rotation
        flirt[:3, 3] = numbers[:3] + point - rotation @ point
        back = np.linalg.inv(to_scaled) @ flirt @ to_scaled
        assert np.allclose(back, np.linalg.inv(motion), atol=1e-9)


def test_signs_of_a_radiological_image():
    """The head moves 2 mm to the right (x = R), which is towards lower first indices: the correction goes up."""
    found = motion_parameters(heads.rigid([2, 0, 0], [0, 0, 0])[None], RADIOLOGICAL, np.zeros(3))
    assert found[0].round(9).tolist() == [2, 0, 0, 0, 0, 0]


def test_both_orders_of_storage_have_the_same_numbers():
    """FSL sees every image as radiological: where the first voxel lies does not matter."""
    centre = np.array([4.0, -3.0, 7.0])
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = NEUROLOGICAL.shape[0] - 1
    stored = Grid(NEUROLOGICAL.shape, NEUROLOGICAL.affine @ flip)
    one, two = (motion_parameters(heads.MOTIONS, g, centre) for g in (NEUROLOGICAL, stored))
    assert np.allclose(one, two)


def test_the_numbers_of_fmriprep_to_first_order():
    """trans_* is the shift of the centre of mass, rot_* the turn about the axes, of small motions."""
    small = heads.rigid([0.02, -0.01, 0.03], [0.05, 0.02, -0.04])
    found = motion_parameters(small[None], RADIOLOGICAL, np.zeros(3))[0]
    assert found[:3] == pytest.approx([0.02, 0.01, -0.03], abs=1e-4)
    # axes of FSL here: left, forward, up, a mirrored world; the inverse turn, by left-handed angles
    assert np.rad2deg(found[3:]) == pytest.approx([0.05, -0.02, 0.04], abs=1e-3)


def test_framewise_displacement_adds_shifts_and_arcs():
    numbers = np.zeros((3, 6))
    numbers[1] = [0.3, 0, -0.2, 0.01, 0, 0]
    assert framewise_displacement(numbers)[1:] == pytest.approx([0.5 + 0.5, 1.0])
    assert np.isnan(framewise_displacement(numbers)[0])


def test_mean_motion_is_that_of_points():
    points = np.random.default_rng(3).normal([[3.0], [-5], [8]], [[20.0], [30], [25]], (3, 500))
    head = Head(points.mean(1), np.cov(points, bias=True))
    for motion, mean in zip(heads.MOTIONS, mean_motion(heads.MOTIONS, head), strict=True):
        apart = transform_points(motion, points) - points
        assert mean == pytest.approx(np.sqrt(np.square(apart).sum(0).mean()))


def test_directions_follow_the_tissue():
    """A fibre of the head gives the same signal with the rotated direction in the reference as it gave in the volume."""
    fibre = np.array([0.6, 0.0, 0.8])  # world, in the reference
    random = np.random.default_rng(2)
    stored = random.normal(size=(3, 5))
    stored /= np.linalg.norm(stored, axis=0)
    turned = rotated(stored, heads.MOTIONS, heads.GRID)
    for k, motion in enumerate(heads.MOTIONS):
        felt = (scanner_axes(heads.GRID) @ stored[:, k]) @ (motion[:3, :3] @ fibre)
        assert (scanner_axes(heads.GRID) @ turned[:, k]) @ fibre == pytest.approx(felt)


def test_the_sign_of_the_first_component():
    """FSL: of an image with a positive determinant the first component is turned round."""
    assert np.array_equal(scanner_axes(RADIOLOGICAL), np.diag([-1.0, 1, 1]))
    assert np.array_equal(scanner_axes(NEUROLOGICAL), np.diag([-1.0, 1, 1]))
    stored = np.random.default_rng(0).normal(size=(3, 5))
    both = [rotated(stored, heads.MOTIONS, grid) for grid in (RADIOLOGICAL, NEUROLOGICAL)]
    assert np.allclose(*both)


def test_another_grid_has_other_axes():
    stored = np.random.default_rng(0).normal(size=(3, 1))
    there = rotated(stored, np.eye(4)[None], RADIOLOGICAL, heads.GRID)
    world = [scanner_axes(g) @ v for g, v in ((RADIOLOGICAL, stored), (heads.GRID, there))]
    assert np.allclose(*world)
    assert np.linalg.norm(there) == pytest.approx(np.linalg.norm(stored))


def test_affine_maps_turn_by_their_rotation():
    stretched = heads.MOTIONS[3] @ np.diag([1.1, 0.95, 1.02, 1.0])
    stored = np.eye(3)[:, :1]
    found = rotated(stored, stretched[None], RADIOLOGICAL)
    assert np.linalg.norm(found) == pytest.approx(1)
    assert np.allclose(found, rotated(stored, heads.MOTIONS[3:4], RADIOLOGICAL), atol=0.05)


def test_files_of_directions(tmp_path):
    rows = np.array([[0, 1, 0.6, 0], [0, 0, -0.8, 1], [0, 0, 0, 0]])
    write_bvectors(tmp_path / "a.bvec", rows)
    assert np.array_equal(read_bvectors(tmp_path / "a.bvec", 4, "f"), rows)
    np.savetxt(tmp_path / "columns.txt", rows.T)
    assert np.array_equal(read_bvectors(str(tmp_path / "columns.txt"), 4, "f"), rows)


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (np.zeros((3, 5)), InputError, "has 5 directions, and the series has 4 volumes"),
        (np.zeros((2, 4)), InputError, r"has shape \(2, 4\)"),
        (np.full((3, 4), np.nan), InputError, "NaN"),
        ("absent.bvec", FileError, "'absent.bvec', which cannot be read"),
        ([[1, 0], [0]], FileError, "cannot be read"),
    ],
)
def test_directions_that_do_not_fit(value, error, words):
    with pytest.raises(error, match=words):
        read_bvectors(value, 4, "varreg.align_series")
