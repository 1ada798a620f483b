"""Image objects of other libraries: taken where they are, and given back where they belong."""

import importlib.util
import os
import subprocess
import sys
import warnings

import nibabel
import numpy as np
import pytest

import varreg
from varreg.data.phantom import deformed_pair
from varreg.errors import InputError
from varreg.images.accepted import as_image, as_mask

TURN = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1.0]])
AFFINE = np.eye(4)
AFFINE[:3, :3] = TURN * [-1.5, 2.0, 2.5]
AFFINE[:3, 3] = [30, -20, 7]
#: ITK ends a process that has loaded the others too with a segmentation fault, after all is done: it has its own.
ALONE = "VARREG_TEST_ITK_ALONE"
KINDS = ("itk",) if os.environ.get(ALONE) else ("SimpleITK", "ants", "monai")
#: ITK crashes if the warnings that its own modules cause when they are loaded, one by one, are made errors.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def volume(shape=(6, 7, 8), seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def needed(module):
    """A library, or no test; what it deprecates while it is imported is its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(module, reason=f"{module} is not installed")


def through_a_file(kind, data, affine, tmp_path):
    """An image as a library itself reads it from a NIfTI file: the judge is nobody of ours."""
    nibabel.save(nibabel.Nifti1Image(data, affine), tmp_path / "a.nii")
    library = needed(kind)
    path = str(tmp_path / "a.nii")
    if kind == "itk":
        return library.imread(path)
    if kind == "SimpleITK":
        return library.ReadImage(path)
    if kind == "ants":
        return library.image_read(path)
    from monai.transforms import LoadImage

    return LoadImage(reader="NibabelReader", image_only=True, ensure_channel_first=True)(path)


def take(value):
    return as_image(value, argument="moving")


@pytest.mark.slow
@pytest.mark.skipif(ALONE in os.environ, reason="this is that process")
def test_itk_in_a_process_of_its_own():
    if importlib.util.find_spec("itk") is None:
        pytest.skip("itk is not installed")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        __file__,
        "-k",
        "itk",
    ]
    ended = subprocess.run(
        command, env={**os.environ, ALONE: "1"}, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0 and " passed" in ended.stdout, ended.stdout[-2000:]


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_of_another_library_lies_where_its_file_lies(kind, tmp_path):
    data = volume()
    image = take(through_a_file(kind, data, AFFINE, tmp_path))
    np.testing.assert_array_equal(image.data, data)
    np.testing.assert_allclose(image.grid.affine, AFFINE, atol=1e-5)
    assert image.placed


@pytest.mark.parametrize("kind", KINDS)
def test_what_goes_back_is_of_the_same_class_and_place(kind, tmp_path):
    came = through_a_file(kind, volume(), AFFINE, tmp_path)
    back = take(volume(seed=1)).holding(volume(seed=1), "")
    image = varreg.Image.from_array(back.data, affine=AFFINE)
    found = image.like(came)
    assert type(found) is type(came)
    again = take(found)
    np.testing.assert_array_equal(again.data, volume(seed=1))
    np.testing.assert_allclose(again.grid.affine, AFFINE, atol=1e-5)
    if kind == "monai":
        assert found.shape == came.shape


@pytest.mark.parametrize("kind", KINDS)
def test_registration_of_objects_is_that_of_their_files(kind, tmp_path):
    rng = np.random.default_rng(0)
    pair = deformed_pair((32, 32, 32), rng)
    fixed = through_a_file(kind, pair.fixed, AFFINE, tmp_path)
    moving = through_a_file(kind, pair.moving, AFFINE, tmp_path)
    settings = {"levels": (2,), "iterations": 2, "affine_iterations": 2, "progress": False}
    result = varreg.solve(moving, fixed, **settings)
    files = [nibabel.Nifti1Image(data, AFFINE) for data in (pair.moving, pair.fixed)]
    wanted = varreg.solve(*files, **settings)
    np.testing.assert_allclose(result.displacement, wanted.displacement, atol=0.02)
    np.testing.assert_allclose(result.warp(moving), result.warped.values, atol=1e-6)
    labels = through_a_file(kind, (pair.labels_moving == 3).astype(np.uint8), AFFINE, tmp_path)
    assert result.warp_labels(labels).shape == (32, 32, 32)
    mask = through_a_file(kind, (pair.labels_fixed > 0).astype(np.uint8), AFFINE, tmp_path)
    inside = as_mask(mask, take(fixed), argument="fixed_mask")
    np.testing.assert_array_equal(inside, pair.labels_fixed > 0)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "monai"])
def test_slices_of_other_libraries_are_by_x_and_y(kind):
    library = needed(kind)
    data = volume((6, 9))
    if kind == "ants":
        image = library.from_numpy(data, origin=(3.0, 4.0), spacing=(0.5, 2.0))
    else:
        make = getattr(library, "GetImageFromArray", None) or library.image_from_array
        image = make(np.ascontiguousarray(data.T))
        image.SetSpacing([0.5, 2.0])
        image.SetOrigin([3.0, 4.0])
    found = take(image)
    np.testing.assert_array_equal(found.data, data)
    np.testing.assert_allclose(found.grid.affine, [[-0.5, 0, -3], [0, -2, -4], [0, 0, 1]])
    np.testing.assert_array_equal(take(found.like(image)).data, data)


def test_several_components_or_channels_are_refused(tmp_path):
    sitk = needed("SimpleITK")
    vector = sitk.GetImageFromArray(volume((6, 7, 8, 3)), isVector=True)
    with pytest.raises(InputError, match="`moving` is a Image with 3 components"):
        take(vector)
    monai = needed("monai.data")
    with pytest.raises(InputError, match="3 channels"):
        take(monai.MetaTensor(volume((3, 6, 7, 8)), affine=AFFINE))


def test_an_image_is_as_an_array_in_computations():
    data = volume((6, 7))
    data[2, 3] = np.nan
    image = varreg.Image.from_array(data)
    np.testing.assert_array_equal(np.asarray(image), data)
    assert np.asarray(image, np.float64).dtype == np.float64
    assert np.array(image, copy=True) is not image.values
    assert (image.shape, image.ndim, len(image), image.dtype) == ((6, 7), 2, 6, np.float32)
    np.testing.assert_array_equal(image[1:3, ::2], data[1:3, ::2])
    other = volume((6, 7), 1)
    pairs = [
        (image - other, data - other), (other - image, other - data), (image + 1, data + 1), (2 * image, 2 * data),
        (image / other, data / other), (1 / image, 1 / data), (-image, -data), (abs(image), abs(data)),
        (image**2, data**2), (image * image, data * data), (1 + image, 1 + data), (np.sqrt(image), np.sqrt(data)),
        (np.nanmean(image), np.nanmean(data)),
    ]  # fmt: skip
    for found, wanted in pairs:
        np.testing.assert_array_equal(found, wanted)
    assert image == image and image != varreg.Image.from_array(data) and {image}  # noqa: PLR0124


def test_an_image_is_shown_by_matplotlib():
    from matplotlib.figure import Figure

    data = volume((6, 7))
    shown = Figure().subplots().imshow(varreg.Image.from_array(data))
    np.testing.assert_array_equal(np.asarray(shown.get_array()), data)


def test_what_is_no_object_gives_back_arrays_and_nibabel_images():
    image = varreg.Image.from_array(volume(), affine=AFFINE)
    assert image.like(image) is image
    np.testing.assert_array_equal(image.like(np.zeros(2)), image.data)
    np.testing.assert_allclose(image.like(image.to_nifti()).affine, AFFINE)


@pytest.mark.parametrize("suffix", [".nii.gz", ".mgz"])
def test_an_image_saves_itself(tmp_path, suffix):
    image = varreg.Image.from_array(volume(), affine=AFFINE)
    image.save(tmp_path / f"a{suffix}")
    again = take(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(again.data, image.data)
    np.testing.assert_allclose(again.grid.affine, AFFINE, atol=1e-5)
    with pytest.raises(varreg.FileError, match="exists"):
        image.save(tmp_path / f"a{suffix}")
    image.save(tmp_path / f"a{suffix}", overwrite=True)
