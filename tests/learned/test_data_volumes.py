"""From files to arrays: isotropic grids, the cache, slices and patches."""

import os

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learned.data.cuts import Cutter, content_centre, fit, full_slices, random_patch_centre
from learned.data.manifest import Subject
from learned.data.volumes import load_labels, load_volume
from learned.grids import isotropic_grid
from varreg.errors import FileError, InputError, OverlapError
from varreg.geometry.grid import Grid

# array axes that run left, superior, anterior: as many label maps are stored
LSA = np.array([[-1.0, 0, 0, 11], [0, 0, 1, -4], [0, 1, 0, 7], [0, 0, 0, 1]])


def save(path, voxels, affine):
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return path


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def blob(grid, centre):
    """A Gaussian at a place of the world, 6 mm wide."""
    points = grid.voxel_to_world(grid.coordinates())
    off = points - np.reshape(centre, (3, 1, 1, 1))
    return np.exp(-(off**2).sum(0) / 72).astype(np.float32)


def test_voxels_on_the_wanted_grid_are_only_reordered(tmp_path):
    voxels = np.random.default_rng(0).random((5, 6, 7), dtype=np.float32)
    voxels[0, 0, 0], voxels[-1, -1, -1] = -9, 9
    files = [save(tmp_path / f"{k}.nii.gz", voxels + k, LSA) for k in range(2)]
    volume = load_volume(Subject("a", (("T1", files[0]), ("T2", files[1]))))
    assert volume.contrasts == ("T1", "T2") and volume.images.shape == (2, 5, 7, 6)
    assert volume.images.dtype == np.float32
    assert volume.images.min() == 0 and volume.images.max() == 1
    canonical = nibabel.as_closest_canonical(nibabel.load(files[0])).get_fdata()
    inside = (volume.images[0] > 0) & (volume.images[0] < 1)
    slope = np.polyfit(canonical[inside], volume.images[0][inside], 1)
    assert np.allclose(np.polyval(slope, canonical[inside]), volume.images[0][inside], atol=1e-6)


def test_contrasts_on_different_grids_coincide_in_the_world(tmp_path):
    turn = np.array([[0.98, -0.2, 0], [0.2, 0.98, 0], [0, 0, 1]])
    first, second = np.eye(4), np.eye(4)
    first[:3, :3] = LSA[:3, :3] * [1.0, 2.0, 1.5]
    second[:3, :3] = turn * [1.5, 1.0, 1.0]
    grids = [Grid((30, 16, 21), first), Grid((24, 36, 34), second)]
    place = grids[0].centre + [2.0, -3.0, 1.0]
    shifted = second.copy()
    shifted[:3, 3] = grids[0].centre - grids[1].centre
    grids[1] = Grid(grids[1].shape, shifted)
    files = [save(tmp_path / f"{k}.nii", blob(g, place), g.affine) for k, g in enumerate(grids)]
    images = load_volume(Subject("a", (("T1", files[0]), ("T2", files[1])))).images
    target = isotropic_grid(grids[0], 1.0)
    assert images.shape == (2, *target.shape) == (2, 30, 32, 32)
    wanted = target.world_to_voxel(place)
    coordinates = target.coordinates()
    for image in images:
        weight = np.where(image > 0.5, image, 0)
        found = (coordinates * weight).sum((1, 2, 3)) / weight.sum()
        assert np.abs(found - wanted).max() < 0.1


def test_isotropic_grid_keeps_the_field_of_view():
    affine = np.array([[0, 0, 3.0, 1], [-0.7, 0.1, 0, 2], [0.1, 0.7, 0, 3], [0, 0, 0, 1]])
    grid = Grid((20, 30, 10), affine)
    iso = isotropic_grid(grid, 1.0)
    assert np.allclose(iso.spacing, 1) and np.allclose(iso.centre, grid.centre)
    assert np.all(np.abs(iso.extent - grid.extent[[2, 0, 1]]) <= 0.5)
    assert np.all(np.diag(iso.direction) > 0.9)
    with pytest.raises(InputError, match="raise `spacing`"):
        isotropic_grid(Grid((9, 9, 9), np.diag([500.0, 500, 500, 1])), 0.5)


