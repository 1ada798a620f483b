"""The choice of the affine part: the headers, a rigid map, or an affine one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..backends.arrays import Array
from ..checks.moved_head import MovedHead
from ..geometry.affine_models import nearest_of_model
from ..optimise.model_choice import AFFINE_GAIN, LEAST_MOTION, RIGID_GAIN, ModelChoice
from ..stages.affine import affine_factors, affine_levels
from ..stages.levels import Recorder, affine_energy
from ..stages.problem import Problem


@dataclass(frozen=True)
class AffineChoice:
    """An affine map, and why it was taken.

    Attributes
    ----------
    matrix : (d + 1, d + 1) array
    model : {"affine", "rigid", "headers"}
        The last if no rigid map is clearly better than what they say.
    gain : float
        What the affine map gains over the rigid one, as a share of its energy.
    energy : float
        The least that was found with the model or a simpler one: a deformation must be better than that, not only
        better than headers that were kept for the sake of simplicity.
    rigid_gain, motion : float or None
        What the rigid map gains over the headers, as a share of its energy, and how far it moves the head, root mean
        square, mm; None if they were not compared.
    """

    matrix: Array
    model: str
    gain: float
    energy: float
    rigid_gain: float | None = None
    motion: float | None = None

    def said(self, choice: ModelChoice) -> ModelChoice:
        """The choice of a model with what is known of its affine part."""
        return replace(
            choice,
            affine=self.model,
            affine_gain=self.gain,
            rigid_gain=self.rigid_gain,
            motion=self.motion,
        )


def simplest_affine(
    problem: Problem, matrix: Array, first: int, deformable: bool, recorder: Recorder
) -> AffineChoice:
    """An affine map carried on to the finest level, or a simpler one that is worth nearly as much.

    Parameters
    ----------
    problem : Problem
    matrix : (d + 1, d + 1) array
    first : int
        The level of the affine stage to carry it on with.
    deformable : bool
        Whether the similarity of the deformable stage compares.
    recorder : Recorder
        Of the answer.
    """
    affine, rigid = Recorder(recorder.observer), Recorder(recorder.observer)
    found = affine_levels(problem, "affine", matrix, first, affine)
    near = nearest_of_model(found, "rigid", problem.fixed.grid)
    near = affine_levels(problem, "rigid", near, finest(problem), rigid)
    rich, simple = (affine_energy(problem, m, deformable).total for m in (found, near))
    gain = share_gained(simple, rich)
    if gain > AFFINE_GAIN:
        recorder.adopt(affine)
        return AffineChoice(found, "affine", gain, rich)
    recorder.adopt(rigid)
    headers = np.eye(len(near))
    least = affine_energy(problem, headers, deformable).total
    over, motion = share_gained(least, simple), moved(problem, near)
    kept = over <= RIGID_GAIN and motion < LEAST_MOTION * mean_spacing(problem)
    if kept or least <= simple:
        return AffineChoice(headers, "headers", gain, min(least, simple), over, motion)
    return AffineChoice(near, "rigid", gain, simple, over, motion)


def moved(problem: Problem, matrix: Array) -> float:
    """How far a map moves the head, root mean square, mm."""
    head = MovedHead(problem, matrix, None)
    return float(np.sqrt(np.square(head.there - head.points).sum(0).mean()))


def finest(problem: Problem) -> int:
    """The last level that an affine stage may have."""
    return len(affine_factors(problem, last=True)) - 1


def headers_are_better(problem: Problem, matrix: Array) -> bool:
    """Whether the images share more where their headers place them, by the deformable stage's similarity.

    The affine stage compares what is in view, and may find something in images that show little.
    """
    headers = affine_energy(problem, np.eye(len(matrix)), deformable=True).total
    found = affine_energy(problem, matrix, deformable=True).total
    return share_gained(found, headers) > AFFINE_GAIN


def share_gained(simple: float, rich: float) -> float:
    """What the richer model gains, as a share of its energy; both are negative if anything is shared."""
    return (simple - rich) / abs(rich) if rich < 0 else 0.0


def mean_spacing(problem: Problem) -> float:
    """Geometric mean of the voxel sizes of the fixed image, mm."""
    return float(np.exp(np.log(problem.fixed.grid.spacing).mean()))
