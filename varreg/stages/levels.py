"""One level of a stage: its descent and record, and the energy of an affine map."""

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
        Told of every iteration.
    """

    def __init__(self, observer: Observer | None) -> None:
        self.observer = observer
        self.history: list[Iteration] = []
        self.levels: list[Level] = []
        #: u of the last steps of the deformable stage together, at the nodes (mm), if it ran.
        self.recent: Array | None = None
        #: Of u = 0 at the finest level, if the deformable stage has evaluated it.
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
        """One level of one stage.

        Parameters
        ----------
        objective, state, options, iterations
            As for :func:`varreg.optimise.minimise.minimise`, which takes the `settings` too.
        place : (str, int, float)
            Stage, level and coarsening factor.
        shape : tuple of int
            Of the fixed image at the level.
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
        """Forget everything."""
        self.recent = self.still = None
        self.history.clear()
        self.levels.clear()

    def affine_alone(self) -> Recorder:
        """A recorder that holds what this one does of the affine stage."""
        other = Recorder(self.observer)
        other.history = [step for step in self.history if step.stage == "affine"]
        other.levels = [level for level in self.levels if level.stage == "affine"]
        return other

    def adopt(self, other: Recorder) -> None:
        """Append what another recorder holds."""
        self.recent, self.still = other.recent, other.still
        self.levels += other.levels
        self.history += other.history


def lower_start(objective: Objective, carried: Any, origin: Any) -> tuple[Any, Evaluation]:
    """The state of lower energy, and that energy: coarser levels may have drifted off a good start."""
    return lower(objective, carried, origin, objective.evaluate(origin))


def lower(
    objective: Objective, carried: Any, origin: Any, there: Evaluation
) -> tuple[Any, Evaluation]:
    """As :func:`lower_start`, with the evaluation of the origin."""
    states = [(origin, there), (carried, objective.evaluate(carried))]
    return min(states, key=lambda pair: pair[1].energy.total)


def affine_evaluation(
    problem: Problem, affine: Array, deformable: bool = False, level: int = -1
) -> Evaluation:
    """An affine map at a level, the finest by default, by the similarity of either stage.

    Parameters
    ----------
    problem : Problem
    affine : (d + 1, d + 1) array
        Fixed world -> moving world.
    deformable : bool
        Whether it is the similarity of the deformable stage rather than that of the affine one.
    level : int
        Index into the levels of the problem.
    """
    choose = partial(deformable_choice, coarsest=False) if deformable else affine_choice
    similarity = problem.similarity(problem.factors[level], tuple(map(choose, problem.names)))
    weight, guides = problem.options.similarity_weight, problem.options.points_weight
    objective = AffineObjective(
        similarity, "translation", weight, points=problem.points, points_weight=guides
    )
    return objective.evaluate(affine)


def affine_energy(problem: Problem, affine: Array, deformable: bool = False) -> Energy:
    """The energy of an affine map at the finest level; see :func:`affine_evaluation`.  A map is measured once."""
    key = affine.tobytes(), deformable
    if key not in problem.energies:
        problem.energies[key] = affine_evaluation(problem, affine, deformable).energy
    return problem.energies[key]


def starting_energy(problem: Problem, deformable: bool) -> Energy:
    """The energy of the images as their headers place them, by the similarity of the last stage."""
    return affine_energy(problem, np.eye(problem.fixed.grid.dim + 1), deformable)


def identical_level(problem: Problem) -> Level:
    """The record of a problem whose answer is the identity."""
    shape = problem.fixed.grid.shape
    return Level("affine", 0, 1.0, shape, 0, 0, Stop.IDENTICAL, 0.0, 0.0)


@contextlib.contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """The time that something took, added to a dictionary, without that of compiling or loading kernels."""
    clock = computing_time()
    yield
    seconds[name] = computing_time() - clock


def check_view(evaluation: Evaluation) -> Evaluation:
    """The evaluation, refused if nothing is in view.

    Raises
    ------
    OverlapError
    """
    if evaluation.in_view == 0:
        raise OverlapError(NOTHING_IN_VIEW)
    return evaluation
