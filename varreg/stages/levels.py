"""Levels of a stage: descents with their records, and energies of affine maps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ..backends.arrays import Array
from ..backends.compilation import computing_time
from ..energy.affine import AffineObjective
from ..errors import OverlapError
from ..optimise.history import Energy, Iteration, Level, Stop
from ..optimise.minimise import Descent, minimise
from ..optimise.objective import Evaluation, Objective
from ..options.options import Options
from ..similarity.choice import affine_choice, deformable_choice
from .problem import Problem

NOTHING_IN_VIEW = (
    "varreg.solve: no voxel inside the mask of `fixed` maps to one inside the mask of "
    "`moving`: the fields of view or the masks do not overlap; enlarge the masks, or pass "
    "another `start`."
)

Observer = Callable[[Iteration], None]


class Recorder:
    """History and level summaries of a registration.

    Parameters
    ----------
    observer : callable or None
        Called with every iteration.
    """

    def __init__(self, observer: Observer | None) -> None:
        self.observer = observer
        self.history: list[Iteration] = []
        self.levels: list[Level] = []
        #: Sum of the last steps of the deformable stage, u at the nodes (mm), if it ran.
        self.recent: Array | None = None
        #: Energy of u = 0 at the finest level, if the deformable stage evaluated it.
        self.still: Energy | None = None

    def run(
        self,
        objective: Objective,
        state: Any,
        options: Options,
        iterations: int,
        place: tuple[str, int, float],
        shape: tuple[int, ...],
        **settings: Any,
    ) -> Descent:
        """Run and record the descent of one level of one stage.

        Parameters
        ----------
        objective, state, options, iterations, settings
            Arguments of :func:`varreg.optimise.minimise.minimise`.
        place : (str, int, float)
            Stage, level and coarsening factor.
        shape : tuple of int
            Shape of the fixed image at the level.

        Returns
        -------
        Descent
        """
        stage, level, factor = place
        begun = computing_time()
        ended = minimise(
            objective, state, options, iterations, stage=stage, level=level, factor=factor,
            observe=self._record, **settings,
        )  # fmt: skip
        self.levels.append(
            Level(
                stage, level, factor, shape, ended.iterations, ended.evaluations, ended.stop,
                ended.gradient_reduction, computing_time() - begun,
            )
        )  # fmt: skip
        return ended

    def _record(self, iteration: Iteration) -> None:
        self.history.append(iteration)
        if self.observer is not None:
            self.observer(iteration)

    def reset(self) -> None:
        """Clear all records."""
        self.recent = self.still = None
        self.history.clear()
        self.levels.clear()

    def affine_alone(self) -> Recorder:
        """Copy of the recorder with the records of the affine stage only."""
        other = Recorder(self.observer)
        other.history = [step for step in self.history if step.stage == "affine"]
        other.levels = [level for level in self.levels if level.stage == "affine"]
        return other

    def adopt(self, other: Recorder) -> None:
        """Append the records of another recorder."""
        self.recent, self.still = other.recent, other.still
        self.levels += other.levels
        self.history += other.history


def lower_start(objective: Objective, carried: Any, origin: Any) -> tuple[Any, Evaluation]:
    """State of lower energy, with its evaluation: coarser levels may have moved away from a good start."""
    return lower(objective, carried, origin, objective.evaluate(origin))


def lower(
    objective: Objective, carried: Any, origin: Any, there: Evaluation
) -> tuple[Any, Evaluation]:
    """:func:`lower_start` with a given evaluation of the origin."""
    states = [(origin, there), (carried, objective.evaluate(carried))]
    return min(states, key=lambda pair: pair[1].energy.total)


def affine_evaluation(
    problem: Problem, affine: Array, deformable: bool = False, level: int = -1
) -> Evaluation:
    """Evaluation of an affine map at a level, with the similarity of the affine or of the deformable stage.

    Parameters
    ----------
    problem : Problem
    affine : (d + 1, d + 1) array
        Fixed world -> moving world (mm).
    deformable : bool
        Whether to use the similarity of the deformable stage.
    level : int
        Index into the levels of the problem; the finest by default.
    """
    choose = partial(deformable_choice, coarsest=False) if deformable else affine_choice
    similarity = problem.similarity(problem.factors[level], tuple(map(choose, problem.names)))
    weight, guides = problem.options.similarity_weight, problem.options.points_weight
    objective = AffineObjective(
        similarity, "translation", weight, points=problem.points, points_weight=guides
    )
    return objective.evaluate(affine)


def affine_energy(problem: Problem, affine: Array, deformable: bool = False) -> Energy:
    """Energy of an affine map at the finest level, cached; see :func:`affine_evaluation`."""
    key = affine.tobytes(), deformable
    if key not in problem.energies:
        problem.energies[key] = affine_evaluation(problem, affine, deformable).energy
    return problem.energies[key]


def starting_energy(problem: Problem, deformable: bool) -> Energy:
    """Energy before registration, with the similarity of the last stage."""
    return affine_energy(problem, np.eye(problem.fixed.grid.dim + 1), deformable)


def identical_level(problem: Problem) -> Level:
    """Record of a registration of identical images."""
    shape = problem.fixed.grid.shape
    return Level("affine", 0, 1.0, shape, 0, 0, Stop.IDENTICAL, 0.0, 0.0)


@contextlib.contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Store the time spent in the context in a dictionary, without the compilation and loading of kernels."""
    clock = computing_time()
    yield
    seconds[name] = computing_time() - clock


def check_view(evaluation: Evaluation) -> Evaluation:
    """Return the evaluation, or raise if there is no overlap.

    Raises
    ------
    OverlapError
        If no voxel is in view.
    """
    if evaluation.in_view == 0:
        raise OverlapError(NOTHING_IN_VIEW)
    return evaluation
