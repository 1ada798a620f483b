"""Boxes of an image."""

import itertools

from varreg.similarity.regions import region_cuts


def boxes(shape, counts):
    """The boxes as slices, the last axis first to change."""
    cuts = (region_cuts(n, count) for n, count in zip(shape, counts, strict=True))
    along = [[slice(*edges) for edges in itertools.pairwise(map(int, c))] for c in cuts]
    return list(itertools.product(*along))
