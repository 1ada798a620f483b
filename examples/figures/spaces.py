"""Draw the two pictures of docs/conventions.md: which way a map goes, and the three spaces.

python examples/figures/spaces.py [FOLDER]
"""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import nibabel
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.patches import ConnectionPatch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

import varreg

Array = NDArray[np.float64]
IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
POINT, BACK, GREEN, LPS = "#0068b8", "#d35400", "#2c8a45", "#8e44ad"
SIZE, DPI = 10, 150  # of letters, points; of 1050 pixels, shown at 700


def slices() -> tuple[Array, Array]:
    """A slice of the MNI template, (197, 233), and one that looks like its T2; RAS+, 1 mm."""
    folder = files("nilearn") / "datasets" / "data"
    names = (f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz" for name in ("t1", "gm", "wm"))
    t1, grey, white = (nibabel.load(folder / name).get_fdata()[:, :, 82] / 255 for name in names)
    return t1, (t1 > 0) * (1 - grey - white) + 0.6 * grey + 0.4 * white


def turn(degrees: float) -> Array:
    """The matrix of a rotation in the plane."""
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def direction() -> plt.Figure:
    """Fixed point -> moving point, and the image pulled back the other way."""
    t1, moving = slices()
    grid = varreg.Grid.with_spacing(t1.shape)
    affine, x = np.eye(3), np.indices(t1.shape)
    affine[:2, :2] = turn(-12)
    affine[:2, 2] = grid.centre - affine[:2, :2] @ grid.centre + [6, -4]
    bend = np.stack([7 * np.sin(x[1] / 26), 6 * np.cos(x[0] / 24)])
    transform = varreg.Transform(grid, grid, affine, bend)
    fixed, warped = transform.warp(t1), transform.warp(moving)
    x = np.array([78.0, 146.0])
    y = transform.points(x, space="voxel")

    figure, axes = plt.subplots(1, 3, figsize=(7, 3.75))
    figure.subplots_adjust(0.005, 0.115, 0.995, 0.87, 0.03)
    shown = (("fixed", fixed), ("moving", moving), ("warped", warped))
    for ax, (name, image) in zip(axes, shown, strict=True):
        ax.imshow(image.T, cmap="gray", origin="lower", interpolation="bilinear")
        ax.set_xlabel(name, fontsize=SIZE)
        ax.set(xlim=(9, 188), ylim=(14, 220), xticks=[], yticks=[])
    for ax in axes:
        for axis in (0, 1):
            for place in np.arange(10, t1.shape[axis], 24):
                line = np.full((2, 200), float(place))
                line[1 - axis] = np.linspace(0, t1.shape[1 - axis] - 1, 200)
                ends = transform.points(line.T, space="voxel").T if ax is axes[1] else line
                ax.plot(*ends, color="#58c470", linewidth=0.8)
    for ax, place in zip(axes, (x, y, x), strict=True):
        ax.plot(*place, "o", color=POINT if ax is not axes[2] else BACK, mec="white", ms=8)
    style = {"arrowstyle": "-|>", "mutation_scale": 18, "linewidth": 2.2, "coordsB": "data"}
    style |= {"connectionstyle": "arc3,rad=-0.45", "shrinkA": 5, "shrinkB": 5}
    for first, ends, colour in ((0, (x, y), POINT), (1, (y, x), BACK)):
        pair = {"axesA": axes[first], "axesB": axes[first + 1]}
        figure.add_artist(ConnectionPatch(*ends, "data", color=colour, **pair, **style))
    words = {"fontsize": SIZE, "ha": "center", "va": "center"}
    there, back = "A point goes fixed → moving:", "The value there is brought back:"
    figure.text(0.335, 0.94, f"{there}\n$y = A(x + u(x))$", color=POINT, **words)
    figure.text(0.735, 0.94, f"{back}\nwarped$(x)$ = moving$(y)$", color=BACK, **words)
    grid = "green: a grid of the fixed image, and where the map takes it"
    figure.text(0.5, 0.03, grid, color=GREEN, **words)
    return figure


def spaces() -> plt.Figure:
    """Voxel, mm and world of an oblique slice whose first axis runs to the patient's left."""
    t1, _ = slices()
    spacing, shape = np.array([6.0, 9.0]), (28, 22)
    header = np.eye(3)
    header[:2, :2] = turn(-20) @ np.diag([-spacing[0], spacing[1]])
    header[:2, 2] = -header[:2, :2] @ (np.array(shape) - 1) / 2
    grid, whole = varreg.Grid(shape, header), np.eye(3)
    whole[:2, 2] = [-98, -112]  # the middle of the template is about the origin
    seen = varreg.Transform(grid, varreg.Grid(t1.shape, whole), np.eye(3))
    image = seen.warp(gaussian_filter(t1, 3))
    voxel = np.array([8.0, 15.0])
    places = voxel, voxel * spacing, grid.voxel_to_world(voxel)

    figure, axes = plt.subplots(1, 3, figsize=(7, 3.2), width_ratios=[1.05, 1.05, 1.5])
    figure.subplots_adjust(0.04, 0.15, 0.995, 0.92, 0.2)
    corners = np.indices((shape[0] + 1, shape[1] + 1)) - 0.5
    maps = (corners, corners * spacing[:, None, None], grid.voxel_to_world(corners))
    titles = ("voxel: index $(i, j)$", "mm: index × spacing", "world: RAS+ mm, by the header")
    for ax, place, where, title in zip(axes, places, maps, titles, strict=True):
        ax.pcolormesh(*where, image, cmap="gray", edgecolor="#77777766", linewidth=0.2)
        ax.plot(*place, "o", color=POINT, mec="white", ms=8, zorder=5)
        ax.set_title(title, fontsize=SIZE)
        ax.set_aspect("equal", anchor="N")
        ax.tick_params(labelsize=SIZE - 2)
        ax.set_xlabel("({:.0f}, {:.0f})".format(*place), fontsize=SIZE, color=POINT)
        arrow(ax, where[:, 0, 0], where[:, 12, 0], BACK, "axis 0", where[:, 17, 1])
        arrow(ax, where[:, 0, 0], where[:, 0, 9], BACK, "axis 1", where[:, 4, 10])
    axes[2].set(xlim=(-150, 125), ylim=(-150, 138))
    both = *places[2], *-places[2]
    axes[2].set_xlabel("RAS+ ({:.0f}, {:.0f}), in LPS+ ({:.0f}, {:.0f})".format(*both))
    for step, name in (((1, 0), "R"), ((0, 1), "A"), ((-1, 0), "L"), ((0, -1), "P")):
        ahead, colour = np.array(step), GREEN if name in "RA" else LPS
        arrow(axes[2], np.zeros(2), 55 * ahead, colour, name, 68 * ahead)
    return figure


def arrow(ax: plt.Axes, start: Array, end: Array, colour: str, name: str, place: Array) -> None:
    """An arrow, and its name at a place."""
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": 2.2, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops=style, zorder=4)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    words = {"ha": "center", "va": "center", "fontsize": SIZE - 1, "fontweight": "bold"}
    ax.text(*place, name, color=colour, bbox=box, **words)


def main() -> None:
    """Write both pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=IMAGES)
    folder = parser.parse_args().folder
    for draw, colours in ((direction, 64), (spaces, 255)):  # below 120 kB
        figure = draw()
        file = folder / f"{draw.__name__}.png"
        figure.savefig(file, dpi=DPI, facecolor="white")
        plt.close(figure)
        Image.open(file).convert("RGB").quantize(colours).save(file, optimize=True)
        print(file)


if __name__ == "__main__":
    main()
