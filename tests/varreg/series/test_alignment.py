"""The motion of a head that is known is found, and the same for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

import varreg
from varreg.images.image import Image
from varreg.series.reference import Reference, turned_lattice

from . import heads


@pytest.fixture(scope="module")
def moved():
    return heads.nifti(heads.series(noise=1.0))


@pytest.fixture(scope="module")
def found(moved):
    return varreg.align_series(moved, reference=0, threads=2)


def test_motions_to_the_twentieth_of_a_millimetre(found):
    apart, turned = heads.errors(found.affines, heads.MOTIONS)
    assert apart.max() < 0.06  # mm, in voxels of 3 x 3 x 3.5 mm
    assert turned.max() < 0.06  # degrees
    assert np.median(apart[1:]) < 0.05 and np.median(turned[1:]) < 0.05


def test_the_reference_itself_does_not_move(found):
    assert np.array_equal(found.affines[0], np.eye(4))


def test_rigid_maps_are_rigid(found):
    linear = found.affines[:, :3, :3]
    assert np.allclose(linear @ np.swapaxes(linear, 1, 2), np.eye(3), atol=1e-9)
    assert (np.linalg.det(linear) > 0).all()


def test_no_map_has_more_energy_than_no_motion(found):
    assert (found.energies <= found.start_energies).all()


def test_the_same_bits_for_any_number_of_threads(moved, found):
    again = varreg.align_series(moved, reference=0, threads=1)
    assert np.array_equal(again.affines, found.affines)
    assert np.array_equal(again.energies, found.energies)


def test_the_mean_tells_motions_between_volumes(moved):
    mean = varreg.align_series(moved, threads=2)
    between = mean.affines @ np.linalg.inv(mean.affines[0])
    apart, turned = heads.errors(between, heads.MOTIONS)
    assert mean.reference == "mean"
    assert apart.max() < 0.1 and turned.max() < 0.1
    one = varreg.align_series(moved, threads=3)
    assert np.array_equal(one.affines, mean.affines)


def test_a_negative_number_counts_from_the_end(moved):
    last = varreg.align_series(moved, reference=-1, threads=2)
    assert last.reference == 4 and np.array_equal(last.affines[4], np.eye(4))
    apart, _ = heads.errors(last.affines, heads.MOTIONS @ np.linalg.inv(heads.MOTIONS[4]))
    assert apart.max() < 0.1


def test_volumes_of_another_contrast_move_as_much_as_they_do():
    """Between contrasts mutual information may be off, but by the same for all volumes of one contrast."""
    motions, contrasts = heads.MOTIONS[[0, 1, 2, 3]], [1.0, 0.5, 0.5, 0.5]
    array = heads.series(motions, noise=1.0, contrasts=contrasts)
    result = varreg.align_series(heads.nifti(array), reference=0, threads=2)
    between = result.affines[1:] @ np.linalg.inv(result.affines[1])
    apart, _ = heads.errors(between, motions[1:] @ np.linalg.inv(motions[1]))
    assert apart.max() < 0.15


def test_an_affine_map_finds_a_stretch():
    stretch = np.diag([1.0, 1.03, 1.0, 1.0])
    array = heads.series(np.array([np.eye(4), stretch]), noise=1.0)
    result = varreg.align_series(heads.nifti(array), reference=0, model="affine", threads=2)
    assert result.affines[1][1, 1] == pytest.approx(1.03, abs=0.003)
    rigid = varreg.align_series(heads.nifti(array), reference=0, threads=2)
    assert np.linalg.det(rigid.affines[1][:3, :3]) == pytest.approx(1, abs=1e-9)


def test_voxels_without_data_are_left_out(moved):
    array = np.asarray(moved.dataobj)[..., :3].copy()
    array[:, :6] = np.nan
    result = varreg.align_series(heads.nifti(array), reference=0, threads=2)
    apart, _ = heads.errors(result.affines, heads.MOTIONS[:3])
    assert apart.max() < 0.12


def test_a_mask_says_what_counts(moved):
    radius = np.linalg.norm(heads.GRID.voxel_to_world(heads.GRID.coordinates()), axis=0)
    mask = (radius < 40).astype(np.uint8)
    result = varreg.align_series(moved, reference=0, mask=mask, threads=2)
    apart, _ = heads.errors(result.affines, heads.MOTIONS)
    assert apart.max() < 0.2
    assert np.allclose(result.head.centre, 0, atol=2)


def test_no_point_of_the_lattice_meets_the_voxels_in_step():
    """Fractions of voxels at which the lattice reads are spread evenly, whatever the shift."""
    lattice = turned_lattice(heads.GRID, 4.0)
    place = heads.GRID.world_to_voxel(lattice.voxel_to_world(lattice.coordinates()))
    for coordinate in place:
        counts = np.histogram(coordinate % 1, bins=8, range=(0, 1))[0]
        assert counts.max() < 1.05 * counts.mean() and counts.min() > 0.95 * counts.mean()


def test_the_lattice_covers_the_field_of_view():
    lattice = turned_lattice(heads.GRID, 4.0)
    corners = np.array(np.meshgrid(*[(0.0, n - 1) for n in heads.SHAPE])).reshape(3, -1)
    place = lattice.world_to_voxel(heads.GRID.voxel_to_world(corners))
    assert (place > -0.5).all()
    assert (place < np.array(lattice.shape)[:, None] - 0.5).all()


def test_the_head_is_found_and_the_border_left_out():
    image = Image.from_array(heads.volume(np.eye(4), noise=1.0), affine=heads.AFFINE)
    made = Reference(image)
    fine = made.levels[1]
    share = fine.mask.sum() * fine.grid.spacing.prod() / (4 / 3 * np.pi * 36 * 44 * 38)
    assert 1.0 < share < 2.1  # the head and some voxels around
    assert np.allclose(made.centre, 0, atol=2)
