"""FSL's conventions, as FSL's own Python package reads them."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

import varreg
from varreg.errors import FileError, GeometryError, InputError
from varreg.images.nifti import nifti_image
from varreg.transforms.transform import Transform

from .cases import case, peer

images = peer("fsl.data.image")
flirt = peer("fsl.transform.flirt")
fnirt = peer("fsl.transform.fnirt")


def as_fsl(grid):
    return images.Image(nifti_image(np.zeros(grid.shape, np.float32), grid.affine))


@pytest.fixture(params=[False, True], ids=["as is", "the other handedness"])
def one(request):
    """Both signs of the determinants: FSL turns the first axis round by them."""
    found = case(3)
    if not request.param:
        return found
    swap = np.diag([-1.0, 1, 1, 1])
    grids = found.transform.fixed, found.transform.moving
    turned = []
    for grid in grids:
        matrix = swap.copy()
        matrix[0, 3] = grid.shape[0] - 1
        turned.append(varreg.Grid(grid.shape, grid.affine @ matrix))
    nodes = found.transform.nodes[:, ::-1] * np.array([-1, 1, 1]).reshape(3, 1, 1, 1)
    transform = Transform(*turned, found.transform.affine, nodes)
    return type(found)(transform, found.image[::-1].copy(), found.landmarks)


def test_a_flirt_matrix(tmp_path, one):
    transform = one.affine_only
    (file,) = varreg.write_transform(transform, tmp_path / "flirt.mat", to="fsl")
    pair = as_fsl(transform.moving), as_fsl(transform.fixed)
    back = flirt.fromFlirt(flirt.readFlirt(file), *pair, "world", "world")
    moved = (np.linalg.inv(back) @ np.c_[one.landmarks, np.ones(len(one.landmarks))].T)[:3].T
    one.check_points(moved, transform, 1e-4)
    read = varreg.read_transform(file, transform.fixed, transform.moving, format="fsl")
    np.testing.assert_allclose(read.affine, transform.affine, atol=1e-10)


def test_a_flirt_matrix_of_theirs_is_read(tmp_path, one):
    transform = one.affine_only
    pair = as_fsl(transform.moving), as_fsl(transform.fixed)
    matrix = flirt.toFlirt(np.linalg.inv(transform.affine), *pair, "world", "world")
    flirt.writeFlirt(matrix, tmp_path / "theirs.mat")
    read = varreg.read_transform(
        tmp_path / "theirs.mat", transform.fixed, transform.moving, format="fsl"
    )
    one.check_points(read.points(one.landmarks), transform, 1e-4)


def test_a_relative_warp(tmp_path, one):
    transform = one.transform
    (file,) = varreg.write_transform(transform, tmp_path / "warp.nii.gz", to="fsl")
    assert nibabel.load(file).header["intent_code"] == 2006
    theirs = fnirt.readFnirt(file, as_fsl(transform.moving), as_fsl(transform.fixed))
    assert theirs.deformationType == "relative"
    voxels = np.random.default_rng(0).integers(0, transform.fixed.shape, (50, 3))
    world = transform.fixed.voxel_to_world(voxels.T * 1.0).T
    moved = theirs.transform(world, "world", "world")
    np.testing.assert_allclose(moved, transform.points(world), atol=0.01)
    read = varreg.read_transform(file, transform.fixed, transform.moving)
    np.testing.assert_allclose(read.points(world), transform.points(world), atol=1e-4)


def test_what_is_not_a_relative_warp_on_the_fixed_image_is_refused(tmp_path, one):
    transform = one.transform
    (file,) = varreg.write_transform(transform, tmp_path / "warp.nii.gz", to="fsl")
    with pytest.raises(GeometryError, match="does not lie on `fixed`"):
        varreg.read_transform(file, transform.moving, transform.moving)
    warp = nibabel.load(file)
    spacing = transform.fixed.spacing.reshape(3, 1, 1, 1)
    absolute = np.moveaxis(transform.fixed.coordinates() * spacing, 0, -1).astype(np.float32)
    nibabel.Nifti1Image(absolute, warp.affine).to_filename(tmp_path / "absolute.nii.gz")
    with pytest.raises(FileError, match="absolute coordinates"):
        varreg.read_transform(tmp_path / "absolute.nii.gz", transform.fixed, transform.moving)
    warp.header["intent_code"] = 2009
    warp.to_filename(tmp_path / "coefficients.nii.gz")
    with pytest.raises(FileError, match="coefficients of FNIRT"):
        varreg.read_transform(tmp_path / "coefficients.nii.gz", transform.fixed, transform.moving)


def test_fsl_has_no_2d(tmp_path):
    with pytest.raises(InputError, match="3D"):
        varreg.write_transform(case(2).transform, tmp_path / "a.nii.gz", to="fsl")
