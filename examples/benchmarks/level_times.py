"""Profile of an iteration of the deformable stage: one evaluation and one gradient at each level."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import checkout  # noqa: F401
import numpy as np
from machine import BYTES

import varreg
from varreg.energy.deformable import DeformableObjective
from varreg.images.accepted import as_pair
from varreg.options.backend_choice import chosen_backend
from varreg.options.options import Options
from varreg.results.result import Result
from varreg.similarity.choice import deformable_choice
from varreg.stages.arguments import sampled
from varreg.stages.deformable import level_smoothness
from varreg.stages.problem import Problem

#: Each duration is the median of as many repeats as fit into this many seconds, but at least 3.
SECONDS = 0.5


@dataclass(frozen=True)
class LevelTime:
    """Durations at one level, in ms.

    Attributes
    ----------
    shape : tuple of int
        Of the images at this level.
    threads : int
    evaluation, gradient : float
        One energy, one gradient, at the map that was found.
    whole : float
        What the descent took per energy that it evaluated, everything included.
    triads : float
        (evaluation + gradient) over the time that the memory triad takes for 12 bytes per voxel of
        the image at full resolution.
    """

    shape: tuple[int, ...]
    threads: int
    evaluation: float
    gradient: float
    whole: float
    triads: float


def level_times(
    fixed: np.ndarray, moving: np.ndarray, threads: int, gb_per_s: float
) -> list[dict[str, Any]]:
    """All levels, coarse to fine, with the default options.

    Parameters
    ----------
    fixed, moving : (*S) array
    threads : int
    gb_per_s : float
        Of the memory triad with as many threads.
    """
    problem = deformable_problem(fixed, moving, threads)
    result = varreg.solve(moving, fixed, threads=threads, progress=False)
    solved = [level for level in result.levels if level.stage == "deformable"]
    triad = 1e3 * BYTES * fixed.size / (gb_per_s * 1e9)
    found = []
    for level, record in enumerate(solved):
        objective, state = level_objective(problem, result, level)
        evaluation = milliseconds(partial(objective.evaluate, state))
        gradient = milliseconds(objective.evaluate(state).gradient)
        whole = 1e3 * record.seconds / max(record.evaluations, 1)
        triads = (evaluation + gradient) / triad
        entry = LevelTime(record.shape, threads, evaluation, gradient, whole, triads)
        found.append(asdict(entry))
    return found


def deformable_problem(fixed: np.ndarray, moving: np.ndarray, threads: int) -> Problem:
    """What ``varreg.solve`` makes of two arrays before its stages run."""
    images = as_pair(moving, fixed)
    there, here = (
        sampled(image, None, None, name)
        for image, name in zip(images, ("moving", "fixed"), strict=True)
    )
    return Problem(here, there, Options(), chosen_backend("numba"), threads)


def level_objective(
    problem: Problem, result: Result, level: int
) -> tuple[DeformableObjective, tuple[np.ndarray, np.ndarray]]:
    """The objective of a level of ``varreg.stages.deformable.deformable_stage``, and the map found, as a state."""
    options, factor = problem.options, problem.factors[level]
    coarsest = level == 0 and len(problem.factors) > 1
    similarity = problem.similarity(factor, deformable_choice(options.similarity, coarsest))
    smoothness = level_smoothness(problem, len(problem.factors) - 1)
    objective = DeformableObjective(similarity, result.affine, smoothness, options)
    z = smoothness.to_coordinates(result.transform.nodes)
    return objective, (z, smoothness.to_field(z))


def milliseconds(call: Callable[[], Any]) -> float:
    """The median duration of a call, after one that does not count."""
    call()
    durations: list[float] = []
    begun = time.perf_counter()
    while len(durations) < 3 or time.perf_counter() - begun < SECONDS:
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return 1e3 * float(np.median(durations))
