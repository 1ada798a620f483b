"""History of a registration: one record per accepted step, one stopping reason per level."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from .lengths import length


class Stop(Enum):
    """Stopping reason of a level; the value is the clause of the message."""

    GRADIENT = "the gradient fell below its tolerance"
    STAGNATION = "the last steps gained almost nothing"
    BUDGET = "the maximum number of steps was reached"
    LINE_SEARCH = "no step along the descent direction lowered the energy any more"
    IDENTICAL = "the two images are identical voxel by voxel, so the result is the identity"
    STATIONARY = "the start is already a stationary point"

    def __str__(self) -> str:
        """
        >>> print(Stop.BUDGET)
        The solver stopped because the maximum number of steps was reached.
        """
        return f"The solver stopped because {self.value}."


@dataclass(frozen=True)
class Energy:
    """The energy and its terms.

    Attributes
    ----------
    similarity : float
        Mutual information in nats (larger is better).
    smoothness : float
        mean(abs(grad u)^2 + ell^(2 m - 2) abs(D^m u)^2) of order m, dimensionless; 0 in the affine stage.
    total : float
        The minimised energy, -lambda * similarity + mu * smoothness + nu * volume + eta * points + kappa * rigidity.
    volume : float
        mean((J^2 + J^-2 - 2) / 8), J = det(id + grad u), dimensionless; 0 if its weight is 0.
    points : float
        Weighted mean of the squared distances of matching points, mm^2; 0 without points.
    rigidity : float
        Squared strain within rigid masks, averaged over the whole image, dimensionless; 0 without masks.
    """

    similarity: float
    smoothness: float
    total: float
    volume: float = 0.0
    points: float = 0.0
    rigidity: float = 0.0

    @property
    def terms(self) -> str:
        """Text of the terms, without their weights.

        >>> Energy(0.5123, 0.02, -0.5, 0.031).terms
        '0.5123 nats, smoothness 0.0200, volume 0.0310'
        """
        volume = f", volume {self.volume:.4f}" if self.volume else ""
        points = f", points {self.points**0.5:.2f} mm apart" if self.points else ""
        rigid = f", rigidity {self.rigidity:.2g}" if self.rigidity else ""
        return (
            f"{self.similarity:.4f} nats, smoothness {self.smoothness:.4f}{volume}{points}{rigid}"
        )


@dataclass(frozen=True)
class Iteration:
    """Record of one accepted step; iteration 0 is the start of a level."""

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
    smallest_determinant: float  # lower bound of det(id + grad u) over the field of view


@dataclass(frozen=True)
class Trial(Iteration):
    """A step from one of several initialisations of the affine stage, not part of the history.

    Attributes
    ----------
    start : str
        Description of the initialisation.
    """

    start: str = ""


def descents(history: Iterable[Iteration]) -> list[list[Iteration]]:
    """Steps grouped by descent; a fine map has two descents at the coarsest level, with different energies.

    Every descent starts with iteration 0.
    """
    found: list[list[Iteration]] = []
    for step in history:
        if step.iteration == 0 or not found:
            found.append([])
        found[-1].append(step)
    return found


@dataclass(frozen=True)
class Level:
    """Summary of one level of one stage."""

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


@dataclass(frozen=True)
class HeadMotion:
    """Displacement of the foreground by the deformation, in mm.

    Attributes
    ----------
    mean, largest : float
        Mean and largest length of u over the foreground.
    further : float or None
        Estimate of the mean displacement by 20 further steps, from the sum of the last steps; an
        order of magnitude (``examples/benchmarks/further_steps.py``).  None if there was no descent, or no memory.
    """

    mean: float
    largest: float
    further: float | None


@dataclass(frozen=True)
class Unfolding:
    """Minimal damping of a start that folds or nearly folds.

    Attributes
    ----------
    before, after : float
        Lower bound of det(id + grad u) over the field of view.
    mean, largest : float
        Mean and largest change of the displacement, in mm.
    """

    before: float
    after: float
    mean: float
    largest: float

    def __str__(self) -> str:
        """
        >>> print(Unfolding(-0.5, 0.1, 0.02, 1.5))
        repaired by damping, which moved points by 0.02 mm (at most 1.50 mm) and raised the bound from -0.500 to 0.100
        """
        return (
            f"repaired by damping, which moved points by {length(self.mean)} mm (at most "
            f"{length(self.largest)} mm) and raised the bound from {self.before:.3f} to "
            f"{self.after:.3f}"
        )


@dataclass(frozen=True)
class StartReport:
    """The initial map of a registration, and its preparation.

    Attributes
    ----------
    kind : str
        Kind of the given start.
    energy : Energy
        Energy at the finest level after the preparation, an upper bound of the final energy.
    smallest_determinant : float
        Lower bound of det(id + grad u) of the given map over the field of view.
    mean_moved, largest_moved : float
        Change of the displacement (mm) by its projection onto the displacement grid; 0 without projection.
    unfolding : Unfolding or None
        Damping, if the start folded on the displacement grid.
    instead : str or None
        Start of lower energy used instead.
    """

    kind: str
    energy: Energy
    smallest_determinant: float
    mean_moved: float
    largest_moved: float
    unfolding: Unfolding | None
    instead: str | None = None
