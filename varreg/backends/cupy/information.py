"""Joint histograms and mutual information on the device, and the backprojection of their derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array, VoxelMap, Workspace
from .device import Device
from .evaluation import add_histogram, backprojection
from .request import Request, Sent
from .residence import DeviceMoving, DeviceRows
from .sending import Answer


def joint_histogram(
    device: Device, moving: DeviceMoving, where: VoxelMap, nodes: Any, rows: DeviceRows
) -> Any:
    """Joint histogram (R B, B), fixed row x moving bin, on the host."""
    request = device.request(nodes.dtype)
    table = request.add_output((rows.regions * rows.bins, rows.bins), np.uint64)
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
    request = device.request(nodes.dtype)
    each = _regions(request, device, moving, where, nodes, rows, kernel, None, workspace)
    request.launch("sum_regions", 1, each[0], each[1], rows.regions, request.add_output((2,), np.float64))  # fmt: skip
    return device.answered(request, lambda answer: tuple(answer[0].tolist()))


def _regions(
    request: Request, device: Device, moving: DeviceMoving, where: VoxelMap, nodes: Any, rows: DeviceRows,
    kernel: Array, weights: Array | None, workspace: Workspace,
) -> Any:  # fmt: skip
    """Add the steps that compute weight in view, N MI and N of each region, (3, R), with optional weights of the bins."""
    regions, bins = rows.regions, rows.bins
    size = regions, bins, bins
    table = device.buffer(workspace, "table", size, np.uint64)
    work = device.buffer(workspace, "work", size, np.float64)
    ratio = device.buffer(workspace, "ratio", size, np.float64)
    marginal = device.buffer(workspace, "marginal", (regions, 3, bins), np.float64)
    each = device.buffer(workspace, "regions", (3, regions), np.float64)
    add_histogram(request, device, moving, where, nodes, rows, table)
    given = device.constant(kernel if weights is None else weights), int(weights is not None)
    request.launch(
        "region_information", regions, table, device.constant(kernel), bins, kernel.shape[1] // 2,
        2.0**-rows.bits, *given, work, ratio, marginal, each[0], each[1], each[2],
    )  # fmt: skip
    return each


def information_gradient(
    device: Device, moving: DeviceMoving, where: VoxelMap, nodes: Any, rows: DeviceRows, kernel: Array,
    scale: float, workspace: Workspace,
) -> Any:  # fmt: skip
    """`scale` times the derivative of the last :func:`mutual_information` with this workspace."""
    place = moving, where, nodes, rows, kernel
    return _gradient(device, *place, None, 0.0, scale, workspace)


def _gradient(
    device: Device, moving: DeviceMoving, where: VoxelMap, nodes: Any, rows: DeviceRows, kernel: Array,
    weights: Array | None, least: float, scale: float, workspace: Workspace,
) -> Any:  # fmt: skip
    request, each = device.request(nodes.dtype), workspace["regions"]
    size = rows.regions, rows.bins, rows.bins
    slope = device.buffer(workspace, "slope", size, nodes.dtype)
    given = device.constant(kernel if weights is None else weights), each[2], each[1], least
    request.launch(
        "smooth_transposed", rows.regions, workspace["ratio"], device.constant(kernel), rows.bins,
        kernel.shape[1] // 2, scale, *given, workspace["work"], slope,
    )  # fmt: skip
    return backprojection(request, device, moving, where, nodes, rows, slope, workspace)


class DeviceOverlap:
    """Implementation of :class:`varreg.backends.overlap.Overlap` on a device.

    Parameters
    ----------
    device : Device
    """

    def __init__(self, device: Device) -> None:
        self._device = device

    def information(
        self, moving: Any, where: VoxelMap, nodes: Any, fixed: Any, kernel: Array, weights: Array,
        workspace: Workspace, threads: int,
    ) -> Any:  # fmt: skip
        """Sum of the histogram, M, and M MI in nats."""
        with self._device.current():
            request = self._device.request(nodes.dtype)
            place = self._device, moving, where, nodes, fixed, kernel, weights, workspace
            request.fetch(_regions(request, *place))
            return self._device.answered(request, _seen_kept_value)

    def gradient(
        self, moving: Any, where: VoxelMap, nodes: Any, fixed: Any, kernel: Array, weights: Array,
        least: float, workspace: Workspace, threads: int,
    ) -> Any:  # fmt: skip
        """Derivative of g(s) MI at the nodes, (3, a, b, c)."""
        with self._device.current():
            place = moving, where, nodes, fixed, kernel, weights, least, 1.0, workspace
            return _gradient(self._device, *place)


def _seen_kept_value(answer: Answer) -> tuple[float, float, float]:
    seen, value, kept = answer[0][:, 0].tolist()
    return seen, kept, value
