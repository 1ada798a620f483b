"""Whether a given map is worth starting from: what the solver finds by itself may be better.

A network asked about images unlike those of its training, or a transform of other images, would only
lead the descent into the wrong valley; and the affine map that comes with a displacement is not
changed any more.  The energy decides, so a start is never given up for something that is worse by it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..backends.arrays import Array
from ..stages.affine import affine_stage
from ..stages.initialisations import NAMES
from ..stages.levels import Recorder, affine_energy
from ..stages.problem import Problem
from .warm_start import WarmStart

AFFINE_PART = "its affine map alone"
OWN = "the affine map that the solver finds"


@dataclass(frozen=True)
class Rival:
    """An affine map of less energy than a given start.

    Attributes
    ----------
    affine : (d + 1, d + 1) array
        Fixed world -> moving world.
    name : str
    """

    affine: Array
    name: str


def rival_of(problem: Problem, warm: WarmStart, recorder: Recorder) -> Rival | None:
    """The affine map to start from instead of a given map, if one has less energy.

    Those are its own affine part, and what the affine stage finds, for which that part is one start
    among others.

    Parameters
    ----------
    problem : Problem
    warm : WarmStart
    recorder : Recorder
        Of the affine stage, if its answer is the one.
    """
    aside = Recorder(recorder.observer)
    found = affine_stage(problem, "affine", NAMES, False, aside, also=warm.affine)
    least = warm.report.energy.total
    alone, own = (_energy(problem, matrix) for matrix in (warm.affine, found))
    if own < min(least, alone):
        recorder.levels += aside.levels
        recorder.history += aside.history
        return Rival(found, OWN)
    return Rival(warm.affine, AFFINE_PART) if alone < least else None


def _energy(problem: Problem, matrix: Array) -> float:
    """At the finest level, of the similarity of the deformable stage."""
    return affine_energy(problem, matrix, needs_view=False, deformable=True).total
