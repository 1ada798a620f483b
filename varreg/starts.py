"""Where the affine search starts: header, centres, moments, each under a coarse grid of rotations."""

from __future__ import annotations

import itertools

import numpy as np

from .kernels.arrays import Array
from .pyramid import Sampled

#: Rotations tried about every axis, in degrees.
ANGLES_2D = (-60, -45, -30, -15, 0, 15, 30, 45, 60)
ANGLES_3D = (-30, 0, 30)
NAMES = ("header", "centres", "moments")


def candidates(fixed: Sampled, moving: Sampled, names: tuple[str, ...], turn: bool) -> list[Array]:
    """Start matrices, fixed world -> moving world; the first needs no rotation.

    Parameters
    ----------
    fixed, moving : Sampled
        A coarse level.
    names : tuple of {"header", "centres", "moments"}
    turn : bool
        Whether rotations about the centre of mass of the fixed image are tried too.
    """
    centre = centre_of_mass(fixed)
    shifts = {
        "header": lambda: np.zeros(fixed.grid.dim),
        "centres": lambda: moving.grid.centre - fixed.grid.centre,
        "moments": lambda: centre_of_mass(moving) - centre,
    }
    rotations = _rotations(fixed.grid.dim) if turn else [np.eye(fixed.grid.dim)]
    return [_about(r, centre, shifts[name]()) for r in rotations for name in names]


def centre_of_mass(image: Sampled) -> Array:
    """World position of the intensity-weighted centre; the centre of the grid if all is dark."""
    data = image.data.astype(np.float64)
    if image.mask is not None:
        data = data * image.mask
    total = data.sum()
    if not total > 0:
        return image.grid.centre
    axes = range(data.ndim)
    voxel = [
        (data.sum(tuple(a for a in axes if a != axis)) * np.arange(data.shape[axis])).sum() / total
        for axis in axes
    ]
    return image.grid.voxel_to_world(np.array(voxel))


def _rotations(d: int) -> list[Array]:
    if d == 2:
        return [_rotation(np.deg2rad(a), 0, 1, 2) for a in sorted(ANGLES_2D, key=abs)]
    triples = sorted(itertools.product(ANGLES_3D, repeat=3), key=lambda t: sum(map(abs, t)))
    planes = [(0, 1), (0, 2), (1, 2)]
    result: list[Array] = []
    for triple in triples:
        rotation: Array = np.eye(3)
        for angle, (i, j) in zip(triple, planes, strict=True):
            rotation = rotation @ _rotation(np.deg2rad(angle), i, j, 3)
        result.append(rotation)
    return result


def _rotation(angle: float, i: int, j: int, d: int) -> Array:
    matrix = np.eye(d)
    matrix[i, i] = matrix[j, j] = np.cos(angle)
    matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
    return matrix


def _about(rotation: Array, centre: Array, shift: Array) -> Array:
    matrix = np.eye(len(centre) + 1)
    matrix[:-1, :-1] = rotation
    matrix[:-1, -1] = centre - rotation @ centre + shift
    return matrix
