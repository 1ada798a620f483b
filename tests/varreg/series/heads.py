"""A head given by formulas, which is looked at from wherever it has moved to: nothing is interpolated."""

from __future__ import annotations

import nibabel
import numpy as np
from scipy.spatial.transform import Rotation

from varreg.geometry.grid import Grid
from varreg.geometry.matrices import transform_points

SHAPE = (34, 38, 30)
#: Oblique voxels of 3 x 3 x 3.5 mm, the first axis to the left, the head about the origin.
_TURN = Rotation.from_euler("xyz", [8, -5, 4], degrees=True).as_matrix()
LINEAR = _TURN @ np.diag([-3.0, 3.0, 3.5])
AFFINE = np.block(
    [[LINEAR, -(LINEAR @ ((np.array(SHAPE) - 1) / 2))[:, None]], [np.zeros(3), np.ones(1)]]
)
GRID = Grid(SHAPE, AFFINE)

_random = np.random.default_rng(7)
BLOBS = _random.uniform(-28, 28, (60, 3))
SIZES, HEIGHTS = _random.uniform(4, 9, 60), _random.uniform(-0.8, 0.8, 60)


def shown(points, contrast=1.0):
    """Intensity of the head at (3, ...) world points; another contrast exchanges what is bright and what dark."""
    radius = np.sqrt(sum((p / r) ** 2 for p, r in zip(points, (36, 44, 38), strict=True)))
    inside = 1 / (1 + np.exp(np.minimum((radius - 1) * 14, 50)))
    value = np.full(points.shape[1:], 2.0)
    for centre, size, height in zip(BLOBS, SIZES, HEIGHTS, strict=True):
        squares = sum((p - c) ** 2 for p, c in zip(points, centre, strict=True))
        value += contrast * height * np.exp(-squares / (2 * size**2))
    return 100 * inside * value


def rigid(shift, degrees):
    """Where the head goes: a turn about the origin and a shift, world."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(np.deg2rad(degrees)).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def volume(motion, contrast=1.0, noise=0.0, seed=0, grid=GRID):
    """The head that has moved, on a grid."""
    here = grid.voxel_to_world(grid.coordinates())
    found = shown(transform_points(np.linalg.inv(motion), here), contrast)
    return (found + noise * np.random.default_rng(seed).standard_normal(found.shape)).astype("f4")


MOTIONS = np.array([
    rigid([0, 0, 0], [0, 0, 0]),
    rigid([0.1, -0.05, 0.08], [0.1, 0, -0.1]),
    rigid([1.5, 0.4, -1.6], [0.5, -0.8, 0.3]),
    rigid([-0.7, 2.0, 1.0], [-1.5, 1.0, 2.0]),
    rigid([3.0, -4.0, 2.0], [3.0, -2.0, -4.0]),
])  # fmt: skip


def series(motions=MOTIONS, noise=2.0, drift=0.01, contrasts=None):
    """The volumes of a head that moves, brighter by a share each, with noise; (x, y, z, n)."""
    contrasts = np.ones(len(motions)) if contrasts is None else contrasts
    volumes = [
        (1 + drift * k) * volume(motion, contrast, noise, k)
        for k, (motion, contrast) in enumerate(zip(motions, contrasts, strict=True))
    ]
    return np.stack(volumes, axis=-1)


def nifti(array, step=2.0, affine=AFFINE):
    image = nibabel.Nifti1Image(array, affine)
    image.header.set_zooms((*image.header.get_zooms()[:3], step))
    image.header.set_xyzt_units("mm", "sec")
    return image


def errors(found, true):
    """Largest distance (mm) over the head, and angle (degrees), between maps (n, 4, 4)."""
    angles = np.linspace(0, 2 * np.pi, 12)
    ring = np.array([36 * np.cos(angles), 44 * np.sin(angles), 30 * np.sin(3 * angles)])
    points = np.vstack([ring, np.ones(12)])
    apart = np.linalg.norm(((found - true) @ points)[:, :3], axis=1).max(1)
    turns = np.swapaxes(true[:, :3, :3], 1, 2) @ found[:, :3, :3]
    return apart, np.rad2deg(Rotation.from_matrix(turns).magnitude())
