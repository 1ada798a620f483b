"""Checks of a result: a measured value, its limit, and a remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NONE_MADE = "Checks: none were run (a result of an earlier version, or of another method)."
SILENT = "Checks: no warnings (this is not a proof; inspect the images)."


@dataclass(frozen=True)
class Check:
    """One check of a result.

    Attributes
    ----------
    name : str
        Short name, the same in every version.
    value, limit : float
        Measured value, and the limit beyond which the check warns.
    passed : bool
        Whether the value is within the limit.
    sentence : str
        Text of the finding.
    remedy : str
        Advice in case of a warning.
    """

    name: str
    value: float
    limit: float
    passed: bool
    sentence: str
    remedy: str

    def __str__(self) -> str:
        """
        >>> print(Check("folds", -0.1, 0.0, False, "The map folds.", "Raise smoothness_weight."))
        The map folds. Raise smoothness_weight.
        """
        return f"{self.sentence} {self.remedy}"

    def __repr__(self) -> str:
        """
        >>> [Check("folds", 0.5, 0.0, True, "No fold.", "Raise smoothness_weight.")]
        [<Check 'folds' passed: No fold. (0.5, limit 0)>]
        >>> Check("folds", -0.1, 0.0, False, "The map folds.", "Raise smoothness_weight.")
        <Check 'folds' warning: The map folds. (-0.1, limit 0) Raise smoothness_weight.>
        """
        figures = f"({self.value:.3g}, limit {self.limit:.3g})"
        if self.passed:
            return f"<Check {self.name!r} passed: {self.sentence} {figures}>"
        return f"<Check {self.name!r} warning: {self.sentence} {figures} {self.remedy}>"


def failed(checks: Sequence[Check]) -> tuple[Check, ...]:
    """Checks that did not pass, in the given order."""
    return tuple(check for check in checks if not check.passed)


def first_line(checks: Sequence[Check]) -> str:
    """Summary of all checks in one line.

    Examples
    --------
    >>> first_line([Check("folds", -0.1, 0.0, False, "The map folds.", "Raise smoothness_weight.")])
    'Checks: 1 warning: The map folds.'
    >>> first_line([])
    'Checks: none were run (a result of an earlier version, or of another method).'
    """
    if not checks:
        return NONE_MADE
    warnings = failed(checks)
    if not warnings:
        return SILENT
    count = f"{len(warnings)} warning{'' if len(warnings) == 1 else 's'}"
    return f"Checks: {count}: {' '.join(check.sentence for check in warnings)}"


def remedies(checks: Sequence[Check]) -> str:
    """Distinct remedies of the failed checks, in one line; empty if all passed.

    >>> remedies([Check("folds", -0.1, 0.0, False, "The map folds.", "Raise smoothness_weight.")])
    'Possible remedies: Raise smoothness_weight.'
    """
    advice = list(dict.fromkeys(check.remedy for check in failed(checks)))
    return f"Possible remedies: {' '.join(advice)}" if advice else ""
