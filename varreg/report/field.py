"""Pictures of the displacement field: hue for direction, brightness for length, with arrows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]
Pixels = NDArray[np.uint8]

#: Smallest length of full brightness, as a share of the extent: 1.5 to 2 mm for a head, so that 0.2 mm stay dark.
LEAST_SHARE = 0.01
#: Pixels between arrows, and the length of the longest arrow as a share of this.
ARROW_STEP, ARROW_LENGTH = 20, 0.85
#: Arrows shorter than this, in pixels, are omitted.
SHORTEST = 4.0


def full_colour(lengths: Float, extent: float) -> float:
    """Length of full brightness, a round number: the 99.5 percentile, at least a share of the extent.

    Parameters
    ----------
    lengths : array
        abs(u) of the shown voxels, in mm.
    extent : float
        Mean extent of the shown region, in mm.

    Examples
    --------
    >>> full_colour(np.array([0.2]), 180.0), full_colour(np.array([7.3]), 180.0)
    (2.0, 10.0)
    """
    least = max(float(np.percentile(lengths, 99.5)), LEAST_SHARE * extent)
    power = 10.0 ** math.floor(math.log10(least))
    return next(
        m * power for m in (1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0) if m * power >= least * (1 - 1e-9)
    )


def field_colours(down: Float, right: Float, full: float) -> Pixels:
    """Hue by direction, brightness by length: red to the right, green-yellow up, cyan left, violet down.

    Parameters
    ----------
    down, right : (rows, columns) array
        Components of the displacement downwards and to the right of the picture, in mm.
    full : float
        Length of full brightness, in mm.

    Returns
    -------
    (rows, columns, 3) array
        Black for zero displacement.

    Examples
    --------
    >>> field_colours(np.array([[0.0]]), np.array([[2.0]]), 2.0).tolist()
    [[[255, 38, 38]]]
    """
    hue = np.mod(np.arctan2(-down, right) / (2 * np.pi), 1.0)
    value = np.clip(np.hypot(down, right) / full, 0, 1)
    # for the hue, each channel is a trapezium function around the colour circle
    channels = [np.clip(np.abs(np.mod(6 * hue + s, 6) - 3) - 1, 0, 1) for s in (0.0, 4.0, 2.0)]
    colour = 1 - 0.85 * (1 - np.stack(channels, axis=-1))
    return np.round(255 * value[..., None] * colour).astype(np.uint8)


def arrows(down: Float, right: Float, full: float) -> Float:
    """Opacity of arrows, (rows, columns) in [0, 1]: along u, not to scale.

    Arrows of full length have full brightness.  For the parameters see :func:`field_colours`.
    """
    from PIL import Image, ImageDraw

    rows, columns = down.shape
    drawing = Image.new("L", (2 * columns, 2 * rows))  # twice the size, for smooth edges
    pen = ImageDraw.Draw(drawing)
    for row in range(ARROW_STEP // 2, rows, ARROW_STEP):
        for column in range(ARROW_STEP // 2, columns, ARROW_STEP):
            vector = np.array([right[row, column], down[row, column]]) / full
            vector *= ARROW_LENGTH * ARROW_STEP / max(1.0, float(np.linalg.norm(vector)))
            if np.linalg.norm(vector) >= SHORTEST:
                _arrow(pen, 2 * np.array([column, row]), 2 * vector)
    return np.asarray(drawing.resize((columns, rows), Image.Resampling.BOX), np.float64) / 255


def with_arrows(down: Float, right: Float, full: float) -> Pixels:
    """:func:`field_colours` with white :func:`arrows` over them."""
    opacity = 0.8 * arrows(down, right, full)[..., None]
    colours = field_colours(down, right, full)
    return np.round(colours * (1 - opacity) + 255 * opacity).astype(np.uint8)


def wheel(side: int = 120) -> Pixels:
    """The legend: a disc of all directions, full brightness at the rim; (side, side, 4), transparent outside."""
    place = (np.arange(side) + 0.5) / (side / 2) - 1
    down, right = place[:, None] + 0 * place, place + 0 * place[:, None]
    radius = np.hypot(down, right)
    opacity = np.round(255 * np.clip((1 - radius) * side / 2, 0, 1)).astype(np.uint8)
    return np.concatenate([field_colours(down, right, 1.0), opacity[..., None]], axis=-1)


def _arrow(pen: object, centre: Float, vector: Float) -> None:
    start, end = centre - vector / 2, centre + vector / 2
    along = vector / np.linalg.norm(vector)
    across = np.array([-along[1], along[0]])
    head = min(7.0, 0.5 * float(np.linalg.norm(vector)))
    line = pen.line  # type: ignore[attr-defined]
    line([*start, *end], fill=255, width=2)
    for side in (-0.6, 0.6):
        line([*end, *(end - head * along + side * head * across)], fill=255, width=2)
