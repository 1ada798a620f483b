"""Slides that are made: tissue with a known map, written by tifffile as scanners write it."""

from __future__ import annotations

import numpy as np
import tifffile
from scipy.ndimage import gaussian_filter

import varreg

MICRON = 1e-3


def texture(shape, seed=0, channels=3):
    """Smooth colours, uint8."""
    random = np.random.default_rng(seed)
    smooth = gaussian_filter(random.standard_normal((*shape, channels)), (3, 3, 0))
    return np.clip(127 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def means(array, factor):
    """Blocks of pixels as one, what is left over at the ends dropped; (n, m) or (n, m, channels)."""
    n, m = (size // factor for size in array.shape[:2])
    blocks = array[: n * factor, : m * factor].reshape(n, factor, m, factor, *array.shape[2:])
    return blocks.mean((1, 3)).astype(array.dtype)


def write_slide(path, array, pixel=0.5, levels=3, axes=None, **changes):
    """An OME-TIFF with sub-files; (n, m), (n, m, 3), or with axes CYX channels first."""
    axes = axes or ("YX" if array.ndim == 2 else "YXS")
    kind = {
        "photometric": "rgb" if axes == "YXS" else "minisblack",
        "tile": (64, 64),
        "compression": "zlib",
    } | changes
    sizes = (
        {}
        if pixel is None
        else {
            f"PhysicalSize{axis}{end}": value
            for axis in "XY"
            for end, value in (("", pixel), ("Unit", "µm"))
        }
    )
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(array, subifds=levels - 1, metadata={"axes": axes, **sizes}, **kind)
        for level in range(1, levels):
            last = np.moveaxis(array, 0, -1) if axes == "CYX" else array
            small = means(last, 2**level)
            small = np.moveaxis(small, -1, 0) if axes == "CYX" else small
            file.write(np.ascontiguousarray(small), subfiletype=1, **kind)
    return path


def bent(fixed, moving=None):
    """A map between slides, of a turn, a shift and a bend of ten pixels of the fixed grid."""
    random = np.random.default_rng(1)
    nodes = np.stack([gaussian_filter(random.standard_normal((20, 24)), 3) for _ in range(2)])
    nodes *= 10 * fixed.spacing[0] / np.abs(nodes).max()
    angle = np.deg2rad(9)
    affine = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]]
    )
    affine[:2, 2] = fixed.centre - affine[:2, :2] @ fixed.centre + 4 * fixed.spacing
    return varreg.Transform(fixed, moving or fixed, affine, nodes)
