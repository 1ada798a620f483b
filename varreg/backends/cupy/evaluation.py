"""Steps of an evaluation on the device: histograms, forces on the voxels, and their backprojection to the nodes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arrays import VoxelMap, Workspace
from .device import Device
from .launch import SHARED_MEMORY
from .request import Request, Sent
from .residence import DeviceMoving, DeviceRows

Shape = tuple[int, ...]


def scene_arguments(
    device: Device, moving: DeviceMoving, where: VoxelMap, nodes: Any, shape: Shape
) -> tuple[Any, ...]:
    """First arguments of all kernels over fixed voxels; `shape` is the shape of the fixed image."""
    flags = int(moving.cubic), int(moving.masked)
    sizes = np.array([*shape, *nodes.shape[1:], *moving.image.shape, *flags], np.int32)
    tables = device.tables.tables(where, nodes.shape[1:], shape)
    affine = np.concatenate([where.linear.ravel(), where.displacement_matrix.ravel()])
    return (
        moving.image, moving.mask, device.constant(sizes), moving.low, moving.high,
        Sent(affine.astype(nodes.dtype)), device.cupy.ascontiguousarray(nodes) if device.holds(nodes)
        else Sent(nodes), tables.index, tables.weight,
    )  # fmt: skip


def add_histogram(
    request: Request, device: Device, moving: DeviceMoving, where: VoxelMap, nodes: Any, rows: DeviceRows,
    table: Any,
) -> None:  # fmt: skip
    """Add the steps that compute the joint histograms, (R, B, B), in units of 2^-bits."""
    scene, bins = scene_arguments(device, moving, where, nodes, rows.shape), rows.bins
    entries = rows.regions * bins * bins
    request.cover("clear_table", entries, entries, table)
    room = bins**2 if 4 * bins**2 <= SHARED_MEMORY else 0
    request.launch(
        "joint_histogram", len(rows.items), *scene, rows.bin, rows.weight, int(rows.weighted), rows.lines,
        rows.items, bins, rows.bits, room, table, shared=4 * room,
    )  # fmt: skip


def backprojection(
    request: Request, device: Device, moving: DeviceMoving, where: VoxelMap, nodes: Any, rows: DeviceRows,
    slope: Any, workspace: Workspace,
) -> Any:  # fmt: skip
    """dE/dy at the nodes from dE/dhistogram."""
    scene = scene_arguments(device, moving, where, nodes, rows.shape)
    force = device.buffer(workspace, "force", (3, *rows.shape), nodes.dtype)
    request.cover(
        "table_forces", math.prod(rows.shape), *scene, rows.bin, rows.weight, int(rows.weighted),
        rows.line_region, rows.column_region, slope, rows.bins, force,
    )  # fmt: skip
    return gathered(request, device, force, where, nodes, workspace)


def gathered(
    request: Request, device: Device, force: Any, where: VoxelMap, nodes: Any, workspace: Workspace
) -> Any:
    """Backprojection of forces on the voxels, (3, planes, rows, n), to the nodes, (3, a, b, c), on the device of `nodes`."""
    voxels, counts, on_device = force.shape[1:], nodes.shape[1:], device.holds(nodes)
    tables = device.tables.tables(where, counts, voxels)
    shape = [3, *voxels]
    for axis in (2, 1, 0):
        length, count = voxels[axis], counts[axis]
        outer, inner = math.prod(shape[: axis + 1]), math.prod(shape[axis + 2 :])
        shape[axis + 1] = count
        out = (
            device.buffer(workspace, f"gathered-{axis}", tuple(shape), nodes.dtype)
            if axis > 0 or on_device
            else request.add_output(tuple(shape), nodes.dtype)
        )
        first = sum(counts[:axis])
        touched = tables.first[first : first + count], tables.stop[first : first + count]
        request.cover(
            "gather_axis", math.prod(shape), force, outer, length, inner, tables.index, tables.weight,
            sum(voxels[:axis]), sum(voxels), *touched, count, out,
        )  # fmt: skip
        force = out
    return device.answered(request, lambda answer: force if on_device else answer[0])
