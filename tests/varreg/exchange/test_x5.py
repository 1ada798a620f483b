"""X5, proved by nitransforms: it maps points by our files as we do, and we by its files as it does."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

import varreg
from varreg.cli.commands import main
from varreg.errors import FileError, InputError
from varreg.images.nifti import nifti_image

from .cases import case, peer, save_nifti, translation

h5py = peer("h5py")
x5 = peer("nitransforms.io.x5")
linear = peer("nitransforms.linear")
manip = peer("nitransforms.manip")
nonlinear = peer("nitransforms.nonlinear")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def grids(one):
    return one.transform.fixed, one.transform.moving


def voxels_of(grid):
    """World points at voxels, where it does not matter how a tool interpolates."""
    index = np.random.default_rng(0).integers(1, np.array(grid.shape) - 1, (50, 3))
    return grid.voxel_to_world(index.T * 1.0).T


def reference(grid):
    return nifti_image(np.zeros(grid.shape, np.uint8), grid.affine)


def test_nitransforms_maps_points_by_an_affine_file_of_ours(tmp_path):
    one = case(3)
    (file,) = varreg.write_transform(one.affine_only, tmp_path / "a.x5")
    for theirs in (linear.load(file, fmt="X5"), manip.load(file)):
        one.check_points(theirs.map(one.landmarks), one.affine_only)
    (node,) = x5.from_filename(file)
    np.testing.assert_allclose(node.inverse @ node.transform, np.eye(4), atol=1e-12)
    assert tuple(node.domain.size) == one.transform.fixed.shape
    read = varreg.read_transform(file, *grids(one))
    np.testing.assert_array_equal(read.affine, one.transform.affine)


def test_nitransforms_maps_points_by_a_deformable_file_of_ours(tmp_path):
    one = case(3)
    (file,) = varreg.write_transform(one.transform, tmp_path / "a.x5")
    points = voxels_of(one.transform.fixed)
    np.testing.assert_allclose(
        manip.load(file).map(points), one.transform.points(points), atol=1e-4
    )
    read = varreg.read_transform(file, *grids(one))
    np.testing.assert_array_equal(read.affine, one.transform.affine)
    np.testing.assert_allclose(read.nodes, one.transform.nodes, atol=1e-6)


def test_the_stored_jacobian_and_inverse_are_those_of_the_field(tmp_path):
    """The product of both determinants is that of the whole map; field and inverse undo each other."""
    one = case(3)
    (file,) = varreg.write_transform(one.transform, tmp_path / "a.x5")
    field, affine = x5.from_filename(file)
    whole = field.jacobian * np.linalg.det(affine.transform[:3, :3])
    np.testing.assert_allclose(whole, one.transform.jacobian(), rtol=1e-5)
    fixed = one.transform.fixed
    back = nonlinear.DenseFieldTransform(field.inverse, reference=reference(fixed))
    points = voxels_of(fixed)
    alone = varreg.Transform(fixed, fixed, np.eye(4), one.transform.nodes)
    # both are float32 and linear between voxels
    np.testing.assert_allclose(alone.points(back.map(points)), points, atol=3e-3)


def test_a_file_is_read_the_other_way_round_by_its_inverses(tmp_path):
    one = case(3)
    (file,) = varreg.write_transform(one.transform, tmp_path / "a.x5")
    back = varreg.read_transform(file, *grids(one)[::-1], invert=True)
    there = one.transform.points(one.landmarks)
    # between voxels either field is linear, which a curved inverse is not
    np.testing.assert_allclose(back.points(there), one.landmarks, atol=0.1)


def test_a_map_that_folds_is_written_without_an_inverse(tmp_path):
    grid = varreg.Grid.with_spacing((12, 12, 12))
    nodes = np.zeros((3, 12, 12, 12))
    nodes[0] = 4 * np.sin(np.arange(12))[:, None, None]
    (file,) = varreg.write_transform(
        varreg.Transform(grid, grid, np.eye(4), nodes), tmp_path / "a.x5"
    )
    field = x5.from_filename(file)[0]
    assert field.inverse is None and "folds" in field.metadata["Inverse"]
    with pytest.raises(InputError, match="without its inverse"):
        varreg.read_transform(file, grid, grid, invert=True)


@pytest.mark.parametrize("name", ["theirs.x5", "theirs.h5"])
def test_an_affine_map_of_theirs(tmp_path, name):
    one = case(3)
    theirs = linear.Affine(one.transform.affine, reference=reference(one.transform.fixed))
    theirs.to_filename(tmp_path / name)
    read = varreg.read_transform(tmp_path / name, *grids(one))
    one.check_points(read.points(one.landmarks), one.affine_only)
    back = varreg.read_transform(tmp_path / name, *grids(one)[::-1], invert=True)
    np.testing.assert_allclose(back.affine @ one.transform.affine, np.eye(4), atol=1e-12)


@pytest.mark.parametrize("deltas", [True, False])
def test_a_chain_of_theirs(tmp_path, deltas):
    """An affine map, then a field on another grid, as displacements or as places."""
    one = case(3)
    fixed, grid = grids(one)
    random = np.random.default_rng(0)
    field = random.uniform(-1, 1, (*grid.shape, 3))
    if not deltas:
        field += np.moveaxis(grid.voxel_to_world(grid.coordinates()).reshape(3, *grid.shape), 0, -1)
    dense = nonlinear.DenseFieldTransform(field, is_deltas=deltas, reference=reference(grid))
    # voxels go to voxels, where it does not matter how a tool interpolates
    affine = linear.Affine(
        grid.affine @ translation(3, 4, 5) @ np.linalg.inv(fixed.affine), reference=reference(fixed)
    )
    chain = manip.TransformChain([affine, dense])
    chain.to_filename(tmp_path / "chain.x5")
    read = varreg.read_transform(tmp_path / "chain.x5", fixed, grid)
    points = voxels_of(fixed)
    np.testing.assert_allclose(read.points(points), chain.map(points), atol=0.01)


def test_a_spline_of_theirs(tmp_path):
    """Also where the spline ends, beyond which coefficients are zero."""
    one = case(3)
    fixed, grid = grids(one)
    knots = fixed.resized((5, 5, 4))
    coefficients = nifti_image(
        np.random.default_rng(0).uniform(-3, 3, (*knots.shape, 3)), knots.affine
    )
    theirs = nonlinear.BSplineFieldTransform(coefficients, reference=reference(fixed))
    x5.to_filename(tmp_path / "spline.x5", [theirs.to_x5()])
    read = varreg.read_transform(tmp_path / "spline.x5", fixed, grid)
    points = fixed.voxel_to_world(
        np.array([[0, 0, 0], [3, 4, 5], [29, 25, 13], [15, 25, 0]], float).T
    ).T
    np.testing.assert_allclose(read.points(points), theirs.map(points), atol=1e-4)


def test_the_command_line_takes_and_writes_it(tmp_path):
    one = case(3)
    save_nifti(tmp_path / "f.nii.gz", one.transform.fixed, np.zeros(one.transform.fixed.shape))
    save_nifti(tmp_path / "m.nii.gz", one.transform.moving, one.image)
    varreg.write_transform(one.transform, tmp_path / "a_", to="ants")
    images = ["--fixed", str(tmp_path / "f.nii.gz"), "--moving", str(tmp_path / "m.nii.gz")]
    whole = [str(tmp_path / name) for name in ("a_1Warp.nii.gz", "w.x5")]
    told = CliRunner().invoke(main, ["convert", *whole, *images])
    assert told.exit_code == 0 and told.stdout.split() == [whole[1]], told.output
    read = varreg.read_transform(whole[1], *grids(one))
    np.testing.assert_allclose(read.nodes, one.transform.nodes, atol=1e-5)


def refused(path, one, kind, words):
    with pytest.raises(kind, match=words):
        varreg.read_transform(path, *grids(one))


def test_files_that_say_too_little_are_refused(tmp_path):
    one = case(3)
    many = linear.LinearTransformsMapping(
        [np.eye(4), np.eye(4)], reference=reference(one.transform.fixed)
    )
    many.to_filename(tmp_path / "series.x5")
    refused(tmp_path / "series.x5", one, InputError, "series of 2")
    two = [linear.Affine(np.eye(4), reference=reference(one.transform.fixed)).to_x5()] * 2
    x5.to_filename(tmp_path / "two.x5", two)
    refused(tmp_path / "two.x5", one, InputError, "2 transforms and 0 chains")
    with pytest.raises(InputError, match="X5 is 3D"):
        varreg.write_transform(case(2).transform, tmp_path / "flat.x5")
    with pytest.raises(InputError, match=r"ends in .x5 or .h5"):
        varreg.write_transform(one.transform, tmp_path / "a.mat", to="x5")
    assert not (tmp_path / "flat.x5").exists()


def test_damaged_files_are_refused(tmp_path):
    one = case(3)
    (file,) = varreg.write_transform(one.transform, tmp_path / "a.x5")
    (tmp_path / "half.x5").write_bytes(file.read_bytes()[:20000])
    refused(tmp_path / "half.x5", one, FileError, "half.x5")
    (tmp_path / "text.x5").write_text("nothing")
    refused(tmp_path / "text.x5", one, FileError, "text.x5")
    with h5py.File(file, "r+") as content:
        content["TransformChain/0"][()] = "0/7"
    refused(file, one, FileError, "chain")
    with h5py.File(tmp_path / "bomb.x5", "w") as content:
        content.attrs["Format"] = "X5"
        node = content.create_group("TransformGroup/0")
        node.attrs["Type"], node.attrs["SubType"] = "nonlinear", "densefield"
        node.create_dataset("Transform", (4000, 4000, 4000, 3), "f8", chunks=True)
        node.create_dataset("Domain/Size", data=[4000] * 3)
        node.create_dataset("Domain/Mapping", data=np.eye(4))
    refused(tmp_path / "bomb.x5", one, FileError, "bomb.x5")
