"""The alternative to a deformable start: the result of the affine stage.

A network applied to images unlike those of its training, or a transform of other images, would
lead the descent to a wrong local minimum, and the affine part of a displacement is
not optimised further.  The energy decides, so that a start is never replaced by a map of higher energy.
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
    """The affine map of lower energy than the start, and its name, if there is one.

    The affine part of the start is one initialisation of the affine stage among others; that part
    by itself, with u = 0, is already a candidate of the smoothing-spline fit.

    Parameters
    ----------
    problem : Problem
    model : {"translation", "rigid", "similarity", "affine"}
    warm : WarmStart
    recorder : Recorder
        Receives the affine stage if its result is used.
    """
    aside = Recorder(recorder.observer)
    found = affine_stage(problem, model, STARTS, False, aside, also=warm.affine)
    if affine_energy(problem, found, deformable=True).total >= warm.report.energy.total:
        return None
    recorder.adopt(aside)
    return found, OWN
