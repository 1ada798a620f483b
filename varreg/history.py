"""What happened during the descent: one record per accepted step, one stop reason per level."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Stop(Enum):
    """Why a level ended; the value is the sentence shown to people."""

    GRADIENT = "the gradient fell below its tolerance"
    STAGNATION = "the last steps gained next to nothing"
    BUDGET = "the budget of iterations was spent"
    LINE_SEARCH = "no step along the descent direction lowered the energy any more"
    IDENTICAL = "the two images are the same voxel by voxel, so the answer is the identity"
    STATIONARY = "the start is already a stationary point"


@dataclass(frozen=True)
class Energy:
    """The energy and its split.

    Attributes
    ----------
    similarity : float
        Mutual information in nats (larger is better).
    smoothness : float
        mean(abs(grad u)^2 + ell^2 abs(Lap u)^2), no unit; 0 in the affine stage.
    total : float
        -lambda * similarity + mu * smoothness, what is minimised.
    """

    similarity: float
    smoothness: float
    total: float


@dataclass(frozen=True)
class Iteration:
    """One accepted step (iteration 0 is the start of a level)."""

    stage: str  # "affine" or "deformable"
    level: int  # 0 is the coarsest
    factor: float  # coarsening of the image at this level
    iteration: int
    energy: float
    similarity: float
    smoothness: float
    step: float
    backtracks: int
    gradient_norm: float
    largest_displacement: float  # mm, of u (deformable) or of the update (affine)
    smallest_determinant: float  # bound on det(id + grad u) over every point


@dataclass(frozen=True)
class Level:
    """How one level of one stage ended."""

    stage: str
    level: int
    factor: float
    shape: tuple[int, ...]
    iterations: int
    evaluations: int
    stop: Stop
    gradient_reduction: float  # last gradient norm / first
    seconds: float

    def __str__(self) -> str:
        size = " x ".join(map(str, self.shape))
        return (
            f"{self.stage} level {self.level} ({size}): {self.iterations} iterations, "
            f"stopped because {self.stop.value}"
        )