def test_labels_stay_labels(tmp_path):
    labels = np.random.default_rng(0).choice([0, 2, 41, 530], (8, 9, 10)).astype(np.int32)
    path = save(tmp_path / "labels.nii.gz", labels, LSA)
    loaded = load_labels(path)
    canonical = nibabel.as_closest_canonical(nibabel.load(path)).get_fdata()
    assert loaded.dtype == np.int16 and (loaded == canonical).all()
    assert set(np.unique(load_labels(path, spacing=0.7))) <= {0, 2, 41, 530}


@pytest.mark.parametrize("bad", [0.5, -1.0, 40_000.0])
def test_an_image_is_no_label_map(tmp_path, bad):
    voxels = np.zeros((5, 5, 5), np.float32)
    voxels[2, 2, 2] = bad
    with pytest.raises(InputError, match="whole numbers from 0 to 32767"):
        load_labels(save(tmp_path / "x.nii", voxels, np.eye(4)))


def test_bad_volumes_are_refused(tmp_path):
    voxels = np.random.default_rng(0).random((6, 7, 8), dtype=np.float32)
    good = save(tmp_path / "good.nii.gz", voxels, np.eye(4))
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(good.read_bytes()[:-40])
    far = np.eye(4)
    far[:3, 3] = 100
    holes = voxels.copy()
    holes[:] = np.nan
    for path, error, words in (
        (cut, FileError, "cannot be read"),
        (save(tmp_path / "far.nii", voxels, far), OverlapError, "only 0% of .T1. .* is in view"),
        (save(tmp_path / "flat.nii", voxels[0], np.eye(4)), InputError, "it must be a volume"),
        (save(tmp_path / "nan.nii", holes, np.eye(4)), InputError, "NaN"),
    ):
        with pytest.raises(error, match=words):
            load_volume(Subject("a", (("T1", good), ("T2", path))))
    with pytest.raises(InputError, match="`spacing` must be"):
        load_volume(Subject("a", (("T1", good), ("T2", good))), spacing=0)


def test_the_cache_gives_the_same_and_notices_changes(tmp_path, caplog):
    rng = np.random.default_rng(0)
    path = save(tmp_path / "t1.nii", rng.random((6, 7, 8), dtype=np.float32), np.eye(4))
    subject, cache = Subject("a", (("T1", path), ("T2", path))), tmp_path / "cache"
    plain = load_volume(subject).images
    for _ in range(2):
        assert (load_volume(subject, cache=cache).images == plain).all()
    (file,) = cache.iterdir()
    assert file.suffix == ".npy" and isinstance(load_volume(subject, cache=cache).images, np.memmap)
    assert load_volume(subject, 2.0, cache).images.shape == (2, 3, 4, 4)

    file.write_bytes(file.read_bytes()[:-8])
    assert (load_volume(subject, cache=cache).images == plain).all()
    assert "damaged" in caplog.text

    save(path, rng.random((6, 7, 8), dtype=np.float32), np.eye(4))
    os.utime(path, ns=(1, 1))
    assert (load_volume(subject, cache=cache).images != plain).any()


