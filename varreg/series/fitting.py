"""The map of one volume: descents from where it is expected to be, on the lattices of the reference."""

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

#: Finer bins than those of two contrasts: images of one contrast tell small motions by small differences.
OPTIONS = Options(similarity="mi", bins=48, kernel_width=1.0)


class Fit(NamedTuple):
    """The map of a volume and what it is worth.

    Attributes
    ----------
    matrix : (4, 4) array
        Reference world -> volume world.
    energy, start_energy : float
        Of the map, and of no motion, on the last lattice.
    in_view : float
        Fraction of the mask that is inside the volume.
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
        Of the lattices, coarse to fine.

    Returns
    -------
    Fit
        Never of more energy than no motion at the last lattice.
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
    """The energy of the maps of a volume on one lattice."""
    most = max(FEWEST_BINS, math.isqrt(fixed.data.size))
    options = OPTIONS.replace(bins=min(OPTIONS.bins, most))
    kernels = chosen_backend("numba")
    return AffineObjective(similarity("overlap-mi", fixed, moving, options, kernels, 1), model)
