"""Headers that leave open where an image is: said, and decided by the user."""

import nibabel
import numpy as np
import pytest

import varreg
from varreg.data.phantom import deformed_pair
from varreg.errors import InputError
from varreg.images.accepted import as_image

AFFINE = np.array([[-1.5, 0, 0, 40], [0, 1.5, 0, -60], [0, 0, 2, 7], [0, 0, 0, 1.0]])
MIRROR = np.diag([-1.0, 1, 1, 1])


def volume(path=None, shape=(8, 9, 7), sform=(AFFINE, 1), qform=(AFFINE, 1), data=None):
    """A NIfTI image with these forms and codes, in memory or in a file."""
    data = np.random.default_rng(0).random(shape, np.float32) if data is None else data
    image = nibabel.Nifti1Image(data, None)
    image.header.set_sform(*sform)
    image.header.set_qform(*qform)
    image = nibabel.Nifti1Image(data, image.header.get_best_affine(), image.header)
    if path is not None:
        nibabel.save(image, path)
    return image


def take(value):
    return as_image(value, argument="moving")


def words(value):
    return [check.sentence for check in take(value).checks]


@pytest.mark.parametrize("qform", [(AFFINE, 1), (MIRROR @ AFFINE, 0)])
def test_headers_that_agree_or_are_not_valid_warn_of_nothing(tmp_path, qform):
    volume(tmp_path / "a.nii", qform=qform)
    assert words(tmp_path / "a.nii") == words(nibabel.load(tmp_path / "a.nii")) == []
    np.testing.assert_allclose(take(tmp_path / "a.nii").grid.affine, AFFINE)


def test_rounding_of_the_quaternion_is_no_contradiction():
    turned = AFFINE.copy()
    c, s = np.cos(0.3), np.sin(0.3)
    turned[:2, :3] = np.array([[c, -s], [s, c]]) @ AFFINE[:2, :3]
    assert words(volume(shape=(200, 200, 150), sform=(turned, 1), qform=(turned, 1))) == []


def test_a_header_without_codes_is_a_guess(tmp_path):
    volume(tmp_path / "a.nii", sform=(AFFINE, 0), qform=(AFFINE, 0))
    (sentence,) = words(tmp_path / "a.nii")
    assert "`moving` does not define the orientation" in sentence and "left and right" in sentence
    assert "header='sform'" in take(tmp_path / "a.nii").checks[0].remedy


@pytest.mark.parametrize(
    ("other", "named"), [(MIRROR @ AFFINE, "mirrored, 53.3 voxels"), (AFFINE + 3 * np.eye(4, k=3), "2 voxels")]
)  # fmt: skip
def test_forms_that_contradict_each_other_are_named(tmp_path, other, named):
    volume(tmp_path / "a.nii", sform=(AFFINE, 2), qform=(other, 1))
    (sentence,) = words(tmp_path / "a.nii")
    assert "sform (code 2)" in sentence and "qform (code 1)" in sentence and named in sentence


def test_what_the_user_says_of_the_header_holds(tmp_path):
    other = MIRROR @ AFFINE
    volume(tmp_path / "a.nii", sform=(AFFINE, 1), qform=(other, 1))
    volume(tmp_path / "b.nii", sform=(AFFINE, 0), qform=(other, 0))
    wanted = {"sform": AFFINE, "qform": other, "pixdim": np.diag([1.5, 1.5, 2, 1])}
    for name in ("a.nii", "b.nii"):
        for header, affine in wanted.items():
            file = varreg.ImageFile(tmp_path / name, header=header)
            np.testing.assert_allclose(take(file).grid.affine, affine, atol=1e-6)
            assert take(file).checks == () and take(file).name == name
    volume(tmp_path / "labels.nii", data=np.full((8, 9, 7), 2**30 + 1, np.int32))
    transform = varreg.Transform(*[varreg.Grid((8, 9, 7), AFFINE)] * 2, np.eye(4))
    same = transform.warp_labels(varreg.ImageFile(tmp_path / "labels.nii", header="sform"))
    assert (same == 2**30 + 1).all()


def test_what_cannot_be_said_of_a_header_is_refused(tmp_path):
    with pytest.raises(InputError, match="`header` must be one of 'sform', 'qform', 'pixdim'"):
        varreg.ImageFile("a.nii", header="srow")
    with pytest.raises(InputError, match="`path` must be a path"):
        varreg.ImageFile(np.eye(4))
    nibabel.save(nibabel.MGHImage(np.ones((4, 4, 4), np.float32), AFFINE), tmp_path / "a.mgz")
    with pytest.raises(InputError, match="whose header has no qform"):
        take(varreg.ImageFile(tmp_path / "a.mgz", header="qform"))


def test_a_guess_stands_in_the_first_line_of_the_result_and_of_the_certificate(tmp_path):
    """Of the same head once without codes: left and right were swapped without a word."""
    pair = deformed_pair((64, 64), np.random.default_rng(0))
    place = {"shape": (64, 64, 1)}
    fixed = volume(data=pair.fixed[..., None], sform=(np.eye(4), 1), qform=(np.eye(4), 1), **place)
    moving = tmp_path / "moving.nii"
    volume(moving, data=pair.moving[..., None], sform=(np.eye(4), 0), qform=(np.eye(4), 0))
    result = varreg.solve(moving, fixed, progress=False)
    assert "does not define the orientation" in str(result).splitlines()[0]
    assert "moving header" in [check.name for check in result.warnings]
    result.save(tmp_path / "saved")
    assert varreg.load(tmp_path / "saved").warnings == result.warnings
    certificate = varreg.certify(moving, fixed, result, iterations=0)
    assert "does not define the orientation" in str(certificate).splitlines()[0]
    said = varreg.solve(varreg.ImageFile(moving, header="sform"), fixed, progress=False)
    assert "moving header" not in [check.name for check in said.warnings]
    error = np.linalg.norm(said.displacement - pair.displacement, axis=0)[pair.mask].mean()
    assert error < 0.5
    with pytest.warns(UserWarning, match="`image` does not define the orientation"):
        result.warp(moving)
