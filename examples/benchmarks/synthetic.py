"""Large pairs generated quickly: an enlarged small phantom, with noise at full resolution."""

from __future__ import annotations

from functools import cache

import checkout  # noqa: F401
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from varreg.data.phantom import DeformedPair, deformed_pair

#: Voxels per axis of the small phantom, by dimension.
SMALL = {2: 224, 3: 64}
NOISE = 0.02

Image = NDArray[np.float32]


def enlarged_pair(shape: tuple[int, ...], seed: int = 0) -> tuple[Image, Image]:
    """(fixed, moving) of a shape: what they show does not depend on it, the head fills them alike."""
    small = _small(len(shape), seed)
    rng = np.random.default_rng([seed, *shape])
    return _enlarged(small.fixed, shape, rng), _enlarged(small.moving, shape, rng)


def enlarged_answer(shape: tuple[int, ...], seed: int = 0) -> tuple[Image, NDArray[np.bool_]]:
    """The map of :func:`enlarged_pair`: displacement (d, *S) in voxels, and where it is judged."""
    small = _small(len(shape), seed)
    factors = [wanted / n for wanted, n in zip(shape, small.fixed.shape, strict=True)]
    enlarged = dict(order=1, mode="nearest", grid_mode=True)
    parts = [
        factor * ndimage.zoom(part, factors, **enlarged)
        for factor, part in zip(factors, small.displacement, strict=True)
    ]
    mask = ndimage.zoom(small.mask.astype(np.float32), factors, **enlarged) > 0.5
    return np.stack(parts).astype(np.float32), mask


@cache
def _small(dimension: int, seed: int) -> DeformedPair:
    shape = (SMALL[dimension],) * dimension
    return deformed_pair(shape, np.random.default_rng(seed), affine=True, noise=0.0)


def _enlarged(image: NDArray, shape: tuple[int, ...], rng: np.random.Generator) -> Image:
    if image.shape == shape:
        large = image.astype(np.float32)
    else:
        factors = [wanted / n for wanted, n in zip(shape, image.shape, strict=True)]
        large = ndimage.zoom(
            image.astype(np.float32), factors, order=1, mode="nearest", grid_mode=True
        )
    noise = rng.standard_normal(shape, dtype=np.float32)
    noise *= NOISE
    noise += large
    return np.where(large > 0, np.abs(noise), np.float32(0))
