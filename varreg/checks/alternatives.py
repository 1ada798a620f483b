"""Alternative affine maps, compared with the result: re-centred, rotated and mirrored.

All are ranked at the coarsest level of the affine stage; the best of each kind is compared with the result at a
finer level.  Heads are nearly symmetric: only a finer level distinguishes a mirrored one.  An alternative of nearly
equal similarity is refined by a few steps at both levels before the comparison; this is rare for correct results.
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

#: Similarity for comparing maps: mutual information times the share in view, so that the measure differs from that
#: of the affine stage, and maps that lead out of view are never better.
MEASURE = "mi"
#: Refinement steps of the best alternative of a kind, at the coarsest level and at the finer one.
STEPS, FINER_STEPS = 6, 3
#: Level of the affine stage where maps are compared; 0 is the coarsest.
JUDGE = 2
#: Most voxels of the coarsest level of the deformable stage for ranking maps there; otherwise at a coarser level.
RANKED = 2**12
#: Steps that move no corner further than this, in voxels of the level, end the refinement.
SHORTEST_STEP = 0.02
#: Alternatives that move the head by less than this share of its size coincide with the result.
SAME = 0.08
#: Rotations of less than this (degrees) are the same orientation.
TURN = 60.0


@dataclass(frozen=True)
class Alternative:
    """An affine map, and its similarity in nats, as measured by :class:`Alternatives`."""

    matrix: Array
    similarity: float


class _Turns(NamedTuple):
    """Matrices (n, d + 1, d + 1), whether each is mirrored relative to the result, and the relative rotations in degrees."""

    matrices: Array
    mirrors: NDArray[np.bool_]
    degrees: Array


class Alternatives:
    """Affine maps compared by mutual information, at a level of the affine stage.

    Parameters
    ----------
    answer : Answer

    Attributes
    ----------
    judge : float
        Coarsening factor of the level of comparison.
    replaced : float
        Mean distance (mm over the head) from the result to the initialisation that aligns the centres.  If small, re-centred
        rotations coincide with rotations of the result, and are omitted.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        factors = affine_factors(answer.problem, last=True)
        self.judge = factors[min(JUDGE, len(factors) - 1)]
        first = answer.problem.factors[0]  # where the deformable stage already has the similarity
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
        """The affine part of the result."""
        return self._of(self.answer.affine)

    def placed(self, worth: float) -> Alternative:
        """The best map of the same orientation from the alignment of centres.

        Parameters
        ----------
        worth : float
            Alternatives of less than this share of the similarity of the result are not refined.
        """
        turns = self._turns
        return self._best(turns.matrices[~turns.mirrors & (turns.degrees < TURN)], worth)

    def turned(self, worth: float) -> Alternative:
        """The best map from quarter and half turns of the head; `worth` as for `placed`."""
        turns = self._turns
        return self._best(turns.matrices[~turns.mirrors & (turns.degrees >= TURN)], worth)

    def mirrored(self, worth: float) -> Alternative:
        """The best map from reflections of the head; `worth` as for `placed`."""
        return self._best(self._turns.matrices[self._turns.mirrors], worth)

    def _all_turns(self) -> _Turns:
        """All quarter turns and reflections of the head, applied before the affine map of the result, and before the
        translation that aligns the centres of the heads.
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
        matrices = affine @ turns[1:]  # the first is the identity
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
        """Mean distance over the head between a map and the affine part of the result, mm."""
        change = matrix - self.answer.affine
        moved = change[:-1, :-1] @ self.answer.points + change[:-1, -1:]
        return float(np.sqrt(np.square(moved).sum(0)).mean())


@lru_cache
def signed_permutations(d: int) -> Array:
    """The 8 (2D) or 48 (3D) signed permutation matrices, (n, d, d), the identity first.

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
