"""Small picture for visual quality control of a registration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .pictures import EDGE_COLOUR, edge_thresholds, edges, soft_line, to_bytes
from .plots.panels import intensity_window
from .plots.planes import middle_planes
from .tiles import resized

if TYPE_CHECKING:
    from ..results.result import Result

#: Pixels: height of the picture; and standard deviation of the Gaussian before edge detection.
HEIGHT, SIGMA = 150, 1.2


def thumbnail(result: Result) -> Any:
    """The middle planes of the fixed image, overlaid with the edges of the warped image.

    Parameters
    ----------
    result : Result
        With its fixed image.

    Returns
    -------
    PIL.Image.Image
        All planes side by side.
    """
    from PIL import Image

    assert result.fixed is not None
    fixed, warped = result.fixed.data, np.nan_to_num(result.warped.values)
    windows = intensity_window(fixed), intensity_window(warped)
    tiles = []
    for plane in middle_planes(result.fixed.grid.shape, result.fixed.grid.affine):
        below, above = plane.cut(fixed), plane.cut(warped)
        rows, columns = below.shape
        width = max(8, round(HEIGHT * columns / (rows * plane.aspect)))
        grey = to_bytes(resized(below, HEIGHT, width), *windows[0])
        unit = to_bytes(resized(above, HEIGHT, width), *windows[1]) / 255
        line = soft_line(edges(unit, SIGMA, edge_thresholds(unit, SIGMA)))[..., None]
        tiles.append(np.round((1 - line) * grey[..., None] + line * np.array(EDGE_COLOUR)))
    return Image.fromarray(np.concatenate(tiles, axis=1).astype(np.uint8))
