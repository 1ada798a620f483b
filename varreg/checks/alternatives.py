"""Other affine maps by the measure of the answer: placed again, turned and mirrored.

All are ranked at the coarsest level of the affine stage; the best of each kind is compared with the answer at a
finer one.  Heads are nearly symmetric: only a finer level tells a mirrored one.  An alternative that comes near
takes a few steps at either level before it is judged; those of right answers hardly ever do.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..backends.arrays import Array
from ..energy.affine import AffineObjective
from ..optimise.minimise import Descent, minimise
from ..stages.affine import affine_factors
from .answer import Answer
from .head import head_of

#: Similarity by which maps are compared: mutual information times what is in view, so that another measure judges
#: than the affine stage has, and a map that leads out of view is never better.
MEASURE = "mi"
#: Steps that the best alternative of a kind takes at the coarsest level, and at the finer one.
STEPS, FINER_STEPS = 6, 3
#: The level of the affine stage where answers are compared; 0 is the coarsest.
JUDGE = 2
#: Most voxels of the coarsest level of the deformable stage at which maps are ranked, rather than at a coarser one.
RANKED = 2**12
#: Steps that move no corner further than this, in voxels of the level, show nothing.
SHORTEST_STEP = 0.02
#: Alternatives that move the head by less than this share of its size are the answer itself.
SAME = 0.08
#: Turns of less than this (degrees) count as the same orientation.
TURN = 60.0


@dataclass(frozen=True)
class Alternative:
    """An affine map, and its similarity in nats by the measure of :class:`Alternatives`."""

    matrix: Array
    similarity: float


class _Turns(NamedTuple):
    """Matrices (n, d + 1, d + 1), whether each mirrors the answer, and the degrees between their rotations."""

    matrices: Array
    mirrors: NDArray[np.bool_]
    degrees: Array


class Alternatives:
    """Affine maps by mutual information, at a level of the affine stage.

    Parameters
    ----------
    answer : Answer

    Attributes
    ----------
    judge : float
        Coarsening factor of the level where maps are compared.
    replaced : float
        Mean distance (mm over the head) from the answer to where putting centre on centre starts.  Near the
        answer that adds nothing to the turns of the answer itself, and is left out.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        factors = affine_factors(answer.problem, last=True)
        self.judge = factors[min(JUDGE, len(factors) - 1)]
        first = answer.problem.factors[0]  # where the deformable stage has the similarity already
        small = answer.level.data.size <= RANKED
        self._coarse = self._objective(first if small else factors[0])
        self._fine = self._objective(self.judge)
        self._turns = self._all_turns()

    def _objective(self, factor: float) -> AffineObjective:
        problem = self.answer.problem
        return AffineObjective(
            problem.similarity(factor, MEASURE), "rigid", problem.options.similarity_weight
        )

    def _of(self, matrix: Array) -> Alternative:
        return Alternative(matrix, self._fine.evaluate(matrix).energy.similarity)

    @cached_property
    def here(self) -> Alternative:
        """The affine part of the answer."""
        return self._of(self.answer.affine)

    def placed(self, worth: float) -> Alternative:
        """The best map of the same orientation to which putting centre on centre leads.

        Parameters
        ----------
        worth : float
            An alternative of less than this share of the answer's similarity takes no steps.
        """
        turns = self._turns
        return self._best(turns.matrices[~turns.mirrors & (turns.degrees < TURN)], worth)

    def turned(self, worth: float) -> Alternative:
        """The best map to which quarter and half turns of the head lead; `worth` as for `placed`."""
        turns = self._turns
        return self._best(turns.matrices[~turns.mirrors & (turns.degrees >= TURN)], worth)

    def mirrored(self, worth: float) -> Alternative:
        """The best map to which mirroring the head leads; `worth` as for `placed`."""
        return self._best(self._turns.matrices[self._turns.mirrors], worth)

    def _all_turns(self) -> _Turns:
        """All quarter turns and mirrorings of the head, before the answer, and before the shift that puts
        the centres of the heads on each other.
        """
        problem, centre, affine = self.answer.problem, self.answer.head.centre, self.answer.affine
        direction = self.answer.level.grid.direction
        to = head_of(problem.level(problem.factors[0])[1]).centre
        d = len(centre)
        signed = signed_permutations(d)
        turns = np.tile(np.eye(d + 1), (len(signed), 1, 1))
        turns[:, :-1, :-1] = direction @ signed @ direction.T
        turns[:, :-1, -1] = centre - turns[:, :-1, :-1] @ centre
        placed = turns.copy()
        placed[:, :-1, -1] += to - centre
        matrices = affine @ turns[1:]  # the first leaves all as it is
        self.replaced = self.apart(placed[0])
        if self.replaced > SAME * self.answer.head.size:
            matrices = np.concatenate([matrices, placed])
        between = matrices[:, :-1, :-1] @ np.linalg.inv(affine[:-1, :-1])
        left, _, right = np.linalg.svd(between)
        cosine = (np.trace(left @ right, axis1=1, axis2=2) - (d - 2)) / 2
        degrees = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        return _Turns(matrices, np.linalg.det(between) < 0, degrees)

    def _best(self, matrices: Array, worth: float) -> Alternative:
        if not len(matrices):
            return self.here
        energies = [self._coarse.evaluate(matrix).energy.total for matrix in matrices]
        best = self._of(matrices[int(np.argmin(energies))])
        if best.similarity < worth * self.here.similarity:
            return best
        state = self._descent(self._coarse, best.matrix, STEPS).state
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


@lru_cache
def signed_permutations(d: int) -> Array:
    """The 8 (2D) or 48 (3D) matrices that take axes to axes, (n, d, d), the identity first.

    >>> [len(signed_permutations(d)) for d in (2, 3)]
    [8, 48]
    """
    found = []
    for order in itertools.permutations(range(d)):
        for signs in itertools.product((1.0, -1.0), repeat=d):
            matrix = np.zeros((d, d))
            matrix[np.arange(d), order] = signs
            found.append(matrix)
    return np.array(found)
