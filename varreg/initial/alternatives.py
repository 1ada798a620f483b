"""The alternative to a deforming start: the map that the affine stage finds.

A network applied to images unlike those of its training, or a transform of other images, would only
lead the descent to a wrong local minimum; and the affine map that comes with a displacement is not
changed any more.  The energy decides, so a start is never replaced by a map of higher energy.
"""

from __future__ import annotations

from ..backends.arrays import Array
from ..options.names import STARTS
from ..stages.affine import affine_stage
from ..stages.levels import Recorder, affine_energy
from ..stages.problem import Problem
from .warm_start import WarmStart

OWN = "the affine map that the solver finds"


def alternative(
    problem: Problem, model: str, warm: WarmStart, recorder: Recorder
) -> tuple[Array, str] | None:
    """The affine map of less energy than a start, and its name, if there is one.

    The start's own affine part is one initialisation of the affine stage among others; what it is
    worth alone, with u = 0, the smoothing spline has tried.

    Parameters
    ----------
    problem : Problem
    model : {"translation", "rigid", "similarity", "affine"}
    warm : WarmStart
    recorder : Recorder
        Of the affine stage, if its answer is the one.
    """
    aside = Recorder(recorder.observer)
    found = affine_stage(problem, model, STARTS, False, aside, also=warm.affine)
    if affine_energy(problem, found, deformable=True).total >= warm.report.energy.total:
        return None
    recorder.adopt(aside)
    return found, OWN
