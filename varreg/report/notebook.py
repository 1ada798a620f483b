"""Notebook display of a result: a small picture and the text summary; it never raises."""

from __future__ import annotations

import html
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .pictures import to_bytes
from .plots.panels import checkerboard, grey
from .plots.planes import middle_planes
from .tiles import data_uri, resized

#: Longest side of a picture, in pixels.
SIDE = 240


def notebook_html(result: Any) -> str:
    """Checkerboards of fixed and moving image before and after registration, and ``str(result)``.

    Parameters
    ----------
    result : Result or Prediction
        For a loaded result, only the warped image is shown.

    Returns
    -------
    str
        HTML; text only if the pictures cannot be drawn.
    """
    try:
        words = str(result)
    except Exception:
        words = object.__repr__(result)
    try:
        pictures = "".join(_figure(*item) for item in _pictures(result))
    except Exception:  # an error of the display must not hide the result
        pictures = ""
    return (
        f'<div class="varreg"><div style="display:flex;flex-wrap:wrap;gap:12px">{pictures}</div>'
        f'<pre style="white-space:pre-wrap">{html.escape(words)}</pre></div>'
    )


def _pictures(result: Any) -> list[tuple[str, NDArray[np.uint8]]]:
    warped, grid = result.warped.data, result.warped.grid
    plane = middle_planes(grid.shape, grid.affine)[0]
    height, width = plane.cut(warped).shape
    size = np.array([height * plane.aspect, width])
    rows, columns = (max(1, round(part)) for part in SIDE * size / size.max())

    def shown(image: NDArray[np.floating]) -> NDArray[np.floating]:
        return resized(plane.cut(grey(image)), rows, columns)

    if result.fixed is None or result.moving is None:
        return [("moving image, after", to_bytes(shown(warped), 0, 1))]
    transform = result.transform
    still = replace(transform, affine=np.eye(transform.fixed.dim + 1), nodes=None)
    fixed = shown(result.fixed.data)
    return [
        (
            f"checkerboard of fixed and moving image, {when}",
            to_bytes(checkerboard(fixed, shown(image)), 0, 1),
        )
        for when, image in (("before", np.nan_to_num(still.warp(result.moving))), ("after", warped))
    ]


def _figure(caption: str, pixels: NDArray[np.uint8]) -> str:
    return (
        f'<figure style="margin:0"><img src="{data_uri(pixels, 85)}" width="{pixels.shape[1]}" '
        f'height="{pixels.shape[0]}" alt="{html.escape(caption)}"><figcaption>{html.escape(caption)}'
        "</figcaption></figure>"
    )
