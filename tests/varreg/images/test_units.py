"""Everything is in mm inside: headers in other units are converted, and no length is taken for a voxel."""

import nibabel
import numpy as np
import pytest

import varreg
from varreg.data.phantom import deformed_pair
from varreg.exchange.composing import inverted
from varreg.images.accepted import as_image

PAIR = deformed_pair((64, 64), np.random.default_rng(0))


def take(value):
    return as_image(value, argument="moving")


def volume(path, size, unit, data=None):
    data = np.random.default_rng(0).random((8, 9, 7), np.float32) if data is None else data
    image = nibabel.Nifti1Image(data, np.diag([size] * 3 + [1.0]))
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize(("unit", "size"), [("micron", 2500.0), ("meter", 0.0025), ("mm", 2.5), (0, 2.5)])  # fmt: skip
def test_headers_in_any_unit_give_millimetres(tmp_path, unit, size):
    image = take(volume(tmp_path / "a.nii", size, unit))
    np.testing.assert_allclose(image.grid.spacing, 2.5, rtol=1e-6)
    assert len(image.notes) == (unit in ("micron", "meter"))
    back = image.to_nifti()
    np.testing.assert_allclose(back.affine, np.diag([2.5] * 3 + [1]), rtol=1e-6)
    assert back.header.get_xyzt_units()[0] == "mm"
    decided = take(varreg.ImageFile(tmp_path / "a.nii", header="pixdim"))
    np.testing.assert_allclose(decided.grid.spacing, 2.5, rtol=1e-6)


def test_a_unit_that_means_nothing_is_none(tmp_path):
    raw = bytearray(volume(tmp_path / "a.nii", 2.0, "mm").read_bytes())
    raw[123] = 5  # xyzt_units
    (tmp_path / "a.nii").write_bytes(raw)
    np.testing.assert_allclose(take(tmp_path / "a.nii").grid.spacing, 2.0)


def test_microns_are_brought_onto_millimetres(tmp_path):
    """They were taken for mm: 50 000 voxels apart, and 100 % inside."""
    moving = volume(tmp_path / "moving.nii", 500.0, "micron", PAIR.moving[..., None])
    fixed = volume(tmp_path / "fixed.nii", 0.5, "mm", PAIR.fixed[..., None])
    result = varreg.solve(moving, fixed, progress=False)
    error = np.linalg.norm(result.displacement - PAIR.displacement, axis=0)[PAIR.mask].mean()
    assert error < 0.5
    assert "The header of `moving` is in units of 0.001 mm (micron)" in str(result)


@pytest.mark.parametrize("size", [1e-4, 1e3])
def test_no_length_is_absolute(size):
    """Of voxels of 0.1 micron the inverse was off by 0.64 voxels, and said to have converged."""
    moving, fixed = (varreg.Image.from_array(i, spacing=size) for i in (PAIR.moving, PAIR.fixed))
    result = varreg.solve(moving, fixed, progress=False)
    plain = varreg.solve(PAIR.moving, PAIR.fixed, progress=False)
    assert np.abs(result.displacement - plain.displacement)[:, PAIR.mask].mean() < 0.05
    inverse = result.inverse()
    assert inverse.converged and inverse.residual < 2e-4 * size
    there = result.points([[20.0, 30]], space="voxel")
    np.testing.assert_allclose(inverse.points(there, space="voxel"), [[20, 30]], atol=1e-3)
    written = inverted(result.transform).points(there, space="voxel")
    np.testing.assert_allclose(written, [[20, 30]], atol=0.05)
    certificate = varreg.certify(moving, fixed, result, iterations=0)
    assert (
        certificate.inverse.largest <= certificate.inverse.tolerance == pytest.approx(1e-4 * size)
    )
    assert [c.name for c in certificate.warnings] == [c.name for c in result.warnings]
    assert "0.00 mm on average" not in str(result)


# -- pictures

GREY = (np.random.default_rng(0).random((20, 30)) * 255).astype(np.uint8)


def tiff(path, **settings):
    import tifffile

    tifffile.imwrite(path, GREY, photometric="minisblack", **settings)
    return path


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"resolution": (20000, 10000), "resolutionunit": 3}, (0.001, 0.0005)),  # per cm, columns first
        ({"resolution": (254, 508), "resolutionunit": 2}, (0.05, 0.1)),  # per inch
        ({"resolution": (2, 4), "imagej": True, "metadata": {"unit": "um"}}, (0.00025, 0.0005)),
        ({"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}}, (0.00025, 0.0005)),
        ({"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 3, "PhysicalSizeXUnit": "mm", "PhysicalSizeY": 4000}}, (4.0, 3.0)),
    ],
    ids=["cm", "inch", "imagej", "ome", "ome units"],
)  # fmt: skip
def test_the_pixel_size_that_a_tiff_states_is_read(tmp_path, settings, wanted):
    image = take(
        tiff(tmp_path / "a.ome.tif" if "ome" in settings else tmp_path / "a.tif", **settings)
    )
    np.testing.assert_allclose(image.grid.spacing, wanted)
    np.testing.assert_array_equal(image.data, GREY)
    assert image.placed and "states a pixel size" in image.notes[0]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"resolution": (72, 72), "resolutionunit": 2},  # of a screen
        {"resolution": (7, 7), "resolutionunit": 1},  # of nothing
        {"resolution": (0, 0), "resolutionunit": 3},
        {"ome": True, "metadata": {"axes": "YX"}},
        {"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": -1.0, "PhysicalSizeY": 1.0}},
    ],
)
def test_a_tiff_that_states_no_size_has_pixels_of_a_millimetre(tmp_path, settings):
    image = take(tiff(tmp_path / ("a.ome.tif" if "ome" in settings else "a.tif"), **settings))
    assert image.grid.spacing.tolist() == [1, 1] and not image.placed and image.notes == ()


def test_what_the_user_says_of_a_picture_holds(tmp_path):
    stated = tiff(tmp_path / "a.tif", resolution=(20000, 10000), resolutionunit=3)
    for spacing, wanted in ((2.0, [2, 2]), ((2.0, 3.0), [2, 3])):
        assert take(varreg.ImageFile(stated, spacing=spacing)).grid.spacing.tolist() == wanted
    with pytest.raises(varreg.GeometryError, match="spacing"):
        varreg.ImageFile(stated, spacing=-1)
    with pytest.raises(varreg.InputError, match="its voxel sizes; leave `spacing` out"):
        take(varreg.ImageFile(volume(tmp_path / "a.nii", 1.0, "mm"), spacing=2.0))


def test_a_written_tiff_states_the_size_again(tmp_path):
    from varreg.io.files import write_image

    image = take(varreg.ImageFile(tiff(tmp_path / "a.tif"), spacing=(0.0005, 0.001)))
    write_image(tmp_path / "b.tif", image.data, like=image)
    np.testing.assert_allclose(take(tmp_path / "b.tif").grid.spacing, [0.0005, 0.001], rtol=1e-6)


def test_sizes_that_only_one_of_two_images_has_are_warned_of(tmp_path):
    sized = tiff(tmp_path / "a.tif", resolution=(20000, 20000), resolutionunit=3)
    moving, fixed = varreg.images.accepted.as_pair(sized, GREY[::-1])
    assert [check.name for check in moving.checks] == ["voxel sizes"] and fixed.checks == ()
    assert "`fixed` has no voxel size" in moving.checks[0].sentence
    for pair in (
        (GREY, GREY[::-1]),
        (sized, sized),
        (take(GREY), varreg.Image.from_array(GREY, spacing=1.1)),
    ):
        assert varreg.images.accepted.as_pair(*pair)[0].checks == ()
