"""An image as it was stored: voxels, place, name, and what is odd about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    checks : tuple of Check
        What is odd: only what did not pass.
    notes : tuple of str
        What was done on reading, a sentence each.
    """

    array: NDArray[Any]
    affine: NDArray[Any] | None = None
    name: str = ""
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()
