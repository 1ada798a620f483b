"""
Whole-slide images at full resolution
=====================================

Slide scanners write pyramids: the same picture at several resolutions, each half of the previous one.  The map between
two slides is smooth, so a coarse level is sufficient to estimate it.  This example generates two such
files, registers them at a quarter of the resolution, and warps the full resolution tile by tile, in memory that does not
depend on the size of the slides.
"""

# %%
# Two slides
# ----------
# ``lay`` is the map of the simulation: pixel ``x`` of the first section corresponds to ``lay(x)`` in the second.  The stains
# show the same tissue in different colours, one of them dark where the other is bright.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import tifffile

import varreg

n = 1600
x = np.indices((n, n)).astype(float)
angle = np.deg2rad(6)
turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def lay(points):
    """Where points (2, ...) of the first slide are in the second, pixels."""
    shape = (2,) + (1,) * (points.ndim - 1)
    bent = points + 9 * np.sin(points[::-1] / 170)
    return np.tensordot(turn, bent - n / 2, 1) + n / 2 + np.reshape([20, -35], shape)


def tissue(place):
    """A number for each pixel at `place`: waves that do not repeat, and rings sixteen pixels apart."""
    row, column = place
    waves = np.sin(row / 31) * np.cos(column / 47) + np.sin((row + 2 * column) / 83)
    rings = np.cos(np.hypot(row % 200 - 100, column % 200 - 100) / 2.5)
    inside = np.hypot(row - n / 2, column - n / 2) < 0.42 * n
    return np.where(inside, 2.5 + waves + 0.4 * rings, 0)


def stained(amount, colour):
    """RGB, uint8, of what absorbs light in a colour."""
    return (255 * np.exp(-0.3 * amount[..., None] * np.array(colour))).astype(np.uint8)


origin = x.copy()  # where the pixels of the second slide are in the first: lay, inverted
for _ in range(40):
    origin -= lay(origin) - x
other = tissue(origin)
first = stained(tissue(x), (0.4, 1.5, 0.6))
second = stained(np.where(other > 0, 5 - other, 0), (1.2, 0.5, 1.1))

# %%
# Files in the format of a scanner
# --------------------------------
# The files contain tiles, coarser levels in sub-files, and the pixel size of half a micrometre.

folder = Path(tempfile.mkdtemp())


def write_slide(name, picture):
    """An OME-TIFF of four sizes."""
    sizes = {
        f"PhysicalSize{axis}{end}": v for axis in "XY" for end, v in (("", 0.5), ("Unit", "µm"))
    }
    form = {"photometric": "rgb", "tile": (256, 256), "compression": "zlib"}
    with tifffile.TiffWriter(folder / name, ome=True) as file:
        file.write(picture, subifds=3, metadata={"axes": "YXS", **sizes}, **form)
        for factor in (2, 4, 8):
            small = picture.reshape(n // factor, factor, n // factor, factor, 3).mean((1, 3))
            file.write(small.astype(np.uint8), subfiletype=1, **form)
    return folder / name


fixed, moving = write_slide("first.ome.tif", first), write_slide("second.ome.tif", second)

# %%
# Registration at a quarter of the resolution
# -------------------------------------------
# The default is the finest level of at most four million pixels, which here would be full resolution.
# The map is in millimetres, independent of the level.

result = varreg.solve(varreg.ImageFile(moving, level=2), varreg.ImageFile(fixed, level=2))
print(result)

# %%
# Warping at full resolution
# --------------------------
# The output has the full resolution of the slide ``reference``.  On the command line:
#
# .. code-block:: sh
#
#     varreg register second.ome.tif first.ome.tif --level 2 -o registered
#     varreg apply registered second.ome.tif -o second-on-first.ome.tif --reference first.ome.tif

warped = varreg.warp_slide(result, moving, folder / "second-on-first.ome.tif", reference=fixed)

random = np.random.default_rng(0)
points = random.uniform(0.3 * n, 0.7 * n, (400, 2))
found = result.points(points * 0.0005) / 0.0005  # half a micrometre, in mm
error = np.linalg.norm(found - lay(points.T).T, axis=1)
before = np.linalg.norm(points - lay(points.T).T, axis=1)
print(f"error in pixels of the full size: median {np.median(error):.2f}, at most {error.max():.2f}")
print(f"before: median {np.median(before):.0f}")

# %%
# Comparison at full resolution
# -----------------------------
# At the registered level the rings are four pixels apart; at full resolution they coincide, bright in one stain and
# dark in the other.

with tifffile.TiffFile(warped) as file:
    sizes = [level.asarray() for level in file.series[0].levels]
print("sizes of what was written:", [size.shape for size in sizes])
part = np.s_[740:940, 750:950]
half = np.arange(200) < 100
tiles = (half[:, None] == half[None])[..., None]
shown = (
    ("first (fixed)", first),
    ("second (moving)", second),
    ("second on first", sizes[0]),
    ("first, a part", first[part]),
    ("second on first, that part", sizes[0][part]),
    ("checkerboard", np.where(tiles, first[part], sizes[0][part])),
)
figure, axes = plt.subplots(2, 3, figsize=(12, 8), layout="constrained")
for ax, (title, image) in zip(axes.flat, shown, strict=True):
    ax.imshow(image)
    ax.set_title(title)
    ax.axis("off")
plt.show()
