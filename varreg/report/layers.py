"""Picture layers of the page: one sprite per plane and layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .field import full_colour, with_arrows
from .pictures import (
    EDGE_COLOUR,
    GRID_COLOUR,
    determinant_colours,
    edge_thresholds,
    edges,
    level_lines,
    soft_line,
    tinted,
    to_bytes,
)
from .subject import Subject
from .tiles import Stack, sprite, stacks

Float = NDArray[np.floating]
Pixels = NDArray[np.uint8]

#: Number of grid lines along the longer side of a plane.
GRID_LINES = 20
#: WebP qualities: of images and colours, and of lines, whose opacity is lossless.
QUALITY_2D, QUALITY_3D, QUALITY_LINES = 88, 72, 60
#: Standard deviation of the Gaussian before edge detection, in voxels (at least a pixel).
EDGE_SMOOTHING = 1.3


@dataclass(frozen=True)
class PlaneLayers:
    """One plane and its sprites.

    Attributes
    ----------
    stack : Stack
    sprites : dict
        Layer -> data URI: fixed, before, after, edges, grid, field, determinant.
    """

    stack: Stack
    sprites: dict[str, str]


@dataclass(frozen=True)
class Layers:
    """All planes, and their common scales.

    Attributes
    ----------
    planes : tuple of PlaneLayers
    full_colour : float
        Length of full brightness in the picture of the field, in mm.
    grid_step : float
        Distance between the lines of the deformation grid, in voxels.
    """

    planes: tuple[PlaneLayers, ...]
    full_colour: float
    grid_step: float

    @property
    def size(self) -> int:
        """Total size of all sprites, in characters."""
        return sum(len(uri) for plane in self.planes for uri in plane.sprites.values())


def fitting_layers(subject: Subject, largest: int) -> Layers:
    """Layers with sprites of at most `largest` characters in total.

    Parameters
    ----------
    subject : Subject
    largest : int
        Tiles are reduced in size until the limit is met.
    """
    scale = 1.0
    while True:
        layers = build(subject, scale)
        if layers.size <= largest:
            return layers
        scale *= min(0.9, 0.95 * float(np.sqrt(largest / layers.size)))


def build(subject: Subject, scale: float = 1.0) -> Layers:
    """Draw all layers of all planes, with tiles scaled down by `scale`."""
    grid, box = subject.fixed.grid, subject.box
    extents = [
        (part.stop - part.start) * size for part, size in zip(box, grid.spacing, strict=True)
    ]
    lengths = np.linalg.norm(subject.result.u[:, subject.head], axis=0)
    full = full_colour(lengths, float(np.mean(extents)))
    step = max(2.0, max(part.stop - part.start for part in box) / GRID_LINES)
    planes = tuple(
        PlaneLayers(stack, _sprites(subject, stack, full, step))
        for stack in stacks(grid.shape, grid.affine, scale, box)
    )
    return Layers(planes, full, step)


def _sprites(subject: Subject, stack: Stack, full: float, step: float) -> dict[str, str]:
    quality = QUALITY_2D if len(stack.indices) == 1 else QUALITY_3D
    made = partial(sprite, stack, quality=quality)
    made_lines = partial(sprite, stack, quality=QUALITY_LINES)
    fixed = _grey(stack, subject.fixed.data, subject.fixed_window)
    before = _grey(stack, subject.before, subject.moving_window)
    after = _grey(stack, subject.after, subject.moving_window)
    down, right = stack.plane.in_plane
    u_down, u_right = (
        [-cut if flipped else cut for cut in stack.cuts(subject.result.u[axis])]
        for axis, flipped in zip((down, right), stack.plane.flipped, strict=True)
    )
    determinant = stack.cuts(subject.determinant)
    lines = _grid_lines(subject, stack, step)
    outlines = _outlines(subject, stack, fixed)
    return {
        "fixed": made(lambda k: fixed[k]),
        "before": made(lambda k: before[k]),
        "after": made(lambda k: after[k]),
        "edges": made_lines(lambda k: tinted(outlines[k], EDGE_COLOUR)),
        "grid": made_lines(lambda k: tinted(lines[k], GRID_COLOUR)),
        "field": made(lambda k: with_arrows(u_down[k], u_right[k], full)),
        "determinant": made(lambda k: determinant_colours(determinant[k])),
    }


def _grey(stack: Stack, image: Float, window: tuple[float, float]) -> list[Pixels]:
    return [to_bytes(cut, *window) for cut in stack.cuts(image)]


def _outlines(subject: Subject, stack: Stack, fixed: list[Pixels]) -> list[Float]:
    """Opacity of the edges of the fixed image, with one threshold for all slices."""
    sigma = max(1.0, EDGE_SMOOTHING * stack.pixels_per_voxel)
    thresholds = edge_thresholds(fixed[stack.middle] / 255.0, sigma)
    width = 0.8 if len(stack.indices) == 1 else 0.5  # tiles of volumes are displayed enlarged
    return [soft_line(edges(picture / 255.0, sigma, thresholds), width) for picture in fixed]


def _grid_lines(subject: Subject, stack: Stack, step: float) -> list[Float]:
    """Opacity of the lines of constant moving coordinate, i.e. the deformed grid of the moving image."""
    shape = subject.fixed.grid.shape
    width = 1.6 if len(stack.indices) == 1 else 0.9  # tiles of volumes are displayed enlarged
    total: list[Float] = [np.zeros((stack.height, stack.width))] * len(stack.indices)
    for axis in stack.plane.in_plane:
        index = np.arange(shape[axis], dtype=np.float32)
        along = index.reshape([-1 if a == axis else 1 for a in range(len(shape))])
        coordinates = stack.cuts(subject.result.displacement[axis] + along)
        drawn = [0.85 * level_lines(coordinate, step, width) for coordinate in coordinates]
        total = [np.maximum(one, other) for one, other in zip(total, drawn, strict=True)]
    return total
