"""The map of one volume: local optimisation from a predicted start, on the lattices of the reference."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..backends.arrays import Array
from ..energy.affine import AffineObjective
from ..images.image import Image
from ..images.intensities import robust_range, unit_intensities
from ..images.level_image import LevelImage
from ..optimise.minimise import minimise
from ..options.backend_choice import chosen_backend
from ..options.options import Options
from ..similarity.choice import similarity
from ..stages.levels import lower
from ..stages.problem import FEWEST_BINS
from .reference import Reference, smoothed

#: Finer bins than for two contrasts: with one contrast, small motion causes small intensity differences.
OPTIONS = Options(similarity="mi", bins=48, kernel_width=1.0)


class Fit(NamedTuple):
    """The map of a volume, with its energy.

    Attributes
    ----------
    matrix : (4, 4) array
        Reference world -> volume world.
    energy, start_energy : float
        Of the map, and without motion, on the last lattice.
    in_view : float
        Fraction of the mask inside the volume.
    evaluations : int
    """

    matrix: Array
    energy: float
    start_energy: float
    in_view: float
    evaluations: int


def fitted(reference: Reference, image: Image, model: str, start: Array, levels: slice) -> Fit:
    """Align a volume.

    Parameters
    ----------
    reference : Reference
    image : Image
        The volume.
    model : {"rigid", "affine"}
    start : (4, 4) array
    levels : slice
        Lattices, from coarse to fine.

    Returns
    -------
    Fit
        With an energy not higher than without motion, on the last lattice.
    """
    data, valid = smoothed(image)
    moving = LevelImage(unit_intensities(data, robust_range(data)), valid, image.grid)
    matrix, evaluations = start, 0
    still = np.eye(len(start))
    for level in reference.levels[levels]:
        objective = objective_of(level, moving, model)
        none = first = objective.evaluate(still)
        if not np.array_equal(matrix, still):
            matrix, first = lower(objective, matrix, still, none)
        ended = minimise(objective, matrix, OPTIONS, OPTIONS.affine_iterations, start=first)
        matrix, evaluations = ended.state, evaluations + ended.evaluations
    end = ended.evaluation
    return Fit(matrix, end.energy.total, none.energy.total, end.in_view, evaluations)


def objective_of(fixed: LevelImage, moving: LevelImage, model: str) -> AffineObjective:
    """The energy of maps of a volume on one lattice."""
    most = max(FEWEST_BINS, math.isqrt(fixed.data.size))
    options = OPTIONS.replace(bins=min(OPTIONS.bins, most))
    kernels = chosen_backend("numba")
    return AffineObjective(similarity("overlap-mi", fixed, moving, options, kernels, 1), model)
