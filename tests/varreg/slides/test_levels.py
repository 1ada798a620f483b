"""Sizes of slides: regions as they are stored, where they are, and which is registered."""

from __future__ import annotations

import numpy as np
import pytest

import varreg
from varreg.images.accepted import as_image
from varreg.images.pyramid import smaller
from varreg.images.slide_files import open_pyramid

from .synthetic import MICRON, means, texture, write_slide


def opened(path, **given):
    return open_pyramid(varreg.ImageFile(path, **given), "image", "test")


FORMS = {
    "tiles": {},
    "strips": {"tile": None},
    "one strip, as it is": {"tile": None, "compression": None},
    "tiles, as they are": {"compression": None},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["grey", "colour", "channels"])
def test_a_region_is_that_part_of_the_picture(tmp_path, form, kind):
    picture = texture((201, 150))
    if kind == "grey":
        picture = picture[..., :1]
    axes = {"grey": "YX", "colour": "YXS", "channels": "CYX"}[kind]
    stored = {"grey": picture[..., 0], "colour": picture, "channels": np.moveaxis(picture, -1, 0)}[
        kind
    ]
    write_slide(tmp_path / "a.ome.tif", np.ascontiguousarray(stored), axes=axes, **FORMS[form])
    with opened(tmp_path / "a.ome.tif") as slide:
        assert (slide.channels, slide.coloured) == (picture.shape[2], kind == "colour")
        for number, level in enumerate(slide.levels):
            expected = picture if number == 0 else means(picture, 2**number)
            np.testing.assert_array_equal(slide.pixels(number), expected)
            region = slice(7, 50), slice(12, 31)
            np.testing.assert_array_equal(level.read(*region), expected[region])


@pytest.mark.parametrize("shape", [(64, 96), (101, 67)])
def test_all_sizes_show_the_same_place(tmp_path, shape):
    """The middle of what a small pixel is the mean of, in the world of the full size."""
    write_slide(tmp_path / "a.ome.tif", texture(shape), pixel=0.25, levels=3)
    with opened(tmp_path / "a.ome.tif") as slide:
        full, *small = (level.grid for level in slide.levels)
        np.testing.assert_allclose(full.spacing, 0.25 * MICRON)
        for factor, grid in zip((2, 4), small, strict=True):
            np.testing.assert_allclose(grid.spacing, factor * 0.25 * MICRON)
            first = full.voxel_to_world(np.full(2, (factor - 1) / 2))
            np.testing.assert_allclose(grid.voxel_to_world(np.zeros(2)), first)


def test_a_size_that_is_no_whole_part_covers_the_same_field():
    grid = smaller(varreg.Grid.with_spacing((100, 90)), (40, 36))
    np.testing.assert_allclose(
        grid.affine, varreg.Grid.with_spacing((100, 90)).resized((40, 36)).affine
    )


def test_the_size_that_is_registered(tmp_path, monkeypatch):
    picture = texture((160, 120))
    path = write_slide(tmp_path / "a.ome.tif", picture)
    monkeypatch.setattr("varreg.images.pyramid.REGISTERED", 5000)
    image = as_image(path, argument="moving")
    assert (
        image.grid.shape == (80, 60)
        and "size 1 of 3: 80 x 60 pixels of 0.001 x 0.001 mm" in image.notes[0]
    )
    grey = means(picture, 2) @ np.array([0.2125, 0.7154, 0.0721]) / 255
    np.testing.assert_allclose(image.data, grey, atol=1e-6)
    assert as_image(varreg.ImageFile(path, level=0), argument="moving").grid.shape == (160, 120)
    small = as_image(varreg.ImageFile(path, level=-1, spacing=0.002), argument="moving")
    assert small.grid.shape == (40, 30) and np.allclose(small.grid.spacing, 0.008)
    monkeypatch.setattr("varreg.images.pyramid.REGISTERED", 100)
    assert as_image(path, argument="moving").grid.shape == (40, 30)
    monkeypatch.setattr("varreg.images.pyramid.MOST", 1000)
    with pytest.raises(varreg.InputError, match="1200 pixels, too many"):
        as_image(path, argument="moving")


def test_what_there_is_not(tmp_path):
    path = write_slide(
        tmp_path / "a.ome.tif", np.moveaxis(texture((90, 80), channels=2), -1, 0), axes="CYX"
    )
    with pytest.raises(varreg.InputError, match="channels 0 to 1; say which"):
        as_image(path, argument="moving")
    with pytest.raises(varreg.InputError, match="none of number 2"):
        as_image(varreg.ImageFile(path, channel=2), argument="moving")
    assert as_image(varreg.ImageFile(path, channel=1), argument="moving").grid.shape == (90, 80)
    with pytest.raises(varreg.InputError, match="has 3 sizes; `level` must be from 0"):
        as_image(varreg.ImageFile(path, level=3, channel=0), argument="moving")
    with pytest.raises(varreg.InputError, match="whole number"):
        varreg.ImageFile(path, level=1.5)
    with pytest.raises(varreg.InputError, match="for slides"):
        as_image(varreg.ImageFile(_volume(tmp_path), level=1), argument="moving")
    pages = write_slide(
        tmp_path / "z.ome.tif", np.zeros((5, 70, 80), np.uint8), axes="ZYX", levels=1
    )
    with pytest.raises(varreg.InputError, match="axes ZYX"):
        as_image(varreg.ImageFile(pages, level=0), argument="moving")


