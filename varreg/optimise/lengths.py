"""Lengths in words, of images of metres as of microns."""

from __future__ import annotations

#: What is shorter than this (mm) is 0 but for rounding.
ROUNDING = 1e-9


def length(millimetres: float, digits: int = 2) -> str:
    """A length in mm with so many decimals; with two figures if those would show almost nothing.

    >>> length(2.861), length(0.00012345), length(0.0), length(12.3, 0)
    ('2.86', '0.00012', '0.00', '12')
    """
    small = ROUNDING < abs(millimetres) < 10.0**-digits * 5
    return f"{millimetres:.2g}" if small else f"{millimetres:.{digits}f}"
