"""Voxels that hold no data: NaN, infinity, transparency, hidden values of masked arrays.

They are excluded, as by a mask, and never used as intensities: zeros in their place would be dark tissue.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..backends.namespace import scipy_for
from ..errors import InputError
from .voxels import as_float32

#: Width in voxels of the window for extending data into voxels without data; the support of interpolation is smaller.
WINDOW = 5


def filled(
    array: NDArray[np.generic],
    opaque: NDArray[np.bool_] | None = None,
    *,
    argument: str,
    function: str,
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Finite voxels, and the mask of those with data, both on the device of the input.

    Parameters
    ----------
    array : (*S) array
        Real numbers, not empty.
    opaque : (*S) bool array, optional
        Voxels with data according to other information than the values.
    argument, function : str
        Names for the messages.

    Returns
    -------
    data : (*S) float32 array
        C-contiguous.  Voxels without data are assigned the mean of the data near them; if there are none near, the median.
    valid : (*S) bool array or None
        Voxels with data; None if all.

    Raises
    ------
    InputError
        If there are no data at all, or values exceed the range of float32.

    Examples
    --------
    >>> data, valid = filled(np.array([[1, np.nan, 3.0]]), argument="image", function="warp")
    >>> data.tolist(), valid.tolist()
    ([[1.0, 2.0, 3.0]], [[True, False, True]])
    """
    names = {"argument": argument, "function": function}
    if opaque is None and _all_finite(array):
        return as_float32(array, **names), None
    valid = np.isfinite(array) if opaque is None else np.isfinite(array) & opaque
    if valid.all():
        return as_float32(array, **names), None
    if not valid.any():
        raise InputError(
            f"{function}: `{argument}` holds no data: every voxel is NaN, infinite or transparent; check how it was "
            "made."
        )
    # in double precision: the mean of two large values may overflow float32
    middle = float(np.median(as_float32(array[valid], **names).astype(np.float64)))
    data = as_float32(np.where(valid, array, middle), **names)
    return _extended(data, valid), valid


def parts(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Result of :func:`filled` for voxels with NaN, also if there are no data at all.

    >>> parts(np.full((2, 2), np.nan, np.float32))[0].tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    if np.isnan(values).all():
        return np.zeros(values.shape, np.float32), np.zeros(values.shape, bool)
    return filled(values, argument="values", function="varreg.Image")


def values(data: NDArray[np.float32], valid: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """The voxels with NaN where there are no data; `data` itself if all voxels hold data."""
    return data if valid is None else np.where(valid, data, np.float32(np.nan))


def no_data_note(valid: NDArray[np.bool_] | None, argument: str) -> tuple[str, ...]:
    """The note about voxels without data, if there are any."""
    if valid is None:
        return ()
    count = int(valid.size - valid.sum())
    return (
        f"{count} voxels of `{argument}` ({100 * count / valid.size:.3g} %) hold no data (NaN, infinite or transparent) "
        "and were left out.",
    )


def _all_finite(array: NDArray[np.generic]) -> bool:
    """NaN and infinity propagate through min and max, so that no mask of the whole image is needed."""
    if array.dtype.kind != "f":
        return True
    with np.errstate(all="ignore"):
        return bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def _extended(data: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Extend the data into neighbouring voxels without data, so that interpolation at the border is not biased."""
    ndimage = scipy_for(data, "ndimage")
    middle = data[~valid][0]
    known = np.where(valid, data - middle, np.float32(0))
    share = ndimage.uniform_filter(valid.astype(np.float32), WINDOW, mode="constant")
    total = ndimage.uniform_filter(known, WINDOW, mode="constant")
    near = ~valid & (share > 0.5 / WINDOW**data.ndim)
    result = data.copy()
    result[near] = np.clip(middle + total[near] / share[near], data.min(), data.max())
    return result
