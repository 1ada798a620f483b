"""Slices and patches of volumes that hold enough to be worth registering."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from varreg.errors import InputError

#: A voxel above this intensity (of [0, 1]), or any label but 0, is foreground.
FOREGROUND = 0.05
_TRIES = 20  # random patches looked at before the fullest of them is taken


def fit(array: NDArray[Any], shape: tuple[int, ...], centre: tuple[float, ...]) -> NDArray[Any]:
    """Cut out, or pad with zeros, so that a given point comes to the middle.

    Parameters
    ----------
    array : (..., *T) array
        Its last ``len(shape)`` axes are in space.
    shape : tuple of int
        (*S), voxels of the result.
    centre : tuple of float
        Point of `array` (voxel) that comes to the middle of the result, to the nearest voxel.

    Returns
    -------
    (..., *S) array
        A copy.

    Raises
    ------
    InputError
        If the numbers of axes do not agree or a size is not positive.

    Examples
    --------
    >>> fit(np.arange(5), (3,), (2.0,)).tolist(), fit(np.arange(2), (4,), (0.5,)).tolist()
    ([1, 2, 3], [0, 0, 1, 0])
    """
    dim = len(shape)
    if not 0 < dim <= array.ndim or len(centre) != dim or min(shape) < 1:
        raise InputError(
            f"fit: `shape` {shape} and `centre` {centre} must have one positive number per axis in "
            f"space of `array`, whose shape is {array.shape}."
        )
    result = np.zeros(array.shape[: array.ndim - dim] + tuple(shape), dtype=array.dtype)
    source: list[Any] = [...]
    target: list[Any] = [...]
    for n, wanted, middle in zip(array.shape[-dim:], shape, centre, strict=True):
        start = int(np.ceil(middle - (wanted - 1) / 2 - 0.5))
        low, high = max(start, 0), min(start + wanted, n)
        high = max(low, high)
        source.append(slice(low, high))
        target.append(slice(low - start, high - start))
    result[tuple(target)] = array[tuple(source)]
    return result


def content_centre(foreground: NDArray[np.bool_]) -> tuple[float, ...]:
    """Middle of the smallest box around the foreground (voxel); of the array if there is none.

    Parameters
    ----------
    foreground : (*T) bool array

    Returns
    -------
    tuple of float

    Examples
    --------
    >>> content_centre(np.eye(8, dtype=bool)[:, 2:5])
    (3.0, 1.0)
    """
    centre = []
    for axis, n in enumerate(foreground.shape):
        others = tuple(other for other in range(foreground.ndim) if other != axis)
        inside = np.flatnonzero(foreground.any(axis=others))
        centre.append(float(inside[0] + inside[-1]) / 2 if inside.size else (n - 1) / 2)
    return tuple(centre)


def full_slices(foreground: NDArray[np.bool_], axis: int, least_share: float) -> NDArray[np.intp]:
    """Positions along an axis of the slices with enough foreground.

    Parameters
    ----------
    foreground : (n, m, k) bool array
    axis : {0, 1, 2}
        The axis across the slices.
    least_share : float
        Share of foreground wanted, of that of the fullest slice, in [0, 1].

    Returns
    -------
    (count,) int array
        Increasing; empty slices are never among them.

    Raises
    ------
    InputError
        If `foreground` is not 3D or another argument is out of range.

    Examples
    --------
    >>> volume = np.zeros((4, 4, 5), bool)
    >>> volume[..., 2] = True
    >>> full_slices(volume, 2, 0.3).tolist()
    [2]
    """
    if foreground.ndim != 3 or axis not in (0, 1, 2) or not 0 <= least_share <= 1:
        raise InputError(
            "full_slices: `foreground` must be 3D, `axis` 0, 1 or 2 and `least_share` in [0, 1]; "
            f"got shape {foreground.shape}, {axis!r} and {least_share!r}."
        )
    counts = foreground.sum(axis=tuple(other for other in range(3) if other != axis))
    return np.flatnonzero((counts > 0) & (counts >= least_share * counts.max()))


def random_patch_centre(
    foreground: NDArray[np.bool_],
    shape: tuple[int, ...],
    least_share: float,
    generator: torch.Generator,
) -> tuple[float, ...]:
    """Middle of a random patch with enough foreground.

    Parameters
    ----------
    foreground : (*T) bool array
    shape : tuple of int
        (*S), of the patch; along an axis where it is the longer one, the content is centred.
    least_share : float
        Share of foreground wanted in the patch, in [0, 1]; of 20 patches that all have less the
        fullest is taken.
    generator : torch.Generator

    Returns
    -------
    tuple of float
        In voxels, for :func:`fit`.

    Examples
    --------
    >>> full = np.ones((9, 9, 9), bool)
    >>> random_patch_centre(full, (9, 9, 16), 0.5, torch.Generator())
    (4.0, 4.0, 4.0)
    """
    best, middle = -1.0, content_centre(foreground)
    for _ in range(_TRIES):
        draws = torch.rand(len(shape), generator=generator, dtype=torch.float64).tolist()
        centre = tuple(
            (wanted - 1) / 2 + int(draw * (n - wanted + 1)) if wanted < n else point
            for n, wanted, draw, point in zip(foreground.shape, shape, draws, middle, strict=True)
        )
        share = float(fit(foreground, shape, centre).mean())
        if share > best:
            best, chosen = share, centre
        if share >= least_share:
            break
    return chosen
