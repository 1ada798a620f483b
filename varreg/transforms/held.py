"""Extraction of the transform from a result or prediction."""

from __future__ import annotations

from typing import Any

from .inverse import Inverse
from .transform import Transform


def held_transform(value: Any) -> Transform | None:
    """The transform fixed -> moving of a :class:`Transform`, a result or a prediction.

    Parameters
    ----------
    value : Any

    Returns
    -------
    Transform or None
        None for any other value, and for an :class:`Inverse`, which maps moving -> fixed.

    Examples
    --------
    >>> import numpy as np
    >>> from varreg.geometry.grid import Grid
    >>> grid = Grid.with_spacing((8, 8))
    >>> transform = Transform(grid, grid, np.eye(3))
    >>> held_transform(transform) is transform, held_transform(transform.inverse()) is None
    (True, True)
    """
    if isinstance(value, Inverse):
        return None
    held = value if isinstance(value, Transform) else getattr(value, "transform", None)
    return held if isinstance(held, Transform) else None
