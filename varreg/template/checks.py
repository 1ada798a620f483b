"""Checks of a template."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..optimise.check import Check
from ..optimise.lengths import length

#: Largest motion of the template in the last round, in voxels.
STILL = 0.5
#: Outliers of the correlation with the template: this many median absolute deviations, and this much, below the median.
ODD, LEAST = 5.0, 0.05
#: Smallest number of participants for a meaningful mean.
FEW = 4


def template_checks(
    names: Sequence[str], likeness: Sequence[float], moved: float, spacing: float,
    warned: Sequence[tuple[str, ...]],
) -> tuple[Check, ...]:  # fmt: skip
    """The checks of a template.

    Parameters
    ----------
    names : sequence of str
    likeness : sequence of float
        Correlation of each participant with the template.
    moved : float
        Mean displacement by the last round, mm.
    spacing : float
        Smallest voxel size of the template, mm.
    warned : sequence of tuple of str
        Warnings of the last registration of each participant.
    """
    return (
        _unlike(names, np.asarray(likeness)),
        _registrations(names, warned),
        _moved(moved, spacing),
        _few(len(names)),
    )


def _unlike(names: Sequence[str], likeness: np.ndarray) -> Check:
    middle = float(np.median(likeness))
    spread = float(np.median(np.abs(likeness - middle)))
    limit = middle - max(ODD * spread, LEAST)
    odd = [
        f"{name} ({value:.2f})"
        for name, value in zip(names, likeness, strict=True)
        if value < limit
    ]
    description = (
        f"of {', '.join(odd)}, the others' is about {middle:.2f}"
        if odd
        else f"from {likeness.min():.2f}"
    )
    return Check(
        "people", float(likeness.min()), limit, not odd,
        f"The correlation with the template is {description}.",
        "Inspect the images and maps of these people, and exclude them if they do not belong to the group.",
    )  # fmt: skip


def _registrations(names: Sequence[str], warned: Sequence[tuple[str, ...]]) -> Check:
    warnings = [(name, each[0]) for name, each in zip(names, warned, strict=True) if each]
    first = f"; the first, {warnings[0][0]}: {warnings[0][1]}" if warnings else "."
    return Check(
        "registrations", float(len(warnings)), 0.0, not warnings,
        f"{len(warnings)} of {len(names)} last registrations have warnings{first}",
        "Register these people to the template one by one (varreg register) and inspect the report.",
    )  # fmt: skip


def _moved(moved: float, spacing: float) -> Check:
    return Check(
        "mean map", moved, STILL * spacing, moved <= STILL * spacing,
        f"The last round still moved the template by {length(moved)} mm on average.",
        "Add a round.",
    )  # fmt: skip


def _few(people: int) -> Check:
    return Check(
        "number of people", float(people), float(FEW), people >= FEW,
        f"The template is the mean of {people} people.",
        "With so few people each one affects the template; add people if it is to represent a group.",
    )  # fmt: skip
