"""MetaImage, NRRD and DICOM lie where the same volume lies as NIfTI."""

import locale
import time

import numpy as np
import pytest

import varreg
from varreg.errors import FileError, InputError
from varreg.images.accepted import as_image

sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed (extra `io`)")

#: By x, y, z, and oblique.
DATA = np.random.default_rng(0).integers(0, 900, (8, 9, 6)).astype(np.int16)
TURN = [0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1]


def volume(data=DATA):
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.T))
    image.SetSpacing((1.5, 2.0, 3.0))
    image.SetOrigin((-20, 30, 7))
    image.SetDirection(TURN)
    return image


@pytest.fixture(autouse=True)
def spoken():
    """The locale, which writing changes as well."""
    before = locale.setlocale(locale.LC_ALL)
    yield before
    locale.setlocale(locale.LC_ALL, before)


def take(value):
    return as_image(value, argument="moving")


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    path = tmp_path_factory.mktemp("nifti") / "a.nii"
    sitk.WriteImage(volume(), str(path))
    return take(path)


@pytest.mark.parametrize("name", ["a.mha", "a.mhd", "a.nrrd", "a.nhdr"])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_lies_where_its_nifti_lies(tmp_path, wanted, name, compressed, spoken):
    sitk.WriteImage(volume(), str(tmp_path / name), compressed)
    locale.setlocale(locale.LC_ALL, spoken)
    image = take(tmp_path / name)
    assert locale.setlocale(locale.LC_ALL) == spoken  # a reader of NRRD leaves "C" behind
    np.testing.assert_array_equal(image.data, DATA)
    np.testing.assert_allclose(image.grid.affine, wanted.grid.affine, atol=1e-5)
    assert image.name == name and image.placed


def series(folder, number=1):
    """Slices of the volume as DICOM, in files whose names are in no order."""
    folder.mkdir(exist_ok=True)
    image, writer = volume(), sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for z in range(image.GetDepth()):
        part = image[:, :, z]
        place = image.TransformIndexToPhysicalPoint((0, 0, z))
        tags = {
            "0008|0060": "CT", "0020|000e": f"1.2.826.0.1.3680043.2.1125.{number}",
            "0020|0037": "\\".join(map(str, [0.8, 0.6, 0, -0.6, 0.8, 0])),
            "0020|0032": "\\".join(map(str, place)), "0020|0013": str(z), "0008|0008": "DERIVED\\SECONDARY",
            "0028|0030": "2.0\\1.5", "0018|0050": "3.0",
            "0008|0018": f"1.2.826.0.1.3680043.2.1125.{number}.{z + 1}", "0008|0031": time.strftime("%H%M%S"),
        }  # fmt: skip
        for key, value in tags.items():
            part.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{(5 * z + 3) % 7}-{number}.dcm"))
        writer.Execute(part)
    return folder


def test_a_folder_of_dicom_is_one_volume(tmp_path, wanted):
    image = take(series(tmp_path / "scan"))
    np.testing.assert_array_equal(image.data, DATA)
    np.testing.assert_allclose(image.grid.affine, wanted.grid.affine, atol=1e-4)
    assert image.name == "scan"
    one = take(tmp_path / "scan" / "3-1.dcm")
    assert one.grid.shape == (8, 9) and one.frame is not None


def test_folders_that_are_not_one_series_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing")
    with pytest.raises(FileError, match="folder without a DICOM series"):
        take(tmp_path / "empty")
    series(series(tmp_path / "two"), number=2)
    with pytest.raises(FileError, match=r"holds 2 DICOM series: .*\(6 files\)"):
        take(tmp_path / "two")


def test_what_cannot_be_read_is_explained(tmp_path):
    sitk.WriteImage(volume(), str(tmp_path / "a.mha"))
    whole = (tmp_path / "a.mha").read_bytes()
    (tmp_path / "a.mha").write_bytes(
        whole.replace(b"DimSize = 8 9 6", b"DimSize = 80000 90000 60000")
    )
    with pytest.raises(FileError, match="more than the file can hold"):
        take(tmp_path / "a.mha")
    (tmp_path / "b.nrrd").write_text("no image")
    with pytest.raises(FileError, match="cannot be read|neither MetaImage nor NRRD"):
        take(tmp_path / "b.nrrd")
    vectors = sitk.GetImageFromArray(np.ones((6, 9, 8, 3), np.float32), isVector=True)
    sitk.WriteImage(vectors, str(tmp_path / "c.mha"))
    with pytest.raises(InputError, match="3 components"):
        take(tmp_path / "c.mha")
    sitk.WriteImage(volume(), str(tmp_path / "d.mha"))
    with pytest.raises(InputError, match="leave `header` out"):
        take(varreg.ImageFile(tmp_path / "d.mha", header="sform"))
