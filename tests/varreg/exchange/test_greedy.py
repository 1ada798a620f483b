"""greedy applies what is written, and what greedy made is read as it applies it."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

import varreg
from varreg.errors import InputError

from .cases import case, peer, save_nifti

greedy = peer("picsl_greedy")


@pytest.fixture(params=[2, 3])
def files(request, tmp_path, capfd):
    """A case, and its two images as files; greedy's own output is kept quiet by capfd."""
    one = case(request.param)
    empty = np.zeros(one.transform.fixed.shape)
    save_nifti(tmp_path / "fixed.nii.gz", one.transform.fixed, empty)
    save_nifti(tmp_path / "moving.nii.gz", one.transform.moving, one.image)
    save_nifti(tmp_path / "target.nii.gz", one.transform.fixed, one.transform.warp(one.image))
    return one, tmp_path


def run(one, command):
    engine = greedy.Greedy2D() if one.dim == 2 else greedy.Greedy3D()
    engine.execute(f"{command} -threads 1")


def resliced(one, folder, transforms):
    names = " ".join(map(str, transforms))
    run(one, f"-rf {folder}/fixed.nii.gz -rm {folder}/moving.nii.gz {folder}/o.nii.gz -r {names}")
    return nibabel.load(folder / "o.nii.gz").get_fdata().squeeze()


@pytest.mark.parametrize("name", ["a_", "a.nii.gz"])
def test_greedy_applies_what_is_written(files, name):
    one, folder = files
    written = varreg.write_transform(one.transform, folder / name, to="greedy")
    assert len(written) == (2 if name == "a_" else 1)
    one.check_image(resliced(one, folder, written))


def test_greedy_moves_landmarks_as_we_do(files):
    """greedy composes field and matrix into one field; at its voxels that is the map of points."""
    one, folder = files
    written = varreg.write_transform(one.transform, folder / "a_", to="greedy")
    names = " ".join(map(str, written))
    run(one, f"-rf {folder}/fixed.nii.gz -r {names} -rc {folder}/all.nii.gz -wp 0")
    grids = one.transform.fixed, one.transform.moving
    read = varreg.read_transform(folder / "all.nii.gz", *grids, format="greedy")
    random = np.random.default_rng(0)
    voxels = random.integers(2, np.array(grids[0].shape) - 2, (100, one.dim))
    points = grids[0].voxel_to_world(voxels.T * 1.0).T
    np.testing.assert_allclose(read.points(points), one.transform.points(points), atol=0.01)


def test_an_affine_map(files):
    one, folder = files
    written = varreg.write_transform(one.affine_only, folder / "a.mat", to="greedy")
    one.check_image(resliced(one, folder, written), one.affine_only)
    grids = one.transform.fixed, one.transform.moving
    read = varreg.read_transform(written, *grids, format="greedy")
    np.testing.assert_array_equal(read.affine, one.transform.affine)
    with pytest.raises(InputError, match="format='greedy'"):
        varreg.read_transform(written, *grids)


def test_a_registration_by_greedy_is_read(files):
    one, folder = files
    pair = f"-i {folder}/target.nii.gz {folder}/moving.nii.gz"
    start = varreg.write_transform(one.affine_only, folder / "start.mat", to="greedy")[0]
    run(one, f"{pair} -a -dof 12 -ia {start} -m SSD -n 20x10 -seed 1 -o {folder}/g.mat")
    run(one, f"{pair} -it {folder}/g.mat -m SSD -n 10x5 -wp 0 -o {folder}/g.nii.gz")
    transforms = [folder / "g.nii.gz", folder / "g.mat"]
    read = varreg.read_transform(
        transforms, one.transform.fixed, one.transform.moving, format="greedy"
    )
    theirs = resliced(one, folder, transforms)
    inside = np.all(
        [
            (c > 1) & (c < n - 2)
            for c, n in zip(read.moving_coordinates(), one.image.shape, strict=True)
        ],
        axis=0,
    )
    assert inside.mean() > 0.5
    np.testing.assert_allclose(read.warp(one.image)[inside], theirs[inside], atol=1e-4)


def test_slices_stored_as_volumes_lose_their_directions_in_greedy(tmp_path, capfd):
    """Why slices are to be stored as 2D files: greedy -d 2 sees others than the header describes."""
    one = case(2)
    seen = []
    for name, grid, array in (
        ("fixed", one.transform.fixed, np.zeros(one.transform.fixed.shape)),
        ("moving", one.transform.moving, one.image),
    ):
        save_nifti(tmp_path / f"{name}.nii.gz", grid, array)
        plane = nibabel.load(tmp_path / f"{name}.nii.gz")
        volume = nibabel.Nifti1Image(plane.get_fdata()[..., None].astype(np.float32), plane.affine)
        volume.to_filename(tmp_path / f"{name}.nii.gz")
        along_lps = np.diag([-grid.spacing[0], -grid.spacing[1], 1.0])
        along_lps[:2, 2] = grid.affine[:2, 2]
        seen.append(varreg.Grid(grid.shape, along_lps))
    (file,) = varreg.write_transform(
        varreg.Transform(*seen, one.transform.affine), tmp_path / "a.mat", to="greedy"
    )
    read = varreg.read_transform(file, *seen, format="greedy")
    pairs = zip(read.moving_coordinates(), one.image.shape, strict=True)
    inside = np.all([(c > 0.5) & (c < n - 1.5) for c, n in pairs], axis=0)
    assert inside.sum() > 50
    theirs = resliced(one, tmp_path, [file])
    np.testing.assert_allclose(read.warp(one.image)[inside], theirs[inside], atol=1e-4)
