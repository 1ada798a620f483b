"""Joint histograms by Gaussian windows normalised at each voxel, and their derivatives, on the device."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array, Windows
from .device import Device
from .request import Sent

#: Bits of a sum of weights, which must fit into an int64, and most bits of one weight, out of the 53 of a double.
BITS, MOST_BITS = 62, 48
Images = tuple[Any, Any, Any]  # fixed values, moving values and weights


def windowed_histogram(device: Device, images: Images, bins: int, shape: Windows) -> Any:
    """Joint histogram (B, B), fixed bin x moving bin, on the host."""
    fixed = images[0]
    bits = min(BITS - fixed.size.bit_length(), MOST_BITS)
    request, entries = device.request(fixed.dtype), bins * bins
    table = request.add_output((bins, bins), np.uint64)
    request.cover("clear_table", entries, entries, table)
    request.cover("windowed_histogram", fixed.size, *images, fixed.size, bins, *shape, bits, table)
    return device.answer(request)[0] * 2.0**-bits


def windowed_slope(
    device: Device, images: Images, table: Array, shape: Windows, slopes: list[Any]
) -> None:
    """Compute dE/dvalue and dE/dweight, `slopes`, from dE/dhistogram, (B, B)."""
    fixed = images[0]
    request, derivative = device.request(fixed.dtype), Sent(np.asarray(table, float))
    request.cover(
        "windowed_slope", fixed.size, *images, fixed.size, len(table), *shape, derivative, *slopes
    )
    device.answer(request)
