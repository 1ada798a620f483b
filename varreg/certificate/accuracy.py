"""Estimate of the mean error of a map from trials, and the map of their deviation from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..geometry.grid import Grid
from ..images.image import Image
from .interval import LEVEL, calibrations
from .trials import Trials

#: Voxels; smaller distances between the map and the trials are replaced by this value.
LEAST_DISTANCE = 1e-3


@dataclass(frozen=True)
class Accuracy:
    """Estimated error of a map, for pairs like those of the calibration.

    Attributes
    ----------
    trials : int
        Number of registrations under small known perturbations.
    distances : tuple of float
        Mean distance over the head between the map and that of each trial, mm.
    apart : float
        Mean distance between two of the trials' maps, mm.
    level : float
        Coverage probability of the interval.
    low, high : float
        Interval of the mean error over the head, mm.
    median : float
        Predicted median of the error, mm.
    familiar : bool
        Whether the distances are within the range of the calibration.
    """

    trials: int
    distances: tuple[float, ...]
    apart: float
    level: float
    low: float
    high: float
    median: float
    familiar: bool

    @property
    def distance(self) -> float:
        """Mean of `distances`, mm."""
        return float(np.mean(self.distances))


def checked_count(value: object, function: str) -> int:
    """Validate the number of trials: 0, or one with a calibration.

    Raises
    ------
    InputError
    """
    known = sorted(calibrations())
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value not in (0, *known):
        raise InputError(
            f"{function}: `trials` must be 0 (no estimate of the error) or {' or '.join(map(str, known))},"
            f" the numbers that the interval is calibrated for; got {value!r}."
        )
    return int(value)  # type: ignore[call-overload,no-any-return]


def accuracy_of(trials: Trials, fixed: Grid) -> Accuracy:
    """The error estimate from trials.

    Parameters
    ----------
    trials : Trials
    fixed : Grid
        Grid of the fixed image at full resolution: errors are proportional to its voxel size.
    """
    count = len(trials.distances) - 1
    d, s = scores(trials.distances)
    voxel = voxel_size(fixed)
    calibration = calibrations()[count]
    scaled = max(d / voxel, LEAST_DISTANCE), s / voxel
    low, high = map(float, calibration.interval(*scaled))
    return Accuracy(
        trials=count,
        distances=tuple(map(float, trials.distances[0, 1:])),
        apart=s,
        level=LEVEL,
        low=low * voxel,
        high=high * voxel,
        median=float(calibration.median(*scaled)) * voxel,
        familiar=bool(calibration.range[0] <= scaled[0] <= calibration.range[1]),
    )


def scores(distances: np.ndarray) -> tuple[float, float]:
    """Mean distance of the trials from the map (first row), and between two trials.

    Examples
    --------
    >>> scores(np.array([[0.0, 1, 3], [1, 0, 2], [3, 2, 0]]))
    (2.0, 2.0)
    """
    between = distances[1:, 1:][np.triu_indices(len(distances) - 1, 1)]
    return float(distances[0, 1:].mean()), float(between.mean())


def voxel_size(grid: Grid) -> float:
    """Geometric mean of the spacing, mm."""
    return float(np.exp(np.log(grid.spacing).mean()))


def spread_of(trials: Trials, fixed: Image) -> Image:
    """Root mean square distance (mm) of the trials' maps from the map, at the voxels of a coarse level.

    Parameters
    ----------
    trials : Trials
    fixed : Image
        Provides the frame of a slice.
    """
    data = np.zeros(trials.level.grid.shape, dtype=np.float32)
    data[trials.head.shown] = np.sqrt(trials.squared)
    return Image(data, trials.level.grid, "spread of the trials", frame=fixed.frame)
