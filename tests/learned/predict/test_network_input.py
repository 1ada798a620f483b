"""What the network sees of two images."""

import nibabel
import numpy as np
import pytest

import varreg
from learned.data.manifest import Subject
from learned.data.volumes import load_volume
from learned.grids import isotropic_grid, network_grid, resampled
from varreg.errors import OverlapError
from varreg.geometry.grid import Grid
from varreg.images.intensities import unit_intensities
from varreg.images.level_image import LevelImage

from .pairs import (
    SHAPES,
    Known,
    blobs,
    both_dimensions,
    expected_grid,
    image_on,
    oblique,
    pair_on,
    predict,
    shaken,
    some_affine,
    waves,
)


@both_dimensions
def test_network_sees_both_images_in_world_space(d):
    moving, fixed = pair_on(d)
    known = Known(np.eye(d, d + 1))
    predict(known, moving, fixed, SHAPES[d])
    seen = [image[0, 0].numpy() for image in known.seen]
    network = expected_grid(d)
    points = network.voxel_to_world(network.coordinates())
    for image, data in zip((moving, fixed), seen, strict=True):
        where = image.grid.world_to_voxel(points)
        limit = np.array(image.grid.shape).reshape(-1, *[1] * d)
        inside = np.all((where > 1) & (where < limit - 2), axis=0)
        wanted = unit_intensities(np.float32(waves(points)), tuple(map(float, _range(image))))
        assert inside.mean() > 0.2
        assert np.abs(data - wanted)[inside].max() < 0.07
        assert not data[np.any((where < -0.6) | (where > limit - 0.4), axis=0)].any()


def _range(image):
    from varreg.images.intensities import robust_range

    return robust_range(image.data)


@pytest.mark.parametrize("shape", [(32, 32), (30, 31), (31, 25)])
def test_voxels_of_the_same_size_are_taken_as_they_are(shape):
    fixed = Grid.with_spacing(shape, 0.8)
    known = Known(np.eye(2, 3))
    image = varreg.Image.from_array(blobs(shape), spacing=0.8)
    predict(known, image, image, spacing=0.8)
    data = known.seen[1][0, 0].numpy()
    index = np.linalg.solve(fixed.affine, network_grid(fixed, (32, 32), 0.8).affine)
    low = -np.rint(index[:2, 2]).astype(int)
    assert np.abs(index - np.rint(index)).max() < 1e-12 and (low >= 0).all()
    part = data[low[0] : low[0] + shape[0], low[1] : low[1] + shape[1]]
    assert np.array_equal(part, unit_intensities(image.data, None))
    assert data.sum() == pytest.approx(part.sum())


def test_a_hot_voxel_darkens_nothing_that_the_network_sees():
    image, known = blobs((32, 32)), Known(np.eye(2, 3))
    hot = image.copy()
    hot[3, 4] = 100 * image.max()
    predict(known, image, hot)
    moving, fixed = (seen[0, 0].numpy() for seen in known.seen)
    assert fixed[3, 4] == 1
    fixed[3, 4] = moving[3, 4]
    assert np.abs(fixed - moving).max() < 0.02


def test_what_holds_no_data_is_black_to_the_network():
    image, known = blobs((32, 32)), Known(np.eye(2, 3))
    holed = image.copy()
    holed[10:14, 8:20] = np.nan
    prediction = predict(known, holed, image)
    moving = known.seen[0][0, 0].numpy()
    assert (moving[10:14, 8:20] == 0).all() and np.isfinite(moving).all()
    assert np.isnan(prediction.warped.values).sum() == 48
    assert "hold no data" in str(prediction)


def test_a_sheared_grid_is_covered_by_cubic_voxels():
    affine = np.array([[1.2, 0.4, 3.0], [0.0, 0.9, -5.0], [0, 0, 1]])
    fixed = Grid((40, 30), affine)
    grid = network_grid(fixed, (24, 28))
    metric = grid.affine[:2, :2].T @ grid.affine[:2, :2]
    assert np.allclose(metric, metric[0, 0] * np.eye(2))
    corners = fixed.voxel_to_world(np.array([[-0.5, -0.5, 39.5, 39.5], [-0.5, 29.5, -0.5, 29.5]]))
    voxels = grid.world_to_voxel(corners)
    assert (voxels > -0.5 - 1e-9).all() and (voxels.T < np.array(grid.shape) - 0.5 + 1e-9).all()


