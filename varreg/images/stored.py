"""An image as stored: voxels, affine, name and warnings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..optimise.check import Check


@dataclass(frozen=True)
class Stored:
    """Content of a file or object, before conversion to an image.

    Attributes
    ----------
    array : ndarray
        Voxels, scaling applied.
    affine : array or None
        Voxel -> world (mm), if given.
    name : str
        File name, or "".
    opaque : bool array or None
        Voxels with data, of the shape of the voxels; None if all are, or if only NaN marks those without.
    checks : tuple of Check
        Warnings: only checks that did not pass.
    notes : tuple of str
        Changes on reading, one sentence each.
    """

    array: NDArray[Any]
    affine: NDArray[Any] | None = None
    name: str = ""
    opaque: NDArray[np.bool_] | None = None
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()
