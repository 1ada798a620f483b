"""Warping of the moving image, and backprojection, its transposed derivative, in the NumPy backend."""

from __future__ import annotations

import numpy as np

from ..arrays import Array, Moving, VoxelMap, Warped, Workspace
from .sampling import (
    bend,
    excess,
    fade,
    fade_slope,
    interpolation,
    nearest_inside,
    positions,
    sample,
)


def warp(moving: Moving, where: VoxelMap, nodes: Array, warped: Warped, threads: int) -> None:
    """Warp the moving image: write value and weight at every fixed voxel to `warped`."""
    position = positions(where, nodes, warped.value.shape)
    inside = nearest_inside(position, moving.image.shape)
    value, _ = sample(moving.image, inside, moving.cubic)
    weight = np.prod(fade(np.abs(excess(position, inside))), axis=0)
    if moving.mask.size:
        weight = weight * sample(moving.mask, inside, False)[0]
    warped.value[...] = bend(value, moving)[0] if moving.cubic else value
    warped.weight[...] = weight
    in_view = (position == inside).all(axis=(0, -1)).reshape(-1)
    warped.full[...] = in_view & (moving.mask.size == 0 and not moving.cubic)


def backproject(
    moving: Moving,
    where: VoxelMap,
    nodes: Array,
    warped: Warped,
    workspace: Workspace,
    threads: int,
) -> Array:
    """dE/dy at the nodes, (3, a, b, c), from the slopes in `warped`."""
    position = positions(where, nodes, warped.value.shape)
    inside = nearest_inside(position, moving.image.shape)
    free = position == inside  # axes along which the value depends on the position
    value, change = sample(moving.image, inside, moving.cubic)
    live = warped.slope
    if moving.cubic:
        live = live * bend(value, moving)[1]
    force = live * change * free

    full = warped.full.reshape(*warped.value.shape[:2], 1).astype(bool)
    weight_slope = np.where(full, 0, warped.weight_slope)
    outside = excess(position, inside)
    near = fade(np.abs(outside))
    near_change = fade_slope(np.abs(outside)) * np.sign(outside)
    marked, marked_change = np.ones_like(value), np.zeros_like(change)
    if moving.mask.size:
        marked, marked_change = sample(moving.mask, inside, False)
    for axis in range(3):
        others = near[(axis + 1) % 3] * near[(axis + 2) % 3]
        force[axis] += weight_slope * marked * near_change[axis] * others
    force += weight_slope * np.prod(near, axis=0) * marked_change * free
    force *= (near > 0).all(axis=0)  # no contribution from outside the field of view
    planes, rows, columns = interpolation(where, nodes, warped.value.shape)
    return np.einsum("dijk,ia,jb,kc->dabc", force, planes, rows, columns, optimize=True)
