"""The text report of a self-test."""

from __future__ import annotations

import platform
from collections.abc import Sequence

from .._version import __version__
from .running import Outcome


def line(outcome: Outcome) -> str:
    """Line of one outcome.

    Examples
    --------
    >>> print(line(Outcome("mi, 2D", 2e-7, 1e-5, True, 0.01, 0.04, "gradient 1.0e-06")))
    ok    2.0e-07 (at most 1e-05)  same bits  0.010 s, CPU 0.040 s  mi, 2D; gradient 1.0e-06
    """
    bits = "same bits" if outcome.same_bits else "OTHER BITS"
    verdict = "ok  " if outcome.passed else "FAIL"
    times = f"{outcome.seconds:.3f} s, CPU {outcome.cpu_seconds:.3f} s"
    description = f"{outcome.case}; {outcome.further}" if outcome.further else outcome.case
    return f"{verdict}  {outcome.difference:.1e} (at most {outcome.limit:g})  {bits}  {times}  {description}"


def heading(device: str) -> str:
    """Tested device and versions."""
    return f"varreg {__version__} self-test: {device}; {platform.platform()}"


def verdict(outcomes: Sequence[Outcome]) -> str:
    """Last line.

    Examples
    --------
    >>> verdict([Outcome("mi, 2D", 2e-7, 1e-5, True, 0.01, 0.04)])
    '1 of 1 cases passed.'
    """
    passed = sum(outcome.passed for outcome in outcomes)
    return f"{passed} of {len(outcomes)} cases passed."
