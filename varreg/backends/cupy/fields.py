"""What a displacement costs by itself: the bound on folds and the volume term, in double precision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arrays import Array
from ..folding import HALVED_BELOW
from ..volume import SMALLEST
from .device import Device

#: Threads and most blocks of the kernels that take a grid of any size.
THREADS, MOST_BLOCKS = 128, 1024
Shape = tuple[int, ...]


def determinant_bound(device: Device, field: Any, spacing: Array) -> tuple[float, Shape]:
    """Lower bound of det(id + grad u) over every point, and the cell where it is found."""
    cells, blocks = _cells(field)
    both = device.cupy.empty((2, blocks), dtype=np.int64)  # one array: waited for once
    bound, place = both[0].view(np.float64), both[1]
    name = "plane_bound" if len(field) == 2 else "volume_bound"
    below = () if len(field) == 2 else (HALVED_BELOW,)  # in two dimensions the bound is exact
    _kernels(device).launch(
        name, blocks, *_field(device, field, spacing), *below, bound, place, threads=THREADS
    )
    found = device.cupy.asnumpy(both)
    low, where = found[0].view(np.float64), found[1]
    worst = int(np.lexsort((where, low))[0])
    return float(low[worst]), tuple(int(i) for i in np.unravel_index(int(where[worst]), cells))


def volume(device: Device, field: Any, spacing: Array) -> float:
    """The volume term: the mean cost of all corners of all cells."""
    cells, blocks = _cells(field)
    sums = device.cupy.empty(blocks, dtype=np.float64)
    name = "area_sum" if len(field) == 2 else "volume_sum"
    _kernels(device).launch(
        name, blocks, *_field(device, field, spacing), SMALLEST, sums, threads=THREADS
    )
    return float(device.cupy.asnumpy(sums).sum()) / _corners(cells)


def volume_gradient(device: Device, field: Any, spacing: Array) -> Any:
    """Its derivative by the field, (d, *m), where the field is."""
    cells, _ = _cells(field)
    out = device.cupy.empty(field.shape, dtype=np.float64)
    name = "area_gradient" if len(field) == 2 else "volume_gradient"
    _kernels(device).cover(
        name, math.prod(field.shape[1:]), *_field(device, field, spacing), SMALLEST,
        1 / _corners(cells), out,
    )  # fmt: skip
    return out if device.holds(field) else device.cupy.asnumpy(out)


def _cells(field: Any) -> tuple[Shape, int]:
    """Cells between the nodes along each axis, and the blocks that share them."""
    cells = tuple(m - 1 for m in field.shape[1:])
    return cells, min(MOST_BLOCKS, -(-math.prod(cells) // THREADS))


def _corners(cells: Shape) -> int:
    return 2 ** len(cells) * math.prod(cells)


def _kernels(device: Device) -> Any:
    """In these kernels all numbers are doubles, whatever the precision of the images."""
    return device.kernels(np.float32)


def _field(device: Device, field: Any, spacing: Array) -> tuple[Any, ...]:
    """The first arguments of these kernels: the field, its nodes along each axis and their spacing."""
    nodes = device.cupy.asarray(field, dtype=np.float64, order="C")
    return nodes, *field.shape[1:], *(float(h) for h in spacing)
