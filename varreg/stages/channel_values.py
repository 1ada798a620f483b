"""Similarity of each of several pairs of images under a map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..backends.arrays import Array
from ..images.channels import Pair
from ..optimise.channel_report import ChannelReport
from ..similarity.choice import affine_choice
from ..similarity.volumes import as_volume_field
from ..similarity.weighted import WeightedSimilarity
from .deformable import deformable_objective
from .levels import affine_evaluation
from .problem import Problem


def channel_reports(
    problem: Problem, pairs: Sequence[Pair], affine: Array, nodes: Array | None
) -> tuple[ChannelReport, ...]:
    r"""Similarity of each pair before and after registration; empty for a single pair.

    Parameters
    ----------
    problem : Problem
    pairs : sequence of (moving, fixed)
    affine : (d + 1, d + 1) array
        Fixed world -> moving world (mm).
    nodes : (d, \*m) array or None
        u at the nodes, mm.
    """
    if not problem.further:
        return ()
    names = problem.names if nodes is not None else tuple(map(affine_choice, problem.names))
    similarity = problem.similarity(problem.factors[-1], names)
    assert isinstance(similarity, WeightedSimilarity)
    affine_evaluation(problem, np.eye(len(affine)), deformable=nodes is not None)
    start = [one.value for one in similarity.found]
    if nodes is None:
        affine_evaluation(problem, affine)
    else:
        objective = deformable_objective(problem, len(problem.factors) - 1, affine)
        similarity.evaluate(objective.where, as_volume_field(nodes))
    end = [one.value for one in similarity.found]
    # the affine stage uses "overlap-mi"
    similarities = [name.removeprefix("overlap-") for name in names]
    columns = zip(pairs, similarities, problem.weights, start, end, strict=True)
    return tuple(
        ChannelReport(moving.name, fixed.name, name, weight, before, after)
        for (moving, fixed), name, weight, before, after in columns
    )
