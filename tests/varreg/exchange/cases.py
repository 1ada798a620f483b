"""Pairs of oblique, anisotropic images with a known map between them, and how to judge a tool."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from varreg.exchange.plane import lps
from varreg.geometry.grid import Grid
from varreg.images.nifti import nifti_image
from varreg.transforms.transform import Transform

POINTS = 0.01  # mm, how closely landmarks of two tools must agree
IMAGES = 1e-4  # of images whose standard deviation is 1


def peer(module: str):
    """The other tool, or a skip; what it deprecates while it is imported is its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(module, reason=f"{module} is not installed (extra `peers`)")


@dataclass(frozen=True)
class Case:
    """A map, an image of the moving side, and landmarks in fixed world (n, d)."""

    transform: Transform
    image: np.ndarray
    landmarks: np.ndarray

    @property
    def dim(self):
        return self.transform.fixed.dim

    @property
    def affine_only(self):
        return Transform(self.transform.fixed, self.transform.moving, self.transform.affine)

    @property
    def inside(self):
        """Fixed voxels that map well inside the moving image, where border rules do not matter."""
        coordinates = self.transform.moving_coordinates()
        limits = zip(coordinates, self.image.shape, strict=True)
        return np.all([(c > 0.5) & (c < n - 1.5) for c, n in limits], axis=0)

    def check_image(self, warped, transform=None, tolerance=IMAGES):
        """Another tool's warped image is ours."""
        ours = (transform or self.transform).warp(self.image)
        assert self.inside.mean() > 0.5
        np.testing.assert_allclose(warped[self.inside], ours[self.inside], atol=tolerance, rtol=0)

    def check_points(self, points, transform=None, tolerance=POINTS):
        """Another tool's landmarks (RAS+ world) are ours, and they have moved."""
        ours = (transform or self.transform).points(self.landmarks)
        assert np.linalg.norm(ours - self.landmarks, axis=1).min() > 100 * POINTS
        np.testing.assert_allclose(points, ours, atol=tolerance, rtol=0)


def rotation(degrees, axes, dim):
    matrix, angle = np.eye(dim + 1), np.deg2rad(degrees)
    a, b = axes
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[a, b], matrix[b, a] = -np.sin(angle), np.sin(angle)
    return matrix


def translation(*shift):
    matrix = np.eye(len(shift) + 1)
    matrix[:-1, -1] = shift
    return matrix


def texture(shape, seed=0):
    image = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 2.0)
    return (image / image.std()).astype(np.float32)


@lru_cache
def case(dim: int) -> Case:
    """Two oblique anisotropic grids of opposite handedness, a full affine map and a warp of 2 mm."""
    tilt = rotation(25, (0, 1), dim) @ (rotation(10, (1, 2), 3) if dim == 3 else np.eye(3))
    other = rotation(-12, (0, dim - 1), dim)
    fixed = Grid((30, 26, 14)[:dim], _place(tilt, dim))
    affine = (
        translation(*(6, -4, 3)[:dim])
        @ rotation(7, (0, dim - 1), dim)
        @ np.diag([*(1.05, 0.97, 1.02)[:dim], 1])
    )
    affine[0, 1] += 0.08
    sizes = np.diag([*(-1.3, 1.2, 1.6)[:dim], 1])
    moving = Grid((48, 52, 36)[:dim], other @ sizes)
    centre = (affine @ np.append(fixed.centre, 1))[:-1]
    moving = Grid(moving.shape, translation(*(centre - moving.centre)) @ moving.affine)
    random = np.random.default_rng(3)
    nodes = np.stack(
        [gaussian_filter(random.standard_normal(fixed.shape), 2.5) for _ in range(dim)]
    )
    nodes *= 2 / np.abs(nodes).max()
    voxels = random.uniform(2, np.array(fixed.shape) - 3, (20, dim))
    landmarks = fixed.voxel_to_world(voxels.T).T
    return Case(Transform(fixed, moving, affine, nodes), texture(moving.shape), landmarks)


def _place(tilt, dim):
    return translation(*(-20, 11, 5)[:dim]) @ tilt @ np.diag([*(1.2, 1.5, 3.0)[:dim], 1])


def save_nifti(path, grid, array):
    """A NIfTI file; 2D arrays as true 2D, which is what 2D tools read with its directions."""
    affine = np.eye(4)
    affine[: grid.dim, : grid.dim] = grid.affine[:-1, :-1]
    affine[: grid.dim, 3] = grid.affine[:-1, -1]
    nifti_image(np.asarray(array, np.float32), affine).to_filename(path)
    return str(path)


def itk_geometry(grid):
    """Origin, spacing and direction (d, d) in LPS+."""
    flip = lps(grid.dim)
    return (flip @ grid.affine)[:-1, -1], grid.spacing, flip[:-1, :-1] @ grid.direction


def flipped(points):
    """RAS+ points (n, d) in LPS+, and back."""
    return points * np.array([-1.0, -1.0, 1.0])[: points.shape[1]]
