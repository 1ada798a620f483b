"""Pictures of scalars and fields as arrays of pixels; all functions are pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]
Pixels = NDArray[np.uint8]

#: det(id + grad u) -> colour: blue for contraction, dark for no change, orange for expansion.  The colour scale uses
#: the signed power 0.6 of the difference from 1, so that small changes are visible; the axis of the legend is linear.
DETERMINANT_COLOURS = (
    (-1.0, (158, 202, 255)),
    (-0.5, (64, 128, 214)),
    (0.0, (22, 24, 30)),
    (0.5, (206, 112, 34)),
    (1.0, (255, 214, 140)),
)
POWER = 0.6
FOLDED = (255, 45, 130)
EDGE_COLOUR, GRID_COLOUR = (255, 157, 46), (255, 221, 87)


def to_bytes(image: Float, low: float, high: float) -> Pixels:
    """Grey values: black up to `low`, white from `high`.

    Examples
    --------
    >>> to_bytes(np.array([-1.0, 0.5, 2.0]), 0.0, 1.0).tolist()
    [0, 128, 255]
    """
    unit = (np.asarray(image, dtype=np.float64) - low) / max(high - low, 1e-30)
    return np.round(255 * np.clip(unit, 0, 1)).astype(np.uint8)


def edge_thresholds(picture: Float, sigma: float) -> tuple[float, float]:
    """Hysteresis thresholds of the gradient for :func:`edges`, from a typical picture.

    Parameters
    ----------
    picture : (rows, columns) array
        Values in [0, 1].
    sigma : float
        Standard deviation of the Gaussian, in pixels.

    Returns
    -------
    low, high : float
        Above 0, so that a constant picture has no edges.
    """
    strong = float(np.percentile(_steepness(picture, sigma), 97))
    return max(0.16 * strong, 1e-4), max(0.4 * strong, 2e-4)


def edges(picture: Float, sigma: float, thresholds: tuple[float, float]) -> NDArray[np.bool_]:
    """Canny edges (doi 10.1109/TPAMI.1986.4767851).

    Parameters
    ----------
    picture : (rows, columns) array
        Values in [0, 1].
    sigma : float
        Standard deviation of the Gaussian, in pixels.
    thresholds : (float, float)
        Hysteresis thresholds of the gradient, per pixel: low and high.

    Returns
    -------
    (rows, columns) array of bool
    """
    from skimage.feature import canny

    low, high = (8 * threshold for threshold in thresholds)  # gain of the Sobel filter
    picture = np.asarray(picture, dtype=np.float64)
    found = canny(picture, sigma, low_threshold=low, high_threshold=high, mode="nearest")
    return np.asarray(found, dtype=bool)


def soft_line(mask: NDArray[np.bool_], width: float = 0.5) -> Float:
    """Opacity, in [0, 1], of anti-aliased lines one pixel wide."""
    from scipy.ndimage import gaussian_filter

    return np.clip(3.15 * width * gaussian_filter(mask.astype(np.float64), width), 0, 1)


def level_lines(coordinate: Float, spacing: float, width: float = 1.0) -> Float:
    """Opacity of the lines where a coordinate is a multiple of `spacing`, anti-aliased.

    Parameters
    ----------
    coordinate : (rows, columns) array
        Any smooth scalar.
    spacing : float
        Distance of lines, in the unit of the coordinate.
    width : float
        Line width, in pixels.

    Returns
    -------
    (rows, columns) array on [0, 1]

    Examples
    --------
    >>> ramp = np.arange(9.0)[:, None] * np.ones((9, 9))
    >>> level_lines(ramp, 4.0)[:, 0].tolist()
    [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    """
    coordinate = np.asarray(coordinate, dtype=np.float64)
    slope = np.hypot(*np.gradient(coordinate))
    away = np.abs(coordinate - spacing * np.round(coordinate / spacing))
    pixels = away / np.maximum(slope, 1e-6)
    return np.clip(0.5 + 0.5 * width - pixels, 0, 1)


def determinant_colours(values: Float) -> Pixels:
    """Colours of det(id + grad u), from 0 to 2; a separate colour for folds, at 0 and below.

    Parameters
    ----------
    values : (...) array

    Returns
    -------
    (..., 3) array

    Examples
    --------
    >>> determinant_colours(np.array([1.0, 0.0, -3.0])).tolist()
    [[22, 24, 30], [255, 45, 130], [255, 45, 130]]
    """
    values = np.asarray(values, dtype=np.float64)
    change = np.clip(values - 1, -1, 1)
    place = np.sign(change) * np.abs(change) ** POWER
    stops = [stop for stop, _ in DETERMINANT_COLOURS]
    channels = [
        np.interp(place, stops, [colour[k] for _, colour in DETERMINANT_COLOURS]) for k in range(3)
    ]
    pixels = np.round(np.stack(channels, axis=-1)).astype(np.uint8)
    pixels[values <= 0] = FOLDED
    return pixels


def tinted(opacity: Float, colour: tuple[int, int, int]) -> Pixels:
    """(rows, columns, 4) pixels of one colour and the given opacity."""
    pixels = np.empty((*opacity.shape, 4), dtype=np.uint8)
    pixels[..., :3] = colour
    pixels[..., 3] = to_bytes(opacity, 0.0, 1.0)
    return pixels


def _steepness(picture: Float, sigma: float) -> Float:
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(np.asarray(picture, dtype=np.float64), sigma, mode="nearest")
    return np.hypot(*np.gradient(smooth))
