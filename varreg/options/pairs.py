"""What the options say of several pairs of images that are registered together."""

from __future__ import annotations

import dataclasses

from .options import Options


def similarity_names(options: Options, pairs: int) -> tuple[str, ...]:
    """The similarity of each of so many pairs; of fewer than the options name the first ones."""
    return (options.similarities or (options.similarity,) * pairs)[:pairs]


def pair_weights(options: Options, pairs: int) -> tuple[float, ...]:
    """The weight of each of so many pairs; they add up to 1.

    Examples
    --------
    >>> pair_weights(Options(weights=(3, 1)), 2)
    (0.75, 0.25)
    """
    weights = (options.weights or (1.0,) * pairs)[:pairs]
    return tuple(weight / sum(weights) for weight in weights)


def first_pair(options: Options) -> Options:
    """The options for the first of several pairs alone."""
    return dataclasses.replace(options, weights=None, similarities=None)
