"""Alternative initialisations: affine maps that may be better than a deforming start.

A network asked about images unlike those of its training, or a transform of other images, would only
lead the descent into the wrong valley; and the affine map that comes with a displacement is not
changed any more.  The energy decides, so a start is never given up for something that is worse by it.
"""

from __future__ import annotations

from ..backends.arrays import Array
from ..stages.affine import affine_stage
from ..stages.initialisations import NAMES
from ..stages.levels import Recorder, affine_energy
from ..stages.problem import Problem
from .warm_start import WarmStart

AFFINE_PART = "its affine map alone"
OWN = "the affine map that the solver finds"


def alternative(
    problem: Problem, model: str, warm: WarmStart, recorder: Recorder
) -> tuple[Array, str] | None:
    """The affine map of less energy than a start, and its name, if there is one.

    Those are the start's own affine part, and what the affine stage finds, for which that part is one
    initialisation among others.

    Parameters
    ----------
    problem : Problem
    model : {"translation", "rigid", "similarity", "affine"}
    warm : WarmStart
    recorder : Recorder
        Of the affine stage, if its answer is the one.
    """
    aside = Recorder(recorder.observer)
    found = affine_stage(problem, model, NAMES, False, aside, also=warm.affine)
    least = warm.report.energy.total
    alone, own = (
        affine_energy(problem, matrix, deformable=True).total for matrix in (warm.affine, found)
    )
    if own < min(least, alone):
        recorder.adopt(aside)
        return found, OWN
    return (warm.affine, AFFINE_PART) if alone < least else None
