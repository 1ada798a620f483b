"""Inner products and linear combinations of device arrays, and transfers of scalars to the host."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..namespace import contiguous
from .device import Device
from .request import Request, Sent

#: Threads per block, fewest entries per block, and most blocks of one product.
THREADS, FEWEST, MOST_BLOCKS = 128, 1024, 128
#: Larger squares represent infinity or NaN.
TOO_LARGE = 1e300


class DeviceVectors:
    """Implementation of :mod:`varreg.backends.vectors` on a device.

    Parameters
    ----------
    device : Device
    """

    def __init__(self, device: Device) -> None:
        self._device = device

    def inner_products(self, pairs: Sequence[tuple[Any, Any]]) -> Any:
        """Inner products of pairs of arrays of the same size, in one launch: a list of float."""
        with self._device.current():
            first, second = (_aligned(side) for side in zip(*pairs, strict=True))
            size, request = first[0].size, self._request(*first, *second)
            blocks = _blocks(size)
            sums = request.add_output((len(pairs), blocks), np.float64)
            addresses = _addresses(first), _addresses(second)
            request.launch(
                "inner_products",
                blocks * len(pairs),
                *addresses,
                size,
                blocks,
                sums,
                threads=THREADS,
            )
            return self._device.answered(request, lambda answer: answer[0].sum(1).tolist())

    def combination(self, coefficients: Sequence[float], arrays: Sequence[Any]) -> Any:
        """Linear combination of arrays, in one launch, on the device."""
        with self._device.current():
            aligned = _aligned(arrays)
            out, request = (
                self._device.cupy.empty(aligned[0].shape, np.float64),
                self._request(*aligned),
            )
            factors = Sent(np.array(coefficients, np.float64))
            request.cover(
                "combination", out.size, _addresses(aligned), factors, len(aligned), out.size, out
            )
            return self._device.answered(request, lambda _: out)

    def largest_length(self, field: Any) -> Any:
        """Largest length of the vectors of a field (d, ...), infinite if a vector is not finite."""
        with self._device.current():
            field = contiguous(field, np.float64)
            nodes, request = math.prod(field.shape[1:]), self._request()
            blocks = _blocks(nodes)
            squares = request.add_output((blocks,), np.float64)
            request.launch(
                "largest_square", blocks, field, len(field), nodes, blocks, squares, threads=THREADS
            )

            def length(answer: list[Any]) -> float:
                largest = float(answer[0].max())
                return math.sqrt(largest) if largest <= TOO_LARGE else math.inf

            return self._device.answered(request, length)

    def number(self, value: Any) -> Any:
        """Value of an array of one element as a float."""
        with self._device.current():
            request = self._request()
            request.fetch(value)
            return self._device.answered(request, lambda answer: float(answer[0]))

    def _request(self, *kept: Any) -> Request:
        """New request for these kernels, which use double precision; arrays passed by address are kept alive."""
        request = self._device.request(np.float32)
        request.kept = kept
        return request


def _blocks(size: int) -> int:
    return max(1, min(MOST_BLOCKS, size // FEWEST))


def _aligned(arrays: Sequence[Any]) -> list[Any]:
    """Arrays as C-contiguous float64, because arrays passed by address are not type-checked."""
    found = [contiguous(array, np.float64) for array in arrays]
    if len({array.shape for array in found}) != 1:
        raise ValueError(f"arrays of several shapes: {[array.shape for array in found]}")
    return found


def _addresses(arrays: Sequence[Any]) -> Sent:
    return Sent(np.array([array.data.ptr for array in arrays], np.uint64))
