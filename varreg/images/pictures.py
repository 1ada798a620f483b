"""2D pictures (PNG, TIFF, JPEG, BMP): reading and writing."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..errors import BackendError, InputError
from .voxels import refuse_kind

PICTURE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")

_EXPANSION = 1032  # of DEFLATE, the strongest common compression; larger claims are refused


class Picture(NamedTuple):
    """A picture as an image: grey values, opacity, and whether it was in colour."""

    pixels: np.ndarray
    opaque: np.ndarray | None
    coloured: bool


def grey_picture(stored: np.ndarray, *, function: str) -> Picture:
    """Convert a picture to grey values: luminance of colours, no data where it is more than half transparent.

    Parameters
    ----------
    stored : (n, m) or (n, m, channels) array
        As `read_picture` returns it.
    function : str
        Name for the message.

    Returns
    -------
    Picture
        Grey values as stored, luminance in [0, 1]; `opaque` is None without transparency.

    Examples
    --------
    >>> grey_picture(np.ones((4, 4, 3)), function="varreg.solve").coloured
    True
    """
    if stored.ndim == 2:
        return Picture(stored, None, False)
    if stored.shape[-1] == 2:
        return Picture(np.asarray(stored[..., 0]), _opaque(stored), False)
    skimage = _scikit_image(f"{function}: luminance")
    return Picture(np.asarray(skimage.color.rgb2gray(stored[..., :3])), _opaque(stored), True)


def rows_by_columns(stored: np.ndarray) -> np.ndarray:
    """A picture with a trailing channel axis, also for one channel."""
    return stored if stored.ndim == 3 else stored[..., None]


def read_picture(path: Path, *, argument: str, function: str) -> np.ndarray:
    """Read a 2D picture as stored.

    Parameters
    ----------
    path : Path
        An existing file with one of `PICTURE_SUFFIXES`.
    argument, function : str
        Names for the message.

    Returns
    -------
    (n, m) or (n, m, channels) array
        Rows first; with 2 (grey and opacity), 3 (colours) or 4 channels.

    Raises
    ------
    InputError
        If the file holds several pages or CMYK colours.
    BackendError
        If scikit-image is not installed.
    Exception
        Any exception of the decoder; `varreg.images.reading.read_path` converts it.

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
    refuse_kind(pixels.dtype, argument=argument, function=function, received=path.name)
    channels = pixels.shape[-1] if pixels.ndim == 3 else 1
    known = (1, 2, 3) if suffix in (".jpg", ".jpeg") else (1, 2, 3, 4)
    if pixels.ndim not in (2, 3) or channels not in known:
        raise InputError(
            f"{function}: `{argument}` is {str(path)!r} with pixels of shape {pixels.shape}; it "
            "must be one 2D page in grey or RGB. Save one page, or a volume as NIfTI."
        )
    return pixels


def _opaque(pixels: np.ndarray) -> np.ndarray | None:
    """Mask of pixels with at least half opacity, the last channel of two or four."""
    if pixels.shape[-1] == 3 or pixels.dtype.kind == "f":
        return None
    return np.asarray(pixels[..., -1] >= np.iinfo(pixels.dtype).max / 2)


def write_picture(
    path: Path, array: np.ndarray, spacing: tuple[float, float] | None = None, *, function: str
) -> None:
    """Write a 2D array as PNG or TIFF, or the pixels of a picture.

    PNG: integers and booleans unchanged, 8 or 16 bit; floating point is scaled from its
    0.1 and 99.9 percentiles to 16 bit.  TIFF: floating point as float32, integers unchanged.

    Parameters
    ----------
    path : Path
        Ends in ``.png``, ``.tif`` or ``.tiff``.
    array : (n, m) array, or (n, m, channels) of integers
        Rows first; 2 channels are grey and opacity, 3 colours, 4 both.
    spacing : (float, float), optional
        Height and width of a pixel in mm, recorded in a TIFF.
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
        if pixels.ndim == 3 and pixels.shape[-1] in (2, 4):
            size["extrasamples"] = ["unassalpha"]
        coloured = pixels.ndim == 3 and pixels.shape[-1] > 2
        # scikit-image would interpret an image of 3 or 4 rows as colour.
        kind = "rgb" if coloured else "minisblack"
        size |= {"planarconfig": "contig"} if pixels.ndim == 3 else {}
        tifffile.imwrite(path, pixels, photometric=kind, **size)


def _scikit_image(purpose: str) -> ModuleType:
    """Import scikit-image on first use, as it takes longer than the import of varreg."""
    try:
        import skimage.color
        import skimage.io
    except ImportError as error:
        raise BackendError(f"{purpose} needs scikit-image: pip install scikit-image") from error
    return skimage


def _refuse_claim(path: Path) -> None:
    """Refuse a TIFF that claims more than it can hold; its reader allocates the claim, other readers have limits."""
    import tifffile

    with tifffile.TiffFile(path) as pages:
        claimed = sum(int(series.nbytes) for series in pages.series)
    if claimed > path.stat().st_size * _EXPANSION:
        raise ValueError(f"its header claims {claimed} bytes, more than the file can hold")


def _narrowed(array: np.ndarray, function: str) -> np.ndarray:
    """Labels unchanged, in the smallest type that picture formats support."""
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > np.iinfo(np.uint16).max:
        raise InputError(
            f"{function}: `array` has labels from {low} to {high}; pictures hold 0 to 65535. "
            "Renumber the labels or write NIfTI."
        )
    return array.astype(np.uint8 if high <= np.iinfo(np.uint8).max else np.uint16)


def _stretched(array: np.ndarray, function: str) -> np.ndarray:
    """Grey values scaled between two percentiles to 16 bit, robust to single bright voxels.

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
    if high <= low:  # a few bright voxels on a uniform background
        low, high = known.min(), known.max()
    values = np.where(np.isnan(values), low, values)
    width = max(float(high - low), float(np.finfo(np.float64).tiny))
    grey = np.clip((values - low) / width, 0.0, 1.0)
    return np.asarray(np.rint(grey * np.iinfo(np.uint16).max), dtype=np.uint16)
