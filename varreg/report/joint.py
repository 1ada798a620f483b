"""Joint histograms of two images on one grid, and their pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]
Range = tuple[float, float]

BINS = 64
#: Colour scale from few to many voxels, logarithmic.
COLOURS = (
    (0.0, (16, 18, 24)),
    (0.05, (38, 33, 84)),
    (0.35, (121, 40, 130)),
    (0.65, (229, 89, 84)),
    (0.88, (253, 190, 110)),
    (1.0, (252, 253, 225)),
)


def joint_histogram(
    fixed: Float, moving: Float, fixed_range: Range, moving_range: Range, bins: int = BINS
) -> NDArray[np.int64]:
    """Count the pairs of intensities at the same voxels.

    Parameters
    ----------
    fixed, moving : (n,) array
        Intensities of the voxels inside the mask.
    fixed_range, moving_range : (float, float)
        Intensities of the outer edges of the first and the last bin; values outside are clipped.
    bins : int
        Number of bins of either axis.

    Returns
    -------
    (bins, bins) array
        Row: bin of the fixed intensity; column: bin of the moving intensity.  The sum is n.

    Examples
    --------
    >>> joint_histogram(np.array([0.0, 1.0]), np.array([1.0, 1.0]), (0, 1), (0, 1), 2).tolist()
    [[0, 1], [0, 1]]
    """
    row, column = _bin(fixed, fixed_range, bins), _bin(moving, moving_range, bins)
    return np.bincount(row * bins + column, minlength=bins * bins).reshape(bins, bins)


def mutual_information(histogram: NDArray[np.integer]) -> float:
    """Mutual information of the counts, in nats; 0 if there are none.

    Examples
    --------
    >>> mutual_information(np.eye(2, dtype=int)) == float(np.log(2))
    True
    """
    total = histogram.sum()
    if total == 0:
        return 0.0
    p = histogram / total
    product = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    full = p > 0
    return float((p[full] * np.log(p[full] / product[full])).sum())


def histogram_picture(histogram: NDArray[np.integer], most: int) -> NDArray[np.uint8]:
    """(bins, bins, 3) pixels: fixed intensities to the right, moving upwards, counts on a logarithmic scale.

    Parameters
    ----------
    histogram : (bins, bins) array
        As returned by :func:`joint_histogram`.
    most : int
        Count of the brightest colour; larger counts are clipped.
    """
    unit = np.log1p(histogram.T[::-1]) / np.log1p(max(most, 1))
    stops = [stop for stop, _ in COLOURS]
    channels = [np.interp(unit, stops, [colour[k] for _, colour in COLOURS]) for k in range(3)]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8)


def _bin(values: Float, interval: Range, bins: int) -> NDArray[np.int64]:
    low, high = interval
    unit = (np.asarray(values, dtype=np.float64) - low) / max(high - low, 1e-30)
    return np.clip(np.floor(unit * bins), 0, bins - 1).astype(np.int64)
