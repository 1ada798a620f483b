"""Choice of the affine part: identity in world space (headers), rigid or affine."""

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
    """An affine map, and the reason for its choice.

    Attributes
    ----------
    matrix : (d + 1, d + 1) array
    model : {"affine", "rigid", "headers"}
        The last if no rigid map is clearly better than the header geometry.
    gain : float
        Gain of the affine map over the rigid one, as a share of its energy.
    energy : float
        Lowest energy found with the model or a simpler one: a deformation must gain relative to it, not only
        relative to headers that were preferred for simplicity.
    rigid_gain, motion : float or None
        Gain of the rigid map over the headers, as a share of its energy, and the motion of the head, root mean
        square, mm; None if they were not compared.
    """

    matrix: Array
    model: str
    gain: float
    energy: float
    rigid_gain: float | None = None
    motion: float | None = None

    def detailed_choice(self, choice: ModelChoice) -> ModelChoice:
        """The model choice with the details of the affine part."""
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
    """An affine map refined at the finest level, or a simpler one with nearly the same energy.

    Parameters
    ----------
    problem : Problem
    matrix : (d + 1, d + 1) array
    first : int
        First level of the affine refinement.
    deformable : bool
        Whether to compare by the similarity of the deformable stage.
    recorder : Recorder
        Recorder of the result.
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
    """Motion of the head by a map, root mean square, mm."""
    head = MovedHead(problem, matrix, None)
    return float(np.sqrt(np.square(head.there - head.points).sum(0).mean()))


def finest(problem: Problem) -> int:
    """The finest level of the affine stage."""
    return len(affine_factors(problem, last=True)) - 1


def headers_are_better(problem: Problem, matrix: Array) -> bool:
    """Whether the header geometry has the better similarity, as measured by the deformable stage.

    The affine stage evaluates only the field of view, and may find a spurious optimum in images with little content.
    """
    headers = affine_energy(problem, np.eye(len(matrix)), deformable=True).total
    found = affine_energy(problem, matrix, deformable=True).total
    return share_gained(found, headers) > AFFINE_GAIN


def share_gained(simple: float, rich: float) -> float:
    """Gain of the richer model, as a share of its energy; both are negative if the images share information."""
    return (simple - rich) / abs(rich) if rich < 0 else 0.0


def mean_spacing(problem: Problem) -> float:
    """Geometric mean of the voxel sizes of the fixed image, mm."""
    return float(np.exp(np.log(problem.fixed.grid.spacing).mean()))
