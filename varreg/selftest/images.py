"""Test images with a well-conditioned registration, on which all devices must agree."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates

from ..backends.arrays import Array
from ..geometry.grid import Grid
from ..images.level_image import LevelImage

#: Number of waves in an image.
WAVES = 24


def smooth_image(shape: tuple[int, ...], seed: int, cycles: float = 3.0) -> Array:
    """A random smooth image in [0, 1], (*S) float32.

    Parameters
    ----------
    shape : tuple of int
    seed : int
    cycles : float
        Largest number of periods along an axis.
    """
    rng = np.random.default_rng(seed)
    places = [
        np.linspace(0, 1, n).reshape(_along(axis, len(shape))) for axis, n in enumerate(shape)
    ]
    image = np.zeros(shape)
    for _ in range(WAVES):
        wave = rng.uniform(-cycles, cycles, len(shape)) * 2 * np.pi
        phase = sum((w * x for w, x in zip(wave, places, strict=True)), np.zeros(shape))
        image += np.cos(phase + rng.uniform(0, 2 * np.pi))
    return ((image - image.min()) / np.ptp(image)).astype(np.float32)


def level_pair(
    shape: tuple[int, ...], masks: bool, seed: int, weighted: bool = False
) -> tuple[LevelImage, LevelImage]:
    """Two unrelated images of different sizes, with or without masks; masks may be weights."""
    grid = Grid.with_spacing(shape, (1.0,) * len(shape))
    other = grid.resized(tuple(n + 3 for n in shape))
    weight = smooth_image(shape, seed + 2, 0.7)
    inside = (weight if weighted else weight > 0.3) if masks else None
    share = smooth_image(other.shape, seed + 3, 0.7) if masks else None
    return (
        LevelImage(smooth_image(shape, seed), inside, grid, weighted),
        LevelImage(smooth_image(other.shape, seed + 1), share, other),
    )


def deformed_pair(shape: tuple[int, ...], seed: int) -> tuple[Array, Array]:
    """(moving, fixed): one anatomy in two contrasts, one of them deformed by up to two voxels."""
    anatomy = smooth_image(shape, seed, 8.0)
    index = np.indices(shape).astype(float)
    angles = [2 * np.pi * index[(k + 1) % len(shape)] / shape[k] for k in range(len(shape))]
    shift = 2 * np.sin(np.stack(angles))
    fixed = map_coordinates(anatomy, index + shift, order=1, mode="nearest")
    return anatomy, 1 - np.sqrt(np.clip(fixed, 0, 1))


def _along(axis: int, dimension: int) -> tuple[int, ...]:
    return tuple(-1 if k == axis else 1 for k in range(dimension))
