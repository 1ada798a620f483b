"""How far what is in a rigid mask kept its shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .check import Check

#: Change of length above which a shape is not kept.
LARGEST = 0.02


@dataclass(frozen=True)
class RigidityReport:
    """Shapes within rigid masks, apart from the affine map.

    Attributes
    ----------
    mean, p95 : float
        Of the largest change of length at a point, as a share: 0.01 is one per cent.
    volume : float
        Mean change of volume as a share, without its sign.
    """

    mean: float
    p95: float
    volume: float

    @classmethod
    def of(cls, stretches: NDArray[Any], weights: NDArray[Any]) -> RigidityReport | None:
        """From logarithms of principal stretches, (d, N), and weights, (N,); None without weight.

        Examples
        --------
        >>> RigidityReport.of(np.log([[1.02, 1.0], [0.98, 1.0]]), np.array([1.0, 3.0])).mean
        0.005102
        """
        total = float(weights.sum())
        if not total > 0:
            return None
        largest = np.expm1(np.abs(stretches).max(0))
        order = np.argsort(largest)
        reached = np.searchsorted(np.cumsum(weights[order]), 0.95 * total)
        volumes = np.abs(np.expm1(stretches.sum(0)))
        return cls(
            round(float(largest @ weights) / total, 6),
            round(float(largest[order][min(reached, len(order) - 1)]), 6),
            round(float(volumes @ weights) / total, 6),
        )


def told_rigidity(report: RigidityReport | None) -> str:
    """The report in words.

    >>> told_rigidity(RigidityReport(0.0012, 0.0031, 0.0004))
    'Rigid masks: lengths in them change by 0.12 % on average (95th percentile 0.31 %), volumes by 0.04 %.'
    """
    if report is None:
        return ""
    mean, p95, volume = (100 * part for part in (report.mean, report.p95, report.volume))
    return (
        f"Rigid masks: lengths in them change by {mean:.2g} % on average (95th percentile {p95:.2g} %), "
        f"volumes by {volume:.2g} %."
    )


def rigidity_checks(report: RigidityReport | None) -> tuple[Check, ...]:
    """Whether shapes within rigid masks are kept."""
    if report is None or report.p95 <= LARGEST:
        return ()
    check = Check(
        "rigid masks", report.p95, LARGEST, False,
        f"Lengths within the rigid masks change by {100 * report.p95:.2g} % (95th percentile).",
        "Give `rigidity_weight` ten times its value, or more steps (`iterations`).",
    )  # fmt: skip
    return (check,)