def test_the_cache_holds_no_pickles(tmp_path):
    path = save(tmp_path / "l.nii", np.indices((5, 5, 5))[0].astype(np.int16), np.eye(4))
    labels = load_labels(path, cache=tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert (load_labels(path, cache=tmp_path / "cache") == labels).all()


# --- slices and patches -------------------------------------------------------------------------


@given(st.integers(1, 9), st.integers(1, 9), st.floats(-12, 20))
def test_fit_puts_the_point_in_the_middle(n, wanted, centre):
    array = np.arange(1, n + 1)
    result = fit(array, (wanted,), (centre,))
    position = np.arange(wanted) - (wanted - 1) / 2 + centre
    start = int(np.ceil(position[0] - 0.5))
    assert abs(start - position[0]) <= 0.5 + 1e-9
    expected = [k + 1 if 0 <= k < n else 0 for k in range(start, start + wanted)]
    assert result.tolist() == expected


def test_fit_and_fit_back_is_the_identity():
    array = np.random.default_rng(0).random((2, 5, 8))
    larger = fit(array, (9, 11), (2.0, 3.5))
    assert (fit(larger, (5, 8), (4.0, 5.5)) == array).all()
    with pytest.raises(InputError, match="`shape`"):
        fit(array, (3, 0), (1.0, 1.0))


def test_content_centre():
    assert content_centre(np.zeros((4, 7), bool)) == (1.5, 3.0)
    image = np.zeros((9, 9), bool)
    image[2, 3] = image[5, 8] = True
    assert content_centre(image) == (3.5, 5.5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_with_little_content_are_skipped(axis):
    volume = np.zeros((6, 6, 6), bool)
    for place, count in ((1, 1), (2, 4), (3, 6)):
        volume[:count, :count, place] = True
    moved = np.moveaxis(volume, 2, axis)
    assert full_slices(moved, axis, 0.3).tolist() == [2, 3]
    assert full_slices(moved, axis, 0).tolist() == [1, 2, 3]
    with pytest.raises(InputError, match="full_slices"):
        full_slices(moved, 3, 0.3)


def test_patches_hold_content_and_lie_inside():
    volume = np.zeros((30, 20, 24), bool)
    volume[20:28, 10:, :12] = True
    for seed in range(20):
        centre = random_patch_centre(volume, (8, 8, 40), 0.05, generator(seed))
        assert centre[2] == 5.5  # longer than the volume: the content in the middle
        assert all(3.5 <= c <= n - 4.5 for c, n in zip(centre[:2], volume.shape, strict=False))
        assert fit(volume, (8, 8, 40), centre).mean() >= 0.05


def test_a_cutter_takes_what_lies_where_it_says():
    number = np.arange(2 * 7 * 8 * 9).reshape(2, 7, 8, 9)
    cutter = Cutter([np.ones((7, 8, 9), bool)] * 3, (8, 9), (0, 1, 2))
    cuts = [cutter.draw(generator(seed)) for seed in range(60)]
    assert {cut.volume for cut in cuts} == {0, 1, 2} and {cut.axis for cut in cuts} == {0, 1, 2}
    for cut in cuts:
        piece = cut.of(number)
        assert piece.shape == (2, 8, 9)
        plane = np.take(number, cut.position, axis=1 + cut.axis)
        assert set(piece[piece > 0]) <= set(plane.ravel())
        if cut.axis == 0:
            assert (piece == plane).all()


def test_patches_of_a_cutter():
    number = np.arange(7 * 8 * 9).reshape(7, 8, 9)
    piece = Cutter([number > 0], (4, 5, 6)).draw(generator()).of(number)
    assert piece.shape == (4, 5, 6)
    assert (np.diff(piece, axis=0) == 72).all() and (np.diff(piece, axis=2) == 1).all()


def test_a_cutter_refuses_empty_volumes():
    with pytest.raises(InputError, match="volume 1 .* cannot be used"):
        Cutter([np.ones((5, 5, 5), bool), np.zeros((5, 5, 5), bool)], (4, 4))
    with pytest.raises(InputError, match="`axes`"):
        Cutter([np.ones((5, 5, 5), bool)], (4, 4), ())


@pytest.mark.parametrize("value", [np.nan, 1.0], ids=["nan", "constant"])
def test_an_image_that_is_refused_is_named_with_its_subject(tmp_path, value):
    good = save(tmp_path / "good.nii", np.random.default_rng(0).random((5, 6, 7)), LSA)
    bad = save(tmp_path / "bad.nii", np.full((5, 6, 7), value), LSA)
    with pytest.raises(InputError, match="subject 'Ann'.*`T2`"):
        load_volume(Subject("Ann", (("T1", good), ("T2", bad))))
