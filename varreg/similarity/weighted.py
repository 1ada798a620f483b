r"""Similarity of several pairs of images under one map: the weighted mean of their similarities, in nats.

.. math:: S = \frac{\sum_k w_k S_k}{\sum_k w_k}

All fixed images share one grid, and so do all moving images; the gradient is the weighted mean of the gradients.
Joint histogram, intensity range, mask and the choice of the similarity are specific to each pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ..backends.arrays import Array
from ..backends.later import Later
from .similarity import Measured, Similarity, SimilarityValue


class WeightedSimilarity(Similarity):
    """Weighted mean of similarities on the same grids.

    Parameters
    ----------
    parts : sequence of Similarity
    weights : sequence of float
        Positive weights; only their ratios matter.
    """

    def __init__(self, parts: Sequence[Similarity], weights: Sequence[float]) -> None:
        one = parts[0]
        super().__init__(one.fixed_grid, one.moving_grid, one.kernels, one.threads, one.dtype)
        self.parts = tuple(parts)
        self.weights = tuple(weight / sum(weights) for weight in weights)
        #: Values of the last evaluation, one for each pair.
        self.found: list[SimilarityValue] = []

    def _measure(self) -> Later[Measured]:
        # all pairs are requested before the first wait
        self.found = [part.evaluate(*self.place) for part in self.parts]
        later: Later[Measured] = Later(partial(self._mean, self.found))
        if all(one.is_known for one in self.found):
            later.result()
        return later

    def _mean(self, found: list[SimilarityValue]) -> Measured:
        pairs = list(zip(self.weights, found, strict=True))
        return sum(w * one.value for w, one in pairs), sum(w * one.in_view for w, one in pairs)

    def _gradient(self) -> Later[Array]:
        gradients = [one.gradient_later() for one in self.found]
        later: Later[Array] = Later(partial(self._mean_of_gradients, gradients))
        if all(one.is_known for one in gradients):
            later.result()
        return later

    def _mean_of_gradients(self, gradients: list[Later[Array]]) -> Array:
        first, *others = (
            weight * one.result().astype(float)
            for weight, one in zip(self.weights, gradients, strict=True)
        )
        for other in others:
            first += other
        return first.astype(self.dtype)


def weighted(parts: Sequence[Similarity], weights: Sequence[float]) -> Similarity:
    """Weighted mean of similarities; a single one unchanged."""
    return parts[0] if len(parts) == 1 else WeightedSimilarity(parts, weights)
