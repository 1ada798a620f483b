"""Joint histograms on the device, mutual information, and the derivatives of both at the nodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array, VoxelMap, Workspace
from .device import Device
from .evaluation import add_histogram, backprojection
from .request import Sent
from .residence import DeviceMoving, DeviceRows


def joint_histogram(
    device: Device, moving: DeviceMoving, where: VoxelMap, nodes: Any, rows: DeviceRows
) -> Any:
    """(R B, B) sum of weights, fixed row x moving bin, on the host."""
    request = device.request(nodes.dtype)
    table = request.wants((rows.regions * rows.bins, rows.bins), np.uint64)
    add_histogram(request, device, moving, where, nodes, rows, table)
    return device.answered(request, lambda answer: answer[0] * 2.0**-rows.bits)


def backproject_table(
    device: Device, moving: DeviceMoving, where: VoxelMap, nodes: Any, rows: DeviceRows, table: Array,
    workspace: Workspace,
) -> Any:  # fmt: skip
    """dE/dy at the nodes, (3, a, b, c), from dE/dhistogram, (R B, B)."""
    slope = Sent(np.asarray(table, dtype=nodes.dtype))
    place = moving, where, nodes, rows, slope, workspace
    return backprojection(device.request(nodes.dtype), device, *place)


def mutual_information(
    device: Device, moving: DeviceMoving, where: VoxelMap, nodes: Any, rows: DeviceRows, kernel: Array,
    workspace: Workspace,
) -> Any:  # fmt: skip
    """(weight in view, sum over regions of weight times mutual information in nats)."""
    request, regions, bins = device.request(nodes.dtype), rows.regions, rows.bins
    size = regions, bins, bins
    table = device.buffer(workspace, "table", size, np.uint64)
    work = device.buffer(workspace, "work", size, np.float64)
    ratio = device.buffer(workspace, "ratio", size, np.float64)
    marginal = device.buffer(workspace, "marginal", (regions, 3, bins), np.float64)
    each = device.buffer(workspace, "regions", (2, regions), np.float64)
    add_histogram(request, device, moving, where, nodes, rows, table)
    request.launch(
        "region_information", regions, table, device.constant(kernel), bins, kernel.shape[1] // 2,
        2.0**-rows.bits, work, ratio, marginal, each[0], each[1],
    )  # fmt: skip
    request.launch("sum_regions", 1, each[0], each[1], regions, request.wants((2,), np.float64))
    return device.answered(request, lambda answer: tuple(answer[0].tolist()))


def information_gradient(
    device: Device, moving: DeviceMoving, where: VoxelMap, nodes: Any, rows: DeviceRows, kernel: Array,
    scale: float, workspace: Workspace,
) -> Any:  # fmt: skip
    """`scale` times the derivative of the last :func:`mutual_information` with this workspace."""
    request = device.request(nodes.dtype)
    size = rows.regions, rows.bins, rows.bins
    slope = device.buffer(workspace, "slope", size, nodes.dtype)
    request.launch(
        "smooth_transposed", rows.regions, workspace["ratio"], device.constant(kernel), rows.bins,
        kernel.shape[1] // 2, scale, workspace["work"], slope,
    )  # fmt: skip
    return backprojection(request, device, moving, where, nodes, rows, slope, workspace)
