"""Options for several pairs of images that are registered together."""

from __future__ import annotations

import dataclasses

from .options import Options


def similarity_names(options: Options, pairs: int) -> tuple[str, ...]:
    """The similarity of each pair; for fewer pairs than options, the first ones."""
    return (options.similarities or (options.similarity,) * pairs)[:pairs]


def pair_weights(options: Options, pairs: int) -> tuple[float, ...]:
    """The normalised weight of each pair.

    Examples
    --------
    >>> pair_weights(Options(weights=(3, 1)), 2)
    (0.75, 0.25)
    """
    weights = (options.weights or (1.0,) * pairs)[:pairs]
    return tuple(weight / sum(weights) for weight in weights)


def first_pair(options: Options) -> Options:
    """The options for the first of several pairs."""
    return dataclasses.replace(options, weights=None, similarities=None)
