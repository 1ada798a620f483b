"""All checks of a result."""

from __future__ import annotations

from ..optimise.check import Check
from ..similarity.choice import affine_choice
from .alternatives import Alternatives
from .answer import Answer
from .energies import shared, smoothness, worse_than_nothing
from .extent import (
    coincidence,
    folds,
    largest_displacement,
    mean_deformation,
    scales,
    shift,
    view,
    volume,
)
from .orientation import orientations


def checks_of(answer: Answer) -> tuple[Check, ...]:
    """All applicable checks of a result, the most informative first.

    Parameters
    ----------
    answer : Answer

    Returns
    -------
    tuple of Check
        Checks by shared information are omitted if the similarity does not measure information, or is 0.
    """
    alternatives = None
    if "ssd" not in map(affine_choice, answer.problem.names):
        alternatives = Alternatives(answer)
        if not alternatives.here.similarity > 0:
            alternatives = None
    found = [
        scales(answer),
        volume(answer),
        view(answer),
        shift(answer),
        *(orientations(alternatives) if alternatives else ()),
        shared(answer, alternatives) if alternatives else None,
        worse_than_nothing(answer),
        mean_deformation(answer),
        largest_displacement(answer),
        smoothness(answer),
        folds(answer),
        coincidence(answer),
    ]
    return tuple(check for check in found if check is not None)
