"""Slides through a map, tile by tile: the same as at once, at the full size, in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

import varreg
from varreg.cli.commands import main
from varreg.images.slide_files import open_pyramid
from varreg.slides import tiles, warping

from .synthetic import MICRON, bent, texture, write_slide

FULL = varreg.Grid.with_spacing((301, 259), 0.5 * MICRON)


@pytest.fixture
def slide(tmp_path):
    return write_slide(tmp_path / "a.ome.tif", texture(FULL.shape))


def pixels(path, number=0):
    with open_pyramid(varreg.ImageFile(path), "image", "test") as pyramid:
        return pyramid.pixels(number)


@pytest.mark.parametrize("name", ["out.ome.tif", "out.ome.zarr"])
@pytest.mark.parametrize("kind", ["linear", "nearest"])
def test_tiles_are_the_bits_of_the_whole(tmp_path, slide, monkeypatch, name, kind):
    """As Transform.warp of the whole picture, however small the tiles are and however little may be held."""
    if name.endswith("zarr"):
        pytest.importorskip("zarr", reason="zarr is not installed (extra `pyramid`)")
    transform = bent(FULL)
    monkeypatch.setattr(warping, "_TILE", 64)
    monkeypatch.setattr(tiles, "HELD", 1000)
    path = varreg.warp_slide(transform, slide, tmp_path / name, slide, kind, fill=200)
    whole = [transform.warp(texture(FULL.shape)[..., k], kind, 200) for k in range(3)]
    np.testing.assert_array_equal(pixels(path), np.rint(np.stack(whole, -1)))


def test_a_map_of_a_smaller_size_is_applied_at_the_full_size(tmp_path, slide, monkeypatch):
    small = varreg.Grid((75, 64), np.array([[2, 0, 0.75], [0, 2, 0.75], [0, 0, 1000]]) * MICRON)
    transform = bent(small)
    path = varreg.warp_slide(transform, slide, tmp_path / "out.ome.tif", slide, fill=0)
    found = pixels(path)
    points = np.random.default_rng(0).integers(60, 200, (50, 2))
    there = FULL.world_to_voxel(transform.points(FULL.voxel_to_world(points.T * 1.0).T).T)
    from scipy.ndimage import map_coordinates

    for channel in range(3):
        expected = map_coordinates(texture(FULL.shape)[..., channel].astype(float), there, order=1)
        np.testing.assert_allclose(found[points[:, 0], points[:, 1], channel], expected, atol=0.6)
    monkeypatch.setattr(warping, "_TILE", 32)
    varreg.warp_slide(transform, slide, tmp_path / "tiles.ome.tif", slide, fill=0)
    np.testing.assert_array_equal(pixels(tmp_path / "tiles.ome.tif"), found)


def test_what_is_written_is_read_by_others(tmp_path, slide, monkeypatch):
    """tifffile reads every size and the size of a pixel; smaller sizes are means of the larger."""
    monkeypatch.setattr(warping, "_TILE", 64)
    path = varreg.warp_slide(bent(FULL), slide, tmp_path / "out.ome.tif", slide)
    with tifffile.TiffFile(path) as file:
        assert file.is_ome and 'PhysicalSizeX="0.5"' in (file.ome_metadata or "")
        sizes = [level.asarray() for level in file.series[0].levels]
    assert [size.shape for size in sizes] == [
        (301, 259, 3),
        (151, 130, 3),
        (76, 65, 3),
        (38, 33, 3),
    ]
    for large, small in zip(sizes, sizes[1:], strict=False):
        even = np.pad(large, [(0, n % 2) for n in large.shape[:2]] + [(0, 0)], mode="edge").astype(
            float
        )
        mean = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
        np.testing.assert_array_equal(small, np.rint(mean))


def test_ome_zarr_states_where_its_sizes_are(tmp_path, slide, monkeypatch):
    pytest.importorskip("zarr", reason="zarr is not installed (extra `pyramid`)")
    monkeypatch.setattr(warping, "_TILE", 64)
    path = varreg.warp_slide(bent(FULL), slide, tmp_path / "out.ome.zarr", slide)
    said = json.loads((path / ".zattrs").read_text())["multiscales"][0]
    assert [axis["name"] for axis in said["axes"]] == ["c", "y", "x"]
    second = said["datasets"][1]["coordinateTransformations"]
    assert second[0]["scale"] == [1.0, 1.0, 1.0] and second[1]["translation"] == [0.0, 0.25, 0.25]
    with open_pyramid(varreg.ImageFile(path), "image", "test") as pyramid:
        np.testing.assert_allclose(
            pyramid.levels[1].grid.affine,
            np.array([[1, 0, 0.25], [0, 1, 0.25], [0, 0, 1000]]) * MICRON,
        )
        assert pyramid.coloured


def test_channels_and_labels(tmp_path, monkeypatch):
    """Channels are planes of 16 bits; labels stay what they are, in smaller sizes too."""
    monkeypatch.setattr(warping, "_TILE", 64)
    random = np.random.default_rng(0)
    transform = bent(FULL)
    channels = random.integers(0, 60000, (2, *FULL.shape)).astype(np.uint16)
    path = write_slide(tmp_path / "c.ome.tif", channels, axes="CYX")
    found = pixels(varreg.warp_slide(transform, path, tmp_path / "o.ome.tif", path, fill=7))
    for k, channel in enumerate(channels):
        np.testing.assert_array_equal(found[..., k], np.rint(transform.warp(channel, fill=7)))
    labels = np.digitize(texture(FULL.shape)[..., 0], [100, 150]).astype(np.uint16) * 1000
    path = write_slide(tmp_path / "l.ome.tif", labels, levels=1)
    out = varreg.warp_slide(transform, path, tmp_path / "lo.ome.tif", path, labels=True)
    np.testing.assert_array_equal(pixels(out)[..., 0], transform.warp_labels(labels))
    assert set(np.unique(pixels(out, 2))) == {0, 1000, 2000}


def test_the_output_covers_the_fixed_image_if_nothing_is_said(tmp_path, slide):
    small = FULL.resized((75, 65))
    path = varreg.warp_slide(bent(small), slide, tmp_path / "out.ome.tif")
    assert pixels(path).shape == (301, 259, 3)
    grid = varreg.Grid.with_spacing((100, 80), 1.5 * MICRON)
    path = varreg.warp_slide(bent(small), slide, tmp_path / "grid.ome.tif", grid)
    assert pixels(path).shape == (100, 80, 3)
    path = varreg.warp_slide(
        bent(small), slide, tmp_path / "level.ome.tif", varreg.ImageFile(slide, level=1)
    )
    assert pixels(path).shape == (150, 129, 3)


def test_beyond_the_slide_is_its_background(tmp_path):
    glass = np.full((*FULL.shape, 3), 243, np.uint8)
    glass[80:200, 80:200] = texture((120, 120))
    path = write_slide(tmp_path / "a.ome.tif", glass)
    far = np.eye(3)
    far[0, 2] = -0.05
    found = pixels(
        varreg.warp_slide(varreg.Transform(FULL, FULL, far), path, tmp_path / "o.ome.tif", path)
    )
    assert (found[:90] == 243).all()
    far[0, 2] = -10.0
    found = pixels(
        varreg.warp_slide(varreg.Transform(FULL, FULL, far), path, tmp_path / "p.ome.tif", path)
    )
    assert (found == 243).all()


def test_arguments_that_cannot_be(tmp_path, slide):
    transform, out = bent(FULL), tmp_path / "out.ome.tif"
    turned = varreg.Grid(FULL.shape, np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1.0]]) @ FULL.affine)
    volume = varreg.Grid.with_spacing((8, 8, 8))
    for arguments, kind, words in (
        ((transform, slide, tmp_path / "out.png"), varreg.InputError, "is written as .ome.tif"),
        (
            (transform, tmp_path / "a.png", out),
            varreg.InputError,
            "`image` is .* give the path of a TIFF",
        ),
        (
            (transform, slide, out, slide, "cubic"),
            varreg.InputError,
            "`interpolation` must be one of",
        ),
        ((transform, slide, out, turned), varreg.GeometryError, "turned against"),
        ((transform, slide, out, volume), varreg.InputError, "`reference` is 3D"),
        (
            (varreg.Transform(volume, volume, np.eye(4)), slide, out),
            varreg.InputError,
            "between two slides",
        ),
        (("nothing", slide, out), varreg.InputError, "`transform` is a str"),
        (
            (transform, tmp_path / "absent.tif", out),
            varreg.FileError,
            "`image` .* cannot be read|does not exist",
        ),
    ):
        with pytest.raises(kind, match=words):
            varreg.warp_slide(*arguments)
    with pytest.raises(varreg.InputError, match="whole number from 0 to 255"):
        varreg.warp_slide(transform, slide, out, fill=300)
    out.write_text("mine")
    with pytest.raises(varreg.FileError, match="exists"):
        varreg.warp_slide(transform, slide, out)
    assert out.read_text() == "mine" and len(list(tmp_path.iterdir())) == 2


def test_a_damaged_tile_leaves_nothing_behind(tmp_path, slide):
    content = bytearray(slide.read_bytes())
    with tifffile.TiffFile(slide) as file:
        start = file.series[0].levels[0].pages[0].dataoffsets[7]
    content[start : start + 40] = bytes(40)
    slide.write_bytes(bytes(content))
    with pytest.raises(varreg.FileError, match=r"`image` is 'a.ome.tif', which cannot be read"):
        varreg.warp_slide(bent(FULL), slide, tmp_path / "out.ome.tif", slide)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.ome.tif"]


def call(*arguments, code=0):
    told = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert told.exit_code == code, told.output + told.stderr
    return told


def test_register_and_apply_take_slides(tmp_path):
    """A known shift, found in a small size, brings the full size back."""
    picture = texture((420, 400))
    write_slide(tmp_path / "moving.ome.tif", picture[:384, :384])
    write_slide(tmp_path / "fixed.ome.tif", picture[12:396, 8:392])
    names = tmp_path / "moving.ome.tif", tmp_path / "fixed.ome.tif"
    few = ("--level", "1", "--affine", "translation", "--no-deformable", "-q")
    call("register", *names, "-o", tmp_path / "found", *few)
    call("register", *names, "-o", tmp_path / "at-once.ome.tif", *few)
    call(
        "apply",
        tmp_path / "found",
        names[0],
        "-o",
        tmp_path / "later.ome.tif",
        "--reference",
        names[1],
    )
    found = pixels(tmp_path / "later.ome.tif")
    np.testing.assert_array_equal(found, pixels(tmp_path / "at-once.ome.tif"))
    error = found[:370, :370].astype(float) - picture[12:382, 8:378]
    assert (
        np.sqrt(np.mean(error**2)) < 4
    )  # of 60 grey values; the shift is right to a tenth of a pixel
    call("apply", tmp_path / "found", names[0], "-o", tmp_path / "x.ome.tif", "--inverse", code=2)
    call(
        "apply",
        tmp_path / "found",
        names[0],
        "-o",
        tmp_path / "x.ome.tif",
        "--interpolation",
        "cubic",
        code=2,
    )
    told = call("register", *names, "-o", tmp_path / "later.ome.tif", *few, code=1)
    assert "exists" in told.stderr
    call("apply", tmp_path / "found", names[0], "-o", tmp_path / "small.png")


PEAK = """
import re, sys
import numpy as np, tifffile, varreg
from varreg.geometry.grid import Grid
n, folder = int(sys.argv[1]), sys.argv[2]
grid = Grid.with_spacing((n, n), 0.0005)
small = grid.resized((256, 256))
angle = np.deg2rad(20)
turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
turn[:2, 2] = grid.centre - turn[:2, :2] @ grid.centre
transform = varreg.Transform(small, small, turn, np.random.default_rng(0).normal(0, 1e-4, (2, 32, 32)))
first = varreg.Transform(Grid.with_spacing((64, 64)), Grid.with_spacing((64, 64)), np.eye(3)).warp(np.zeros((64, 64)))
def held(name):
    return int(re.search(rf"{name}:\\s*(\\d+) kB", open("/proc/self/status").read())[1])
before = held("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
varreg.warp_slide(transform, f"{folder}/{n}.ome.tif", f"{folder}/{n}-out.ome.tif", f"{folder}/{n}.ome.tif", threads=1)
print((held("VmHWM") - before) / 1024)
"""


def peak(folder, n):
    """MiB that a slide of n x n pixels takes beyond what is loaded."""
    tile = texture((512, 512))

    def copies():
        for _ in range((n // 512) ** 2):
            yield tile

    tifffile.imwrite(
        folder / f"{n}.ome.tif", copies(), shape=(n, n, 3), dtype=np.uint8, tile=(512, 512), photometric="rgb", compression="zlib", maxworkers=1,
        metadata={"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"},
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(n), str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


@pytest.mark.slow
@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the peak of a process is read as Linux tells it"
)
def test_memory_does_not_grow_with_the_size(tmp_path):
    """8192 x 8192 pixels of colour are 192 MiB; 16 times fewer take as much memory."""
    small, large = peak(tmp_path, 2048), peak(tmp_path, 8192)
    assert large < 100 and large < small + 15, (small, large)
