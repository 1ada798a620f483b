"""Logarithm for entropies, with 0 log 0 = 0."""

from __future__ import annotations

import numpy as np

from .arrays import Array


def logarithm(value: Array) -> Array:
    """Natural logarithm, 0 where the value is 0."""
    return np.log(value, out=np.zeros_like(value), where=value > 0)
