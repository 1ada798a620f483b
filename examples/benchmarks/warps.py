"""Random smooth invertible maps with a known inverse, as used in the tables of this folder.

The random numbers are drawn in a fixed order from the given generator, so that a seed defines
the same map on every machine.  (``varreg.data.phantom`` draws other, smaller maps.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.floating]

#: Root-mean-square displacement over the central part, and length on which it varies, in voxels.
RMS, LENGTH = 3.0, 22.0
#: The field is drawn on a grid this much coarser.
STEP = 4
#: Bounds of the affine part: degrees, relative scale, voxels.
DEGREES, SCALE, SHIFT = 12.0, 0.08, 12.0
#: Fixed-point steps of the inverse, by dimension.
INVERSE_STEPS = {2: 60, 3: 20}


def voxel_grid(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Voxel coordinates (d, *S)."""
    return np.stack(np.meshgrid(*[np.arange(n, dtype=np.float32) for n in shape], indexing="ij"))


def sample(image: Array, points: Array, order: int = 1) -> NDArray[np.float32]:
    """The image at voxel coordinates (d, ...); beyond the border the border value holds."""
    return ndimage.map_coordinates(image, points, order=order, mode="nearest", output=np.float32)


def random_field(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """White noise seen through a Gaussian, (d, *S), voxels."""
    coarse = [n // STEP + 2 for n in shape]
    whole = tuple(slice(0, n) for n in shape)
    components = []
    for _ in shape:
        noise = rng.standard_normal(coarse)
        smooth = ndimage.gaussian_filter(noise, LENGTH / STEP, mode="nearest")
        components.append(ndimage.zoom(smooth, STEP, order=3)[whole])
    field = np.stack(components)
    centre = (slice(None), *(slice(n // 5, n - n // 5) for n in shape))
    return (RMS * field / np.sqrt((field[centre] ** 2).sum(0).mean())).astype(np.float32)


def random_affine(dimension: int, rng: np.random.Generator, strength: float = 1.0) -> Array:
    """Homogeneous matrix (d + 1, d + 1) about the centre of the grid: turn, scale, shift.

    `strength` multiplies turn and shift.
    """
    planes = [(0, 1)] if dimension == 2 else [(0, 1), (0, 2), (1, 2)]
    angles = strength * np.deg2rad(rng.uniform(-1, 1, len(planes)) * DEGREES)
    linear = np.eye(dimension)
    for (i, j), angle in zip(planes, angles, strict=True):
        turn = np.eye(dimension)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        linear = linear @ turn
    matrix = np.eye(dimension + 1)
    matrix[:-1, :-1] = linear @ np.diag(1 + rng.uniform(-1, 1, dimension) * SCALE)
    matrix[:-1, -1] = strength * rng.uniform(-1, 1, dimension) * SHIFT
    return matrix


def inverse(field: Array) -> Array:
    """w with w(x) = -field(x + w(x)), by fixed-point steps from 0."""
    grid, found = voxel_grid(field.shape[1:]), np.zeros_like(field)
    for _ in range(INVERSE_STEPS[len(field)]):
        found = -np.stack([sample(component, grid + found) for component in field])
    return found


def random_map(
    shape: tuple[int, ...], rng: np.random.Generator, affine: bool, strength: float = 1.0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """psi(y) = A (y + v(y)), (d, *S) voxel coordinates, and psi^-1(x) - x, voxels.

    The inverse is exact, to 0.01 voxels or so, where A^-1 x lies in the grid; v is not known beyond.
    """
    grid, dimension = voxel_grid(shape), len(shape)
    field = random_field(shape, rng)
    matrix = random_affine(dimension, rng, strength) if affine else np.eye(dimension + 1)
    forward = _about_centre(matrix, grid + field)
    back = _about_centre(np.linalg.inv(matrix), grid)
    answer = back + np.stack([sample(component, back) for component in inverse(field)]) - grid
    return forward, answer.astype(np.float32)


def _about_centre(matrix: Array, points: Array) -> NDArray[np.float32]:
    """An affine map applied about the centre of the grid that `points` (d, *S) stand on."""
    dimension = len(points)
    column = (dimension,) + (1,) * dimension
    centre = (np.array(points.shape[1:], dtype=np.float32) - 1).reshape(column) / 2
    moved = np.tensordot(matrix[:-1, :-1], points - centre, 1) + matrix[:-1, -1].reshape(column)
    return (moved + centre).astype(np.float32)
