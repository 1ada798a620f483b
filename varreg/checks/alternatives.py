"""Other affine maps by the measure of the answer: placed anew, turned and mirrored.

All are ranked at the coarsest level of the affine stage; the best few take a few rigid steps there, and the
best of those a few affine ones at a finer level, where the answer is measured too.  Heads are nearly
symmetric: only a finer level tells a mirrored one.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..backends.arrays import Array
from ..energy.affine import AffineObjective
from ..optimise.minimise import Descent, minimise
from ..similarity.choice import affine_choice
from ..stages.affine import affine_factors
from .answer import Answer
from .head import head_of

#: Steps that the best alternative of a kind takes at the coarsest level, and at the finer one.
STEPS, FINER_STEPS = 5, 3
#: An alternative of less than this share of the answer's similarity, both at the coarsest level, takes none.
WORTH = 0.6
#: The level of the affine stage where answers are compared; 0 is the coarsest.
JUDGE = 2
#: Steps that move no corner further than this, in voxels of the level, show nothing.
SHORTEST_STEP = 0.02
#: Turns of less than this (degrees) count as the same orientation.
TURN = 60.0


@dataclass(frozen=True)
class Alternative:
    """An affine map, and its similarity in nats by the measure of :class:`Alternatives`."""

    matrix: Array
    similarity: float


class Alternatives:
    """Affine maps by the similarity of the affine stage, at one of its levels.

    Parameters
    ----------
    answer : Answer

    Attributes
    ----------
    judge : float
        Coarsening factor of the level where maps are compared.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        factors = affine_factors(answer.problem, last=True)
        self._coarse = self._objective(factors[0], "rigid")
        self.judge = factors[min(JUDGE, len(factors) - 1)]
        self._fine = self._objective(self.judge, "affine")

    def _objective(self, factor: float, model: str) -> AffineObjective:
        options = self.answer.problem.options
        similarity = self.answer.problem.similarity(factor, affine_choice(options.similarity))
        return AffineObjective(similarity, model, options.similarity_weight)

    @cached_property
    def here(self) -> Alternative:
        """The affine part of the answer."""
        matrix = self.answer.affine
        return Alternative(matrix, self._fine.evaluate(matrix).energy.similarity)

    @cached_property
    def placed(self) -> Alternative:
        """The best map of the same orientation to which putting centre on centre leads."""
        return self._best([m for m in self._alike if self._angle(m) < TURN])

    @cached_property
    def replaced(self) -> float:
        """Mean distance (mm over the head) from the answer to where putting centre on centre starts."""
        return min((self.apart(m) for m in self._alike if self._angle(m) < TURN), default=0.0)

    @cached_property
    def turned(self) -> Alternative:
        """The best map to which quarter and half turns of the head lead."""
        return self._best([m for m in self._alike if self._angle(m) >= TURN])

    @cached_property
    def mirrored(self) -> Alternative:
        """The best map to which mirroring the head leads."""
        return self._best([m for m in self._turns if self._mirrors(m)])

    @property
    def _alike(self) -> list[Array]:
        return [m for m in self._turns if not self._mirrors(m)]

    def _angle(self, matrix: Array) -> float:
        """Degrees between the rotations of a matrix and of the answer."""
        between = matrix[:-1, :-1] @ np.linalg.inv(self.answer.affine[:-1, :-1])
        left, _, right = np.linalg.svd(between)
        cosine = (np.trace(left @ right) - (len(between) - 2)) / 2
        return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))

    def _mirrors(self, matrix: Array) -> bool:
        return bool(np.linalg.det(matrix) * np.linalg.det(self.answer.affine) < 0)

    @cached_property
    def _turns(self) -> list[Array]:
        """All quarter turns and mirrorings of the head, before the answer, and before the shift that puts
        the centres of the heads on each other.
        """
        problem, centre = self.answer.problem, self.answer.head.centre
        grid = self.answer.level.grid
        to = head_of(problem.level(problem.factors[0])[1]).centre
        found: list[Array] = []
        for number, signed in enumerate(signed_permutations(grid.dim)):
            linear = grid.direction @ signed @ grid.direction.T
            turn = np.eye(grid.dim + 1)
            turn[:-1, :-1] = linear
            turn[:-1, -1] = centre - linear @ centre
            if number > 0:
                found.append(self.answer.affine @ turn)
            placed = turn.copy()
            placed[:-1, -1] += to - centre
            found.append(placed)
        return found

    def _best(self, matrices: list[Array]) -> Alternative:
        if not matrices:
            return self.here
        energies = [self._coarse.evaluate(m).energy for m in matrices]
        first = min(range(len(matrices)), key=lambda k: energies[k].total)
        state, here = matrices[first], self._coarse.evaluate(self.answer.affine).energy
        if energies[first].similarity < WORTH * here.similarity:
            return Alternative(state, self._fine.evaluate(state).energy.similarity)
        state = self._descent(self._coarse, state, STEPS).state
        ended = self._descent(self._fine, state, FINER_STEPS)
        return Alternative(ended.state, ended.evaluation.energy.similarity)

    def _descent(self, objective: AffineObjective, matrix: Array, steps: int) -> Descent:
        options = self.answer.problem.options
        return minimise(
            objective, matrix, options, steps, shortest_step=SHORTEST_STEP, stage="check"
        )

    def apart(self, matrix: Array) -> float:
        """Mean distance that a map and the answer's affine part put between points of the head, mm."""
        change = matrix - self.answer.affine
        moved = change[:-1, :-1] @ self.answer.points + change[:-1, -1:]
        return float(np.sqrt(np.square(moved).sum(0)).mean())


def signed_permutations(d: int) -> list[Array]:
    """The 8 (2D) or 48 (3D) matrices that take axes to axes, the identity first.

    >>> [len(signed_permutations(d)) for d in (2, 3)]
    [8, 48]
    """
    found: list[Array] = []
    for order in itertools.permutations(range(d)):
        for signs in itertools.product((1.0, -1.0), repeat=d):
            matrix = np.zeros((d, d))
            matrix[np.arange(d), order] = signs
            found.append(matrix)
    return found
