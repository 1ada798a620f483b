"""Weights of the axes of the displacement."""

from __future__ import annotations

from ..errors import InputError
from .names import AXES
from .options import Options


def axis_weights(options: Options, dimension: int) -> tuple[float, ...] | None:
    """The weight of each axis of the displacement; None if all are equal.

    Raises
    ------
    InputError
        If the axes are not those of an image of this dimension.

    Examples
    --------
    >>> axis_weights(Options(axes="j"), 3)
    (0.0, 1.0, 0.0)
    """
    axes = options.axes
    if axes is None:
        return None
    letters = AXES[:dimension]
    if isinstance(axes, str):
        known = set(axes) <= set(letters)
        weights = tuple(float(letter in axes) for letter in letters)
    else:
        known, weights = len(axes) == dimension, axes
    if not known:
        raise InputError(
            f"`Options(axes=...)` is {axes!r}, but the images are {dimension}D: give letters of "
            f"{', '.join(letters)}, or {dimension} weights."
        )
    return weights
