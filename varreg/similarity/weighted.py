r"""The similarity of several pairs of images under one map: the weighted mean of theirs, in nats.

.. math:: S = \frac{\sum_k w_k S_k}{\sum_k w_k}

The images of either side share one grid, so one map serves all, and the gradient is the same mean of the gradients.
Each pair has a table, a range of intensities and a mask of its own, and may have a similarity of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ..backends.arrays import Array
from ..backends.later import Later
from .similarity import Measured, Similarity, SimilarityValue


class WeightedSimilarity(Similarity):
    """The weighted mean of similarities on the same grids.

    Parameters
    ----------
    parts : sequence of Similarity
    weights : sequence of float
        Above 0; only their ratios count.
    """

    def __init__(self, parts: Sequence[Similarity], weights: Sequence[float]) -> None:
        one = parts[0]
        super().__init__(one.fixed_grid, one.moving_grid, one.kernels, one.threads, one.dtype)
        self.parts = tuple(parts)
        self.weights = tuple(weight / sum(weights) for weight in weights)
        #: Of what was measured last, pair by pair.
        self.found: list[SimilarityValue] = []

    def _measure(self) -> Later[Measured]:
        # all pairs are asked before any is waited for
        self.found = [part.evaluate(*self.place) for part in self.parts]
        later: Later[Measured] = Later(partial(self._mean, self.found))
        if all(one.is_known for one in self.found):
            later.result()
        return later

    def _mean(self, found: list[SimilarityValue]) -> Measured:
        pairs = list(zip(self.weights, found, strict=True))
        return sum(w * one.value for w, one in pairs), sum(w * one.in_view for w, one in pairs)

    def _gradient(self) -> Later[Array]:
        asked = [one.gradient_later() for one in self.found]
        later: Later[Array] = Later(partial(self._mean_of_gradients, asked))
        if all(one.is_known for one in asked):
            later.result()
        return later

    def _mean_of_gradients(self, asked: list[Later[Array]]) -> Array:
        first, *others = (
            weight * one.result().astype(float)
            for weight, one in zip(self.weights, asked, strict=True)
        )
        for other in others:
            first += other
        return first.astype(self.dtype)


def weighted(parts: Sequence[Similarity], weights: Sequence[float]) -> Similarity:
    """The weighted mean of similarities; one alone as it is."""
    return parts[0] if len(parts) == 1 else WeightedSimilarity(parts, weights)