def test_a_slide_without_a_pixel_size_says_so(tmp_path):
    path = write_slide(tmp_path / "a.ome.tif", texture((90, 80)), pixel=None)
    image = as_image(varreg.ImageFile(path, level=1), argument="moving")
    assert image.grid.spacing.tolist() == [2.0, 2.0] and "unknown size" in image.notes[0]


def _volume(folder):
    import nibabel

    nibabel.save(
        nibabel.Nifti1Image(np.zeros((4, 4, 4), np.float32), np.eye(4)), folder / "v.nii.gz"
    )
    return folder / "v.nii.gz"


# --- OME-Zarr


def stored(folder, array, axes, transformations, version="0.4", unit="micrometer"):
    """An OME-Zarr of one or two sizes, by zarr itself."""
    zarr = pytest.importorskip("zarr", reason="zarr is not installed (extra `pyramid`)")
    form = 2 if version == "0.4" else 3
    group = zarr.open_group(str(folder), mode="w", zarr_format=form)
    names = []
    for number, steps in enumerate(transformations):
        small = array if number == 0 else array[..., ::2, ::2]
        made = group.create_array(
            str(number),
            shape=small.shape,
            chunks=(*(1,) * (small.ndim - 2), 32, 32),
            dtype=small.dtype,
        )
        made[...] = small
        names.append({"path": str(number), "coordinateTransformations": steps})
    described = [
        {"name": a, "type": "channel" if a == "c" else "space"}
        | ({"unit": unit} if a in "yx" and unit else {})
        for a in axes
    ]
    said = {"multiscales": [{"axes": described, "datasets": names, "version": version}]}
    group.attrs.update(said if form == 2 else {"ome": said})
    return folder


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_of_two_versions(tmp_path, version):
    picture = np.moveaxis(texture((70, 90)), -1, 0)[:, None]
    scales = [[{"type": "scale", "scale": [1, 1, 0.5 * 2**k, 0.25 * 2**k]}] for k in range(2)]
    path = stored(tmp_path / "a.ome.zarr", picture, ["c", "z", "y", "x"], scales, version)
    with opened(path) as slide:
        assert slide.coloured and slide.channels == 3
        np.testing.assert_array_equal(
            slide.levels[0].read(slice(3, 40), slice(5, 9)),
            np.moveaxis(picture[:, 0], 0, -1)[3:40, 5:9],
        )
        np.testing.assert_allclose(slide.levels[0].grid.spacing, [0.5 * MICRON, 0.25 * MICRON])
        # without a place the smaller pixels are cells of the larger ones
        np.testing.assert_allclose(
            slide.levels[1].grid.affine[:2, 2], [0.25 * MICRON, 0.125 * MICRON]
        )


def test_places_that_an_ome_zarr_states(tmp_path):
    steps = [
        [
            {"type": "scale", "scale": [2.0, 2.0]},
            {"type": "translation", "translation": [10.0, 20.0]},
        ],
        [
            {"type": "scale", "scale": [4.0, 4.0]},
            {"type": "translation", "translation": [10.0, 20.0]},
        ],
    ]
    path = stored(tmp_path / "a.zarr", texture((70, 90))[..., 0], ["y", "x"], steps)
    with opened(path) as slide:
        for number, size in enumerate((2, 4)):
            expected = np.array([[size, 0, 10], [0, size, 20], [0, 0, 1000]]) * MICRON
            np.testing.assert_allclose(slide.levels[number].grid.affine, expected)


def test_zarr_folders_that_are_no_pictures(tmp_path):
    scale = [[{"type": "scale", "scale": [1, 1, 1]}]]
    path = stored(tmp_path / "t.zarr", np.zeros((3, 40, 40)), ["t", "y", "x"], scale)
    with pytest.raises(varreg.InputError, match="axes t, y, x"):
        as_image(path, argument="moving")
    import zarr

    zarr.open_group(str(tmp_path / "empty.zarr"), mode="w")
    with pytest.raises(varreg.FileError, match="no OME-Zarr picture"):
        as_image(tmp_path / "empty.zarr", argument="moving")
    with pytest.raises(varreg.FileError, match="does not exist"):
        as_image(tmp_path / "absent.zarr", argument="moving")


def test_without_zarr_there_is_a_sentence(tmp_path, monkeypatch):
    import sys

    (tmp_path / "a.ome.zarr").mkdir()
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(varreg.BackendError, match=r"varreg\[pyramid\]"):
        as_image(tmp_path / "a.ome.zarr", argument="moving")
