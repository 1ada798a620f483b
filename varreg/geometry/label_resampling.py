"""Resampling of label maps: the label of largest interpolated weight."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends.namespace import empty
from .displacement import Float
from .resampling import Coordinates, clamp, each_slab, outside

LABEL_RULES = ("linear", "nearest")


def resampled_labels(
    labels: NDArray[Any],
    shape: tuple[int, ...],
    coordinates: Coordinates,
    rule: str,
    fill: int = 0,
) -> NDArray[Any]:
    """Warp a label map: the label of largest linearly interpolated weight at every point.

    Equivalent to linear warping of the indicator image of each label and the label of the largest
    value, the lower one in case of ties.  Only the 2^d voxels around a point are used, so that time
    and memory do not depend on the number of labels.

    Parameters
    ----------
    labels : (*T) array
        Integers, on the host or on the device of the coordinates.
    shape, coordinates
        As in :func:`varreg.geometry.resampling.warp`.
    rule : {"linear", "nearest"}
        "nearest" for the label of the nearest voxel.
    fill : int
        Label outside the field of view.

    Returns
    -------
    (*S) array of the dtype of `labels`, on the same device.
    """
    result = empty(shape, labels.dtype, labels)

    def read(slab: slice) -> None:
        points = coordinates(slab)
        absent = outside(points, labels.shape)
        clamp(points, labels.shape)
        if rule == "nearest":
            result[slab] = labels[tuple(np.rint(points).astype(np.intp))]
        else:
            result[slab] = _largest_share(labels, points)
        result[slab][absent] = fill

    each_slab(read, shape, like=labels)
    return result


def _largest_share(labels: NDArray[Any], points: Float) -> NDArray[Any]:
    """Argmax over labels of the interpolated one-hot encoding, at points inside the array."""
    dim = labels.ndim
    low = [
        np.minimum(p.astype(np.intp), max(n - 2, 0))
        for p, n in zip(points, labels.shape, strict=True)
    ]
    corners = list(np.ndindex(*(2,) * dim))
    high = [np.minimum(index + 1, n - 1) for index, n in zip(low, labels.shape, strict=True)]
    pairs = list(zip(low, high, strict=True))
    found = [labels[tuple(pairs[axis][bit] for axis, bit in enumerate(c))] for c in corners]
    winner = found[0]
    mixed = np.zeros_like(winner, dtype=bool)
    for other in found[1:]:
        mixed |= other != winner
    # Most points lie inside one structure and need no comparison of weights.
    candidates = np.stack([value[mixed] for value in found])
    fraction = [points[axis][mixed].astype(np.float64) - low[axis][mixed] for axis in range(dim)]
    shares = np.stack([_corner_weight(fraction, corner) for corner in corners])
    winner[mixed] = _contest(candidates, shares)
    return winner


def _corner_weight(fraction: list[Float], corner: tuple[int, ...]) -> Float:
    """Multilinear weight of one corner of the cell."""
    weight = np.ones_like(fraction[0])
    for f, bit in zip(fraction, corner, strict=True):
        weight *= f if bit else 1 - f
    return weight


def _contest(candidates: NDArray[Any], shares: Float) -> NDArray[Any]:
    """Candidate of the largest summed weight in each column of (2^d, n), the lower one in case of ties."""
    winner, best = candidates[0].copy(), np.full_like(shares[0], -1.0)
    for candidate in candidates:
        total = np.where(candidates == candidate, shares, 0).sum(axis=0)
        better = (total > best) | ((total == best) & (candidate < winner))
        winner[better], best[better] = candidate[better], total[better]
    return winner