def test_how_a_volume_is_stored_does_not_matter():
    """Axes in another order and direction with the header that says so: the same map in the world."""
    shape, network = (18, 22, 16), shaken(dimension=3, shape=(16, 16, 16), scales=(1,))
    moving, fixed = (varreg.Image.from_array(blobs(shape, s), spacing=1.1) for s in (0, 1))
    turned = np.ascontiguousarray(fixed.data.transpose(2, 0, 1)[:, ::-1])
    swap = np.array([[0, -1.1, 0, 1.1 * 17], [0, 0, 1.1, 0], [1.1, 0, 0, 0], [0, 0, 0, 1]])
    again = varreg.Image.from_array(turned, affine=swap)
    points = np.random.default_rng(0).uniform(4, 12, (20, 3))
    one, other = (predict(network, moving, f, (16, 16, 16)).points(points) for f in (fixed, again))
    assert np.abs(one - points).max() > 0.05
    assert np.abs(one - other).max() < 1e-3


def test_downsampling_averages_and_upsampling_interpolates():
    noise = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    grid = Grid.with_spacing((64, 64))
    coarse = resampled(LevelImage(noise, None, grid), grid.resized((16, 16)), np.eye(3))
    assert coarse.std() < 0.3 * noise.std()
    ramp = np.indices((8, 8))[0].astype(np.float32)
    fine = resampled(
        LevelImage(ramp, None, Grid.with_spacing((8, 8))),
        Grid.with_spacing((8, 8)).resized((16, 16)),
        np.eye(3),
    )
    assert np.allclose(np.diff(fine[1:-1, 0]), 0.5)


@pytest.mark.parametrize("spacing", [0.8, 2.1])
def test_images_are_resampled_as_for_training(tmp_path, spacing):
    grid = Grid((14, 18, 11), np.diag([-1.2, 0.9, 2.0, 1.0]))
    image = image_on(grid, waves)
    nibabel.save(image.to_nifti(), tmp_path / "t1.nii")
    trained = load_volume(Subject("a", (("T1", tmp_path / "t1.nii"),)), spacing).images[0]
    seen = LevelImage(unit_intensities(image.data, None), None, grid)
    target = isotropic_grid(grid, spacing)
    assert np.abs(resampled(seen, target, np.eye(4)) - trained).max() < 1e-6
    assert network_grid(grid, target.shape, spacing).same_space(target)


def test_slices_of_volumes_meet_in_one_plane():
    """Parallel oblique slices, one stored turned by a quarter, share the frame of the fixed one."""
    volume = oblique((40, 36, 3), (1.0, 1.1, 4.0), 25.0).affine
    data = blobs((40, 36))
    turned = volume @ np.array([[0, 1, 0, 0], [-1, 0, 0, 35], [0, 0, 1, 0.5], [0, 0, 0, 1]])
    fixed = nibabel.Nifti1Image(data[..., None], volume)
    moving = nibabel.Nifti1Image(np.ascontiguousarray(data[:, ::-1].T)[..., None], turned)
    prediction = predict(Known(np.eye(2, 3)), moving, fixed)
    assert np.abs(prediction.warped.data - data)[1:-1, 1:-1].max() < 1e-4
    assert np.array_equal(prediction.transform.frame, prediction.fixed.frame)
    assert np.array_equal(prediction.warp(moving), prediction.warped.data)
    assert np.allclose(prediction.warped.to_nifti().affine, volume, atol=1e-5)


@pytest.mark.parametrize("start", ["centres", "moments", "matrix"])
def test_start_is_where_the_network_looks(start):
    """Images that do not meet are refused, and meet through a start, which is part of the map."""
    fixed = varreg.Image.from_array(blobs((40, 36)), spacing=1.0)
    away = np.eye(3)
    away[:2, 2] = 300, -200
    moving = varreg.Image.from_array(fixed.data, affine=away)
    known = Known(some_affine(2))
    with pytest.raises(OverlapError, match=r"^learned\.predict: .*start='centres'"):
        predict(known, moving, fixed)
    here = predict(known, fixed, fixed)
    seen = known.seen
    prediction = predict(known, moving, fixed, start=away if start == "matrix" else start)
    assert all(np.allclose(*two, atol=1e-5) for two in zip(seen, known.seen, strict=True))
    assert np.allclose(prediction.affine, away @ here.affine, atol=1e-6)
    assert np.allclose(prediction.warped.data, here.warped.data, atol=1e-4)


def test_every_kind_of_image_is_taken(tmp_path):
    moving, fixed = blobs((30, 34)), blobs((30, 34), 1)
    nifti = nibabel.Nifti1Image(moving[..., None], np.eye(4))
    nibabel.save(nifti, tmp_path / "moving.nii.gz")
    network = shaken()
    wanted = predict(network, moving, fixed)
    image = varreg.Image.from_array(fixed)
    for kind in (nifti, tmp_path / "moving.nii.gz", str(tmp_path / "moving.nii.gz")):
        assert np.array_equal(predict(network, kind, image).warped.data, wanted.warped.data)
    named = predict(network, tmp_path / "moving.nii.gz", fixed)
    assert named.moving_name == "moving.nii.gz" and "moving.nii.gz" in named.warped.name
