"""Functions of the displacement alone: bound on det(id + grad u) and volume term, in double precision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arrays import Array
from ..folding import HALVED_BELOW
from ..volume import SMALLEST
from .device import Device
from .request import Request, Sent
from .sending import Answer

#: Threads per block, and most blocks, of kernels that accept any size of the launch grid.
THREADS, MOST_BLOCKS = 128, 1024
Shape = tuple[int, ...]


def determinant_bound(device: Device, field: Any, spacing: Array) -> Any:
    """Lower bound of det(id + grad u) over all cells, and the cell that attains it."""
    cells, blocks = _cells(field)
    request = _request(device)
    both = request.add_output((blocks,), np.float64), request.add_output((blocks,), np.int64)
    name = "plane_bound" if len(field) == 2 else "volume_bound"
    place = _field(device, field, spacing)
    below = () if len(field) == 2 else (HALVED_BELOW,)  # in 2D the bound is exact
    request.launch(name, blocks, *place, *below, blocks, *both, threads=THREADS)

    def smallest(answer: Answer) -> tuple[float, Shape]:
        low, where = answer
        worst = int(np.lexsort((where, low))[0])
        return float(low[worst]), tuple(int(i) for i in np.unravel_index(int(where[worst]), cells))

    return device.answered(request, smallest)


def volume(device: Device, field: Any, spacing: Array) -> Any:
    """Volume term: the mean over all corners of all cells."""
    cells, blocks = _cells(field)
    request = _request(device)
    sums = request.add_output((blocks,), np.float64)
    name = "area_sum" if len(field) == 2 else "volume_sum"
    place = _field(device, field, spacing)
    request.launch(name, blocks, *place, SMALLEST, blocks, sums, threads=THREADS)
    return device.answered(request, lambda answer: float(answer[0].sum()) / _corners(cells))


def volume_gradient(device: Device, field: Any, spacing: Array) -> Any:
    """Derivative of :func:`volume` with respect to the field, (d, *m), on the device of the field."""
    cells, _ = _cells(field)
    request, on_device = _request(device), device.holds(field)
    shape = field.shape, np.float64
    out = device.cupy.empty(*shape) if on_device else request.add_output(*shape)
    name = "area_gradient" if len(field) == 2 else "volume_gradient"
    place = _field(device, field, spacing)
    request.cover(name, math.prod(field.shape[1:]), *place, SMALLEST, 1 / _corners(cells), out)
    return device.answered(request, lambda answer: out if on_device else answer[0])


def _cells(field: Any) -> tuple[Shape, int]:
    """Number of cells between the nodes along each axis, and number of blocks."""
    cells = tuple(m - 1 for m in field.shape[1:])
    return cells, min(MOST_BLOCKS, -(-math.prod(cells) // THREADS))


def _corners(cells: Shape) -> int:
    return 2 ** len(cells) * math.prod(cells)


def _request(device: Device) -> Request:
    """New request; these kernels use double precision independently of the precision of the images."""
    return device.request(np.float32)


def _field(device: Device, field: Any, spacing: Array) -> tuple[Any, ...]:
    """First arguments of these kernels: the field, its number of nodes along each axis, and their spacing."""
    nodes = (
        device.cupy.asarray(field, dtype=np.float64, order="C")
        if device.holds(field)
        else Sent(np.asarray(field, np.float64))
    )
    return nodes, *field.shape[1:], *(float(h) for h in spacing)
