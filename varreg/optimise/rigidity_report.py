"""Report of the remaining deformation within rigid masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .check import Check

#: Relative change of length above which a structure is considered deformed.
LARGEST = 0.02


@dataclass(frozen=True)
class RigidityReport:
    """Deformation within rigid masks, without the affine part of the map.

    Attributes
    ----------
    mean, p95 : float
        Mean and 95th percentile of the largest relative change of length at a point.
    volume : float
        Mean absolute relative change of volume.
    """

    mean: float
    p95: float
    volume: float

    @classmethod
    def of(cls, stretches: NDArray[Any], weights: NDArray[Any]) -> RigidityReport | None:
        """Report from logarithms of principal stretches, (d, N), and weights, (N,); None without weight.

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


def rigidity_text(report: RigidityReport | None) -> str:
    """Text of the report.

    >>> rigidity_text(RigidityReport(0.0012, 0.0031, 0.0004))
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
    """Warning if structures within rigid masks are deformed."""
    if report is None or report.p95 <= LARGEST:
        return ()
    check = Check(
        "rigid masks", report.p95, LARGEST, False,
        f"Lengths within the rigid masks change by {100 * report.p95:.2g} % (95th percentile).",
        "Give `rigidity_weight` ten times its value, or more steps (`iterations`).",
    )  # fmt: skip
    return (check,)
