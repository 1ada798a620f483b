"""ANTs applies what is written, and what ANTs made is read as what ANTs applies."""

from __future__ import annotations

import numpy as np
import pytest

import varreg

from .cases import case, flipped, itk_geometry, peer, texture

ants = peer("ants")
pandas = peer("pandas")


def to_ants(grid, array):
    origin, spacing, direction = itk_geometry(grid)
    return ants.from_numpy(array.astype(np.float32), origin.tolist(), spacing.tolist(), direction)


def warped_by_ants(one, files):
    fixed = to_ants(one.transform.fixed, np.zeros(one.transform.fixed.shape))
    moving = to_ants(one.transform.moving, one.image)
    return ants.apply_transforms(
        fixed, moving, list(map(str, files)), interpolator="linear"
    ).numpy()


def points_by_ants(points, files):
    names = list("xyz")[: points.shape[1]]
    table = pandas.DataFrame(flipped(points), columns=names)
    moved = ants.apply_transforms_to_points(points.shape[1], table, list(map(str, files)))
    return flipped(moved[names].to_numpy())


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("name", ["out_", "out.nii.gz", "out.h5"])
def test_ants_applies_what_is_written(tmp_path, dim, name):
    if name.endswith(".h5"):
        peer("SimpleITK")
    one = case(dim)
    files = varreg.write_transform(one.transform, tmp_path / name, to="ants")
    assert len(files) == (2 if name == "out_" else 1)
    one.check_image(warped_by_ants(one, files))
    one.check_points(points_by_ants(one.landmarks, files))


@pytest.mark.parametrize("dim", [2, 3])
def test_ants_applies_an_affine_map_and_its_inverse(tmp_path, dim):
    one = case(dim)
    files = varreg.write_transform(one.affine_only, tmp_path / "a.mat", to="ants")
    one.check_points(points_by_ants(one.landmarks, files), one.affine_only)
    back = varreg.write_transform(one.affine_only, tmp_path / "b.mat", to="ants", inverse=True)
    again = points_by_ants(one.affine_only.points(one.landmarks), back)
    np.testing.assert_allclose(again, one.landmarks, atol=1e-3)


@pytest.mark.parametrize("dim", [2, 3])
def test_the_inverse_that_is_written_brings_moving_voxels_back(tmp_path, dim):
    one = case(dim)
    transform = one.transform
    files = varreg.write_transform(transform, tmp_path / "inverse_", to="ants", inverse=True)
    # Only at the voxels it is exact, and only those that come from inside the fixed image count.
    random = np.random.default_rng(0)
    size = np.array(transform.moving.shape)
    world = transform.moving.voxel_to_world(random.integers(0, size, (500, dim)).T * 1.0).T
    back = points_by_ants(world, files)
    voxels = transform.fixed.world_to_voxel(back.T)
    limits = np.array(transform.fixed.shape)[:, None] - 1
    inside = np.all((voxels > 0) & (voxels < limits), axis=0)
    assert inside.sum() > 50
    np.testing.assert_allclose(transform.points(back[inside]), world[inside], atol=0.01)


def test_a_registration_by_ants_is_read(tmp_path):
    one = case(2)
    fixed = to_ants(one.transform.fixed, one.transform.warp(one.image))
    moving = to_ants(one.transform.moving, one.image)
    found = ants.registration(
        fixed,
        moving,
        "SyN",
        outprefix=str(tmp_path / "ants_"),
        reg_iterations=(10, 5),
        aff_iterations=(20, 10, 0, 0),
        aff_shrink_factors=(2, 1, 1, 1),
        aff_smoothing_sigmas=(1, 0, 0, 0),
        random_seed=1,
    )
    grids = one.transform.fixed, one.transform.moving
    read = varreg.read_transform(found["fwdtransforms"], *grids)
    theirs = found["warpedmovout"].numpy()
    inside = one.inside
    assert np.abs(read.warp(one.image, fill=0) - theirs)[inside].max() < 1e-3
    np.testing.assert_allclose(
        read.points(one.landmarks), points_by_ants(one.landmarks, found["fwdtransforms"]), atol=0.01
    )
    # the other way: ANTs' own list of the inverse, with the affine map inverted
    inverse = varreg.read_transform(
        found["invtransforms"],
        *grids[::-1],
        invert=[name.endswith(".mat") for name in found["invtransforms"]],
    )
    back = inverse.warp(read.warp(one.image, fill=0), fill=0)
    expected = ants.apply_transforms(
        moving, to_ants(grids[0], read.warp(one.image, fill=0)), found["invtransforms"],
        whichtoinvert=[name.endswith(".mat") for name in found["invtransforms"]],
    ).numpy()  # fmt: skip
    # the field meets the point second here, and is sampled at the moving voxels: images agree there
    assert np.abs(back - expected)[10:-10, 10:-10].max() < 1e-3


def test_two_maps_are_applied_in_the_order_of_the_list(tmp_path):
    """A rotation and a shift do not commute."""
    one = case(3)
    grids = one.transform.fixed, one.transform.moving
    turn, shift = np.eye(4), np.eye(4)
    turn[:2, :2], shift[:3, 3] = [[0, -1], [1, 0]], [10, 0, 0]
    files = [
        varreg.write_transform(varreg.Transform(*grids, matrix), tmp_path / f"{name}.mat", "ants")[
            0
        ]
        for name, matrix in (("turn", turn), ("shift", shift))
    ]
    ours = varreg.read_transform(files, *grids)
    np.testing.assert_allclose(ours.affine, shift @ turn, atol=1e-12)
    np.testing.assert_allclose(
        points_by_ants(one.landmarks, files), ours.points(one.landmarks), atol=1e-3
    )


def test_arrays_without_geometry_are_along_ras(tmp_path):
    """A bare array has the identity in RAS+, so ANTs must be told to look the other way."""
    moving = texture((40, 44))
    grid = varreg.Grid.with_spacing((40, 44))
    transform = varreg.Transform(grid, grid, np.array([[1.0, 0, 3], [0, 1, -5], [0, 0, 1]]))
    files = varreg.write_transform(transform, tmp_path / "a.mat", "ants")
    image = ants.from_numpy(moving, direction=-np.eye(2))
    warped = ants.apply_transforms(image, image, list(map(str, files))).numpy()
    np.testing.assert_allclose(warped[:35, 8:], moving[3:38, 3:39], atol=1e-5)


@pytest.mark.parametrize(
    ("rule", "theirs"), [("linear", "genericLabel"), ("nearest", "nearestNeighbor")]
)
def test_labels_are_brought_over_by_the_same_rules(tmp_path, rule, theirs):
    one = case(3)
    labels = np.digitize(one.image, [-0.7, 0.0, 0.7]).astype(np.int32)
    files = varreg.write_transform(one.transform, tmp_path / "a_", to="ants")
    fixed = to_ants(one.transform.fixed, np.zeros(one.transform.fixed.shape))
    moving = to_ants(one.transform.moving, labels)
    warped = ants.apply_transforms(
        fixed, moving, list(map(str, files)), interpolator=theirs
    ).numpy()
    agree = (warped == one.transform.warp_labels(labels, rule))[one.inside]
    assert agree.mean() > 0.999 and len(np.unique(warped[one.inside])) == 4
