"""2D pictures (PNG, TIFF, JPEG, BMP): reading them as images and writing images as pictures."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import BackendError, InputError
from .voxels import refuse_kind

PICTURE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")

_EXPANSION = 1032  # of DEFLATE, the strongest common compression; a larger claim is not believed


def read_picture(
    path: Path, *, argument: str, function: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read a 2D picture; colour becomes luminance, what is more than half transparent holds no data.

    Parameters
    ----------
    path : Path
        An existing file with one of `PICTURE_SUFFIXES`.
    argument, function : str
        Names for the message.

    Returns
    -------
    pixels : (n, m) array
        Rows first; grey values as stored, luminance in [0, 1].
    opaque : (n, m) bool array or None
        Where it holds data; None if it has no transparency.

    Raises
    ------
    InputError
        If the file holds several pages or CMYK colours.
    BackendError
        If scikit-image is not installed.
    Exception
        Whatever the decoder raises; `varreg.images.reading.read_path` explains it.

    Examples
    --------
    >>> read_picture(Path("slice.png"), argument="moving", function="varreg.solve")  # doctest: +SKIP
    """
    skimage = _scikit_image(f"{function}: `{argument}` is {str(path)!r}; reading pictures")
    suffix = path.suffix.lower()
    if suffix in (".tif", ".tiff"):
        _refuse_claim(path)
        pixels = np.asarray(skimage.io.imread(path))
    else:
        with open(path, "rb") as stream:  # imageio leaves files open that it cannot read
            pixels = np.asarray(skimage.io.imread(stream))
    refuse_kind(pixels.dtype, argument=argument, function=function, came=path.name)
    channels = pixels.shape[-1] if pixels.ndim == 3 else 1
    if channels == 2:
        return np.asarray(pixels[..., 0]), _opaque(pixels)
    if channels == 3 or (channels == 4 and suffix not in (".jpg", ".jpeg")):
        return np.asarray(skimage.color.rgb2gray(pixels[..., :3])), _opaque(pixels)
    if pixels.ndim != 2:
        raise InputError(
            f"{function}: `{argument}` is {str(path)!r} with pixels of shape {pixels.shape}; it "
            "must be one 2D page in grey or RGB. Save the page wanted, or a volume as NIfTI."
        )
    return pixels, None


def _opaque(pixels: np.ndarray) -> np.ndarray | None:
    """Where the last channel of two or four, the opacity, is at least half."""
    if pixels.shape[-1] == 3 or pixels.dtype.kind == "f":
        return None
    return np.asarray(pixels[..., -1] >= np.iinfo(pixels.dtype).max / 2)


def write_picture(
    path: Path, array: np.ndarray, spacing: tuple[float, float] | None = None, *, function: str
) -> None:
    """Write a 2D array as PNG or TIFF.

    PNG: integers and booleans as they are, 8 or 16 bit; floating point is stretched from its
    0.1 and 99.9 percentiles to 16 bit.  TIFF: floating point as float32, integers as they are.

    Parameters
    ----------
    path : Path
        Ends in ``.png``, ``.tif`` or ``.tiff``.
    array : (n, m) array
        Rows first.
    spacing : (float, float), optional
        Height and width of a pixel in mm, which a TIFF then states.
    function : str
        Name for the message.

    Raises
    ------
    InputError
        If integers do not fit 16 bit, or if floating point values are not finite.
    BackendError
        If scikit-image is not installed.

    Examples
    --------
    >>> write_picture(Path("slice.png"), np.eye(8), function="varreg.solve")  # doctest: +SKIP
    """
    skimage = _scikit_image(f"{function}: writing {path.suffix} pictures")
    if array.dtype.kind == "b":
        pixels = array.astype(np.uint8)
    elif array.dtype.kind in "iu":
        pixels = _narrowed(array, function)
    elif path.suffix.lower() == ".png":
        pixels = _stretched(array, function)
    else:
        pixels = array.astype(np.float32)
    if path.suffix.lower() == ".png":
        skimage.io.imsave(path, pixels, check_contrast=False)
    else:
        import tifffile

        size: dict[str, Any] = {}
        if spacing is not None:  # pixels per cm, columns first
            size = {"resolution": (10 / spacing[1], 10 / spacing[0]), "resolutionunit": 3}
        # scikit-image would take an image of 3 or 4 rows for colour.
        tifffile.imwrite(path, pixels, photometric="minisblack", **size)


def _scikit_image(purpose: str) -> ModuleType:
    """Import on first use: it takes longer than all of varreg."""
    try:
        import skimage.color
        import skimage.io
    except ImportError as error:
        raise BackendError(f"{purpose} needs scikit-image: pip install scikit-image") from error
    return skimage


def _refuse_claim(path: Path) -> None:
    """A TIFF reader allocates what the header claims; the other readers have limits of their own."""
    import tifffile

    with tifffile.TiffFile(path) as pages:
        claimed = sum(int(series.nbytes) for series in pages.series)
    if claimed > path.stat().st_size * _EXPANSION:
        raise ValueError(f"its header claims {claimed} bytes, more than the file can hold")


def _narrowed(array: np.ndarray, function: str) -> np.ndarray:
    """Labels as they are, in the smallest type that pictures know."""
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > np.iinfo(np.uint16).max:
        raise InputError(
            f"{function}: `array` has labels from {low} to {high}; pictures hold 0 to 65535. "
            "Renumber the labels or write NIfTI."
        )
    return array.astype(np.uint8 if high <= np.iinfo(np.uint8).max else np.uint16)


def _stretched(array: np.ndarray, function: str) -> np.ndarray:
    """Grey values between two percentiles, in 16 bit; single bright voxels do not darken all.

    NaN, where there are no data, becomes black.
    """
    values = array.astype(np.float64)
    if np.isinf(values).any():
        raise InputError(
            f"{function}: `array` holds infinity, which PNG cannot; replace it or write NIfTI."
        )
    known = values[~np.isnan(values)]
    if not known.size:
        known = np.zeros(1)
    low, high = np.percentile(known, [0.1, 99.9])
    if high <= low:  # a few bright voxels on a flat ground
        low, high = known.min(), known.max()
    values = np.where(np.isnan(values), low, values)
    width = max(float(high - low), float(np.finfo(np.float64).tiny))
    grey = np.clip((values - low) / width, 0.0, 1.0)
    return np.asarray(np.rint(grey * np.iinfo(np.uint16).max), dtype=np.uint16)
