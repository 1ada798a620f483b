"""Real images and other tools' own cases with a known answer; skipped where the data is absent."""

import nibabel
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

import varreg

pytestmark = pytest.mark.data


def angle(affine):
    """Rotation of a 2D world affine, in degrees."""
    left, _, right = np.linalg.svd(affine[:2, :2])
    rotation = left @ right
    return float(np.rad2deg(np.arctan2(rotation[1, 0], rotation[0, 0])))


def shift_at_centre(result):
    centre = result.transform.fixed.centre
    return (result.affine @ np.append(centre, 1))[:-1] - centre


@pytest.mark.parametrize("model", ["translation", "rigid", "similarity", "affine"])
def test_itk_shift_of_13_and_17_pixels(data_folder, model):
    folder = data_folder / "itk"
    result = varreg.solve(
        folder / "BrainProtonDensitySliceShifted13x17y.png",
        folder / "BrainT1SliceBorder20.png",
        affine=model,
        deformable=False,
    )
    np.testing.assert_allclose(shift_at_centre(result), (17, 13), atol=0.3)
    assert abs(angle(result.affine)) < 0.3


@pytest.mark.parametrize("model", ["rigid", "similarity", "affine"])
def test_itk_rotation_of_10_degrees(data_folder, model):
    folder = data_folder / "itk"
    result = varreg.solve(
        folder / "BrainProtonDensitySliceR10X13Y17.png",
        folder / "BrainT1SliceBorder20.png",
        affine=model,
        deformable=False,
    )
    assert abs(abs(angle(result.affine)) - 10) < 0.3


@pytest.mark.parametrize("fixed, moving", [(1, 1), (1, 2), (2, 1)])
def test_greedy_contrast_swapped_phantoms_reach_its_dice(data_folder, fixed, moving):
    """greedy's own test asks for a Dice of 0.92 of the labels carried around by map and truth."""
    folder = data_folder / "phantoms"
    result = varreg.solve(
        folder / f"phantom0{moving}_moving.nii.gz",
        folder / f"phantom0{fixed}_fixed.nii.gz",
        affine="rigid",
        deformable=False,
    )
    truth = np.loadtxt(folder / "phantom01_rigid.mat")  # moving world -> source world
    source = nibabel.load(folder / "phantom01_source.nii.gz")
    labels = np.asarray(source.dataobj)
    around = np.linalg.inv(source.affine) @ truth @ result.affine @ source.affine
    index = np.indices(labels.shape).reshape(3, -1)
    there = around[:3, :3] @ index + around[:3, 3:]
    carried = map_coordinates(labels, there, order=0).reshape(labels.shape)
    for label in range(1, 5):
        overlap = 2 * np.sum((carried == label) & (labels == label))
        assert overlap / (np.sum(carried == label) + np.sum(labels == label)) > 0.92
