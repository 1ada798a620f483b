"""Interpolation of an image at new coordinates, with voxels without data and the value outside the image."""

from __future__ import annotations

from contextlib import suppress
from numbers import Real
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends.namespace import on_host
from ..errors import InputError
from ..geometry.label_resampling import resampled_labels
from ..geometry.resampling import Coordinates, warp
from .background import background_value
from .intensities import robust_range, unit_intensities
from .no_data import values

#: Most voxels for estimating the range of intensities.
SAMPLE = 500_000


def warped(
    data: NDArray[Any],
    valid: NDArray[np.bool_] | None,
    shape: tuple[int, ...],
    coordinates: Coordinates,
    interpolation: str = "linear",
    fill: float | None = None,
    threads: int | None = None,
    kernels: ModuleType | None = None,
) -> NDArray[Any]:
    """An image at coordinates computed slab by slab, NaN where it holds no data.

    Parameters
    ----------
    data, valid
        Of an image, on the host or on a device; see :func:`varreg.images.no_data.filled`.
    shape, coordinates, interpolation, threads, kernels
        See :func:`varreg.geometry.resampling.warp`.
    fill : float or None
        Value outside the image; None for its background (:func:`outside_value`).

    Returns
    -------
    (*S) float32 array on the device of the data
        Or, with nearest-neighbour interpolation, of the original integer type.
    """
    if fill is None:
        fill = outside_value(values(data, valid))
    if interpolation == "nearest" and data.dtype.kind in "iu":
        return resampled_labels(data, shape, coordinates, "nearest", _whole(fill, data.dtype))
    found = warp(data, shape, coordinates, interpolation, fill, threads, kernels)
    if valid is not None:
        kind = "nearest" if interpolation == "nearest" else "linear"
        share = warp(valid.astype(np.float32), shape, coordinates, kind, 1.0, threads, kernels)
        found[share < 0.5] = np.nan
    return found


def _whole(fill: float, dtype: np.dtype[Any]) -> int:
    """Round and clip a value to an integer type."""
    limits = np.iinfo(dtype)
    if not limits.min <= fill <= limits.max or fill != round(fill):
        raise InputError(
            f"warp: `fill` must be a whole number from {limits.min} to {limits.max}, for the image holds {dtype}; "
            f"got {fill:g}."
        )
    return int(fill)


def fill_value(value: Any, function: str) -> float | None:
    """Validate a fill value: a finite number, NaN or None.

    >>> fill_value(-1000, "varreg.solve")
    -1000.0
    """
    if value is None:
        return None
    number = np.inf
    if isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):
            number = float(value)
    if abs(number) > float(np.finfo(np.float32).max):  # False for NaN
        raise InputError(f"{function}: `fill` must be a number or None; got {value!r}.")
    return number


def outside_value(data: NDArray[Any]) -> float:
    """Value outside an image: its background if it has one, else its smallest intensity.

    Air is 0 in most scans, but -1024 in CT, and white in a slide.

    Parameters
    ----------
    data : (*S) float array
        NaN where it holds no data.

    Examples
    --------
    >>> scan = np.full((8, 8), -1000.0)
    >>> scan[3:5, 3:5] = 40
    >>> outside_value(scan)
    -1000.0
    """
    sample = on_host(data.reshape(-1)[:: max(1, data.size // SAMPLE)])
    known = sample[np.isfinite(sample)]
    low, high = robust_range(known) if known.size else (0.0, 0.0)
    if not low < high:
        return low
    ends = [on_host(data.take((0, -1), axis).ravel()) for axis in range(data.ndim)]
    border = np.concatenate(ends)
    border = border[np.isfinite(border)]
    if not border.size:
        return low
    unit = unit_intensities(border, (low, high))
    value = background_value(unit.reshape(-1, 1).repeat(2, axis=1))  # all of this image is border
    if value is None:
        return low
    distance = np.abs(unit - np.float32(value))
    nearest = np.sort(border[distance == distance.min()])
    return float(
        nearest[len(nearest) // 2]
    )  # an existing value, exactly; a mean may overflow the type
