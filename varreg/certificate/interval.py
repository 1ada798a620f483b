r"""Interval of the mean error from the distances of the trials, by conformal prediction.

With d the mean distance (over the head and the trials) between the map and the maps of the trials, and s the mean
distance between two trials, both in voxels, the error e is predicted as

.. math:: \log \hat e = \log d + w^T b(d, s), \qquad \log \sigma = v^T b(d, s),

and the interval of level :math:`1 - \alpha` is bounded by order statistics of the residuals
:math:`(\log e - \log \hat e) / \sigma` of n pairs with known answer: the :math:`\lfloor (n + 1) \alpha / 2 \rfloor`-th and
the :math:`\lceil (n + 1) (1 - \alpha / 2) \rceil`-th.  If w and v were fitted to other pairs than the residuals, as in
split conformal prediction [1]_, the interval would contain the error of a pair exchangeable with these with
probability at least :math:`1 - \alpha`, whatever the quality of the fit.  Here the residuals of each head are those of
a fit to the other heads, as in cross-conformal prediction [2]_, so that differences between heads widen the interval.

.. [1] Lei, G'Sell, Rinaldo, Tibshirani, Wasserman: Distribution-free predictive inference for regression. Journal of
   the American Statistical Association 113 (2018), 1094-1111. doi:10.1080/01621459.2017.1307116
.. [2] Vovk: Cross-conformal predictors. Annals of Mathematics and Artificial Intelligence 74 (2015), 9-28.
   doi:10.1007/s10472-013-9368-4
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..backends.arrays import Array

FILE = Path(__file__).with_name("calibration.json")
FORMAT = "varreg calibration 1"
#: Default level of the interval.
LEVEL = 0.9
#: Range of distances (voxels) and ratios s / d, outside which the correction of log d is constant.
DISTANCES, RATIOS = (0.1, 5.0), (0.05, 1.5)
#: Knots of distance and ratio at which the slope of the correction may change.
DISTANCE_KNOT, RATIO_KNOTS = 0.5, (0.25, 0.7)
#: Weight of the penalty on the coefficients, and lower limit of the deviation.
RIDGE, LEAST_DEVIATION = 1.0, 0.05


@dataclass(frozen=True)
class Calibration:
    """Parameters fitted to pairs with known answer.

    Attributes
    ----------
    weights, deviation : (k,) array
        w and v.
    residuals : (n,) array
        Of all pairs, each from a fit without its head, in ascending order.
    range : (2,) array
        Smallest and largest d of all pairs, voxels.
    """

    weights: Array
    deviation: Array
    residuals: Array
    range: Array

    def interval(self, d: Any, s: Any, level: float = LEVEL) -> tuple[Array, Array]:
        """Lower and upper end, voxels like `d` and `s` (numbers or arrays); 0 and infinity if n is too small for `level`."""
        log, sigma = predicted(self.weights, self.deviation, d, s)
        residuals = np.concatenate([[-np.inf], self.residuals, [np.inf]])
        low, high = ranks(len(self.residuals), level)
        return np.exp(log + sigma * residuals[low]), np.exp(log + sigma * residuals[high])

    def median(self, d: Any, s: Any) -> Array:
        """Predicted median of the error, voxels."""
        log, sigma = predicted(self.weights, self.deviation, d, s)
        return np.asarray(np.exp(log + sigma * np.median(self.residuals)))


def ranks(count: int, level: float) -> tuple[int, int]:
    """Ranks (from 1) of the residuals that bound a level; 0 or `count` + 1 if there are too few.

    Examples
    --------
    >>> ranks(99, 0.9), ranks(9, 0.9)
    ((5, 95), (0, 10))
    """
    share = (1 - level) / 2
    # rounded: (n + 1) alpha / 2 is often an integer, which must not be missed by rounding errors
    return math.floor(round((count + 1) * share, 9)), math.ceil(round((count + 1) * (1 - share), 9))


def basis(d: Any, s: Any) -> Array:
    """Basis functions b(d, s), (..., k)."""
    log = np.log(np.clip(d, *DISTANCES))
    ratio = np.log(np.clip(np.divide(s, d), *RATIOS))
    hinges = [np.maximum(ratio - math.log(knot), 0) for knot in RATIO_KNOTS]
    hinges.append(np.maximum(log - math.log(DISTANCE_KNOT), 0))
    return np.stack([np.ones_like(log), log, ratio, log * ratio, *hinges], axis=-1)


def predicted(weights: Array, deviation: Array, d: Any, s: Any) -> tuple[Array, Array]:
    """Logarithm of the predicted error, and its standard deviation."""
    b = basis(d, s)
    return np.log(d) + b @ weights, np.maximum(np.exp(b @ deviation), LEAST_DEVIATION)


def calibrated(d: Array, s: Array, error: Array, head: Array) -> Calibration:
    """The calibration on pairs with known error.

    Parameters
    ----------
    d, s, error : (n,) array
        In voxels, above 0.
    head : (n,) array
        Index of the head of each pair; at least two heads.
    """
    target = np.log(error / d)
    residuals = np.empty(len(d))
    for name in np.unique(head):
        own = head == name
        log, sigma = predicted(*_fitted(d[~own], s[~own], target[~own]), d[own], s[own])
        residuals[own] = (np.log(error[own]) - log) / sigma
    return Calibration(*_fitted(d, s, target), np.sort(residuals), np.array([d.min(), d.max()]))


def _fitted(d: Array, s: Array, target: Array) -> tuple[Array, Array]:
    """Fitted w and v."""
    b = basis(d, s)
    weights = _least_squares(b, target)
    apart = np.abs(target - b @ weights)
    return weights, _least_squares(b, np.log(apart + LEAST_DEVIATION))


def _least_squares(b: Array, values: Array) -> Array:
    """Least squares with a penalty on all coefficients but the constant."""
    penalty = RIDGE * np.eye(b.shape[1])
    penalty[0, 0] = 0
    return np.asarray(np.linalg.solve(b.T @ b + penalty, b.T @ values))


@cache
def calibrations() -> Mapping[int, Calibration]:
    """Number of trials -> calibration, as written by ``examples/benchmarks/calibration.py --write``."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    return {
        int(count): Calibration(**{key: np.array(value) for key, value in found.items()})
        for count, found in content["trials"].items()
    }


def stored(found: Mapping[int, Calibration], provenance: Mapping[str, Any]) -> str:
    """Text of the calibration file."""
    trials = {
        str(count): {key: np.round(value, 4).tolist() for key, value in vars(each).items()}
        for count, each in found.items()
    }
    return json.dumps(
        {"format": FORMAT, "provenance": dict(provenance), "trials": trials}, indent=1
    )
