"""Warping of pictures with all channels, in their original data type."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..images.image import Image
from ..images.pictures import PICTURE_SUFFIXES, rows_by_columns
from ..images.reading import read_pixels
from ..images.slide_files import may_be_pyramid

if TYPE_CHECKING:
    from .inverse import Inverse
    from .transform import Transform


def is_picture(path: str | os.PathLike[str]) -> bool:
    """Whether a path has the suffix of a picture.

    >>> is_picture("slide.TIF"), is_picture("t1.nii.gz")
    (True, False)
    """
    return Path(os.fsdecode(path)).suffix.lower() in PICTURE_SUFFIXES or may_be_pyramid(path)


def warped_pixels(
    onto: Transform | Inverse,
    path: str | os.PathLike[str],
    interpolation: str = "linear",
    fill: float | None = None,
    *,
    function: str,
) -> np.ndarray:
    """A warped picture, with colours and opacity.

    Parameters
    ----------
    onto : Transform or Inverse
        Between 2D images.
    path : str, PathLike or ImageFile
    interpolation, fill
        As for :meth:`Transform.warp`, for each channel; a picture with opacity is transparent outside.
    function : str
        Name for the messages.

    Returns
    -------
    (n, m) or (n, m, channels) array
        Of the data type of the picture; integers are rounded.
    """
    stored = read_pixels(path, argument="image", function=function)
    pixels = rows_by_columns(stored.array)
    opacity = pixels.shape[-1] - 1 if pixels.shape[-1] in (2, 4) else None
    found = []
    for channel in range(pixels.shape[-1]):
        image: Any = pixels[..., channel]
        if stored.affine is not None:
            image = Image.from_array(image, affine=stored.affine)
        found.append(onto.warp(image, interpolation, 0 if channel == opacity else fill))
    warped = np.stack(found, axis=-1)
    if pixels.dtype.kind in "iu":
        limits = np.iinfo(pixels.dtype)
        warped = np.clip(np.rint(warped), limits.min, limits.max).astype(pixels.dtype)
    return warped if stored.array.ndim == 3 else warped[..., 0]
