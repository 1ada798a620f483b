"""An image as it was stored: voxels, place, name, and what is odd about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..optimise.check import Check


@dataclass(frozen=True)
class Stored:
    """What a file or an object holds, before it is an image.

    Attributes
    ----------
    array : ndarray
        Voxels, scaling applied.
    affine : array or None
        Voxel -> world (mm), if it came with one.
    name : str
        File name, or "".
    opaque : bool array or None
        Where there are data, of the shape of the voxels; None if that is all, or NaN alone tells.
    checks : tuple of Check
        What is odd: only what did not pass.
    notes : tuple of str
        What was done on reading, a sentence each.
    """

    array: NDArray[Any]
    affine: NDArray[Any] | None = None
    name: str = ""
    opaque: NDArray[np.bool_] | None = None
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()
