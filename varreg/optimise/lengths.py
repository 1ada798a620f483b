"""Formatting of lengths, for images of any scale."""

from __future__ import annotations

#: Shorter lengths (mm) are rounding errors of 0.
ROUNDING = 1e-9


def length(millimetres: float, digits: int = 2) -> str:
    """Length in mm with a number of decimals, or with two significant digits if it is too short for them.

    >>> length(2.861), length(0.00012345), length(0.0), length(12.3, 0)
    ('2.86', '0.00012', '0.00', '12')
    """
    small = ROUNDING < abs(millimetres) < 10.0**-digits * 5
    return f"{millimetres:.2g}" if small else f"{millimetres:.{digits}f}"
