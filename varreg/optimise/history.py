"""What happened during the descent: one record per accepted step, one stop reason per level."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from .lengths import length


class Stop(Enum):
    """Why a level ended; the value is the sentence shown to people."""

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
    """The energy and its split.

    Attributes
    ----------
    similarity : float
        Mutual information in nats (larger is better).
    smoothness : float
        mean(abs(grad u)^2 + ell^(2 m - 2) abs(D^m u)^2) of order m, no unit; 0 in the affine stage.
    total : float
        -lambda * similarity + mu * smoothness + nu * volume + eta * points + kappa * rigidity, what is minimised.
    volume : float
        mean((J^2 + J^-2 - 2) / 8), J = det(id + grad u), no unit; 0 where it has no weight.
    points : float
        Weighted mean of the squared distances of matching points, mm^2; 0 without points.
    rigidity : float
        Mean of the squared strain within rigid masks over all of the image, no unit; 0 without them.
    """

    similarity: float
    smoothness: float
    total: float
    volume: float = 0.0
    points: float = 0.0
    rigidity: float = 0.0

    @property
    def terms(self) -> str:
        """In words, without their weights.

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
class Trial(Iteration):
    """A step from one of several starts of the affine stage: it does not enter the history.

    Attributes
    ----------
    start : str
        Where it began, in words.
    """

    start: str = ""


def descents(history: Iterable[Iteration]) -> list[list[Iteration]]:
    """The steps of each descent: a fine map descends twice at the coarsest level, with two energies.

    Every descent has its start as iteration 0.
    """
    found: list[list[Iteration]] = []
    for step in history:
        if step.iteration == 0 or not found:
            found.append([])
        found[-1].append(step)
    return found


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


@dataclass(frozen=True)
class HeadMotion:
    """How far the deformation moves the head, not the air around it, in mm.

    Attributes
    ----------
    mean, largest : float
        Of abs(u) over the head.
    further : float or None
        Estimate of how far 20 further steps would move it on average: as far as the last steps did together,
        which is an order of magnitude (``examples/benchmarks/further_steps.py``); None if nothing was minimised last, or without
        memory.
    """

    mean: float
    largest: float
    further: float | None


@dataclass(frozen=True)
class Unfolding:
    """Damping of a start that folds, or comes too near to it: the least that ends this.

    Attributes
    ----------
    before, after : float
        Bound on det(id + grad u) over every point.
    mean, largest : float
        How far points were moved by it, in mm.
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
    """The map that a registration started from, and what had to be done to it first.

    Attributes
    ----------
    kind : str
        What it was given as.
    energy : Energy
        At the finest level, after what follows: the solver never ends above it.
    smallest_determinant : float
        Bound on det(id + grad u) of the map as it was given, over every point.
    mean_moved, largest_moved : float
        How far points were moved (mm) to bring u to the displacement grid; 0 if it was there.
    unfolding : Unfolding or None
        If it folded on the displacement grid.
    instead : str or None
        What of less energy was taken instead of it.
    """

    kind: str
    energy: Energy
    smallest_determinant: float
    mean_moved: float
    largest_moved: float
    unfolding: Unfolding | None
    instead: str | None = None
