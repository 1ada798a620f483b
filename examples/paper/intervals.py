"""Bootstrap confidence intervals over the test pairs for differences between networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import shared  # noqa: F401
from numpy.typing import ArrayLike, NDArray

#: Confidence level, number of resamples, and seed.
LEVEL, RESAMPLES, SEED = 0.95, 10_000, 0
Statistic = Callable[..., "NDArray[np.float64]"]


class Interval(NamedTuple):
    """Statistic of the test pairs with the bounds of its confidence interval."""

    value: float
    low: float
    high: float

    def text(self, digits: int = 3, sign: bool = True) -> str:
        """Value and bounds, e.g. ``+0.024 [+0.010, +0.037]``."""
        value, low, high = (f"{x:{'+' if sign else ''}.{digits}f}" for x in self)
        return f"{value} [{low}, {high}]"


def texts(intervals: Iterable[Interval], digits: int = 3) -> str:
    """Several intervals as text."""
    return ", ".join(each.text(digits) for each in intervals)


def interval(statistic: Statistic, *values: ArrayLike) -> Interval:
    """Percentile bootstrap interval of a statistic, by resampling pairs with replacement.

    Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.

    Parameters
    ----------
    statistic : callable
        Function from arrays (..., n), with n pairs, to (...).
    *values : (n,) array_like
        Figures of the same pairs, one array per method.

    Returns
    -------
    Interval
        At the level of 95 %; nan without values. Pairs of one subject are treated as independent, so the interval tends
        to be too narrow.

    Examples
    --------
    >>> found = interval(lambda x: x.mean(-1), [1.0, 2.0, 3.0, 4.0])
    >>> found.value, found.low < 2.5 < found.high
    (2.5, True)
    """
    arrays = [np.asarray(v, dtype=np.float64) for v in values]
    if not arrays[0].size:
        return Interval(np.nan, np.nan, np.nan)
    drawn = np.random.default_rng(SEED).integers(len(arrays[0]), size=(RESAMPLES, len(arrays[0])))
    found = statistic(*(a[drawn] for a in arrays))
    low, high = np.quantile(found, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Interval(float(statistic(*arrays)), float(low), float(high))


def difference(after: ArrayLike, before: ArrayLike) -> Interval:
    """Interval of the mean difference `after` - `before`."""
    return interval(lambda a, b: (a - b).mean(-1), after, before)


def ratio(after: ArrayLike, before: ArrayLike) -> Interval:
    """Interval of the ratio of means, `after` / `before`."""
    return interval(lambda a, b: a.mean(-1) / b.mean(-1), after, before)


def spread_difference(after: ArrayLike, before: ArrayLike) -> Interval:
    """Interval of the difference of standard deviations over the pairs."""
    return interval(lambda a, b: a.std(-1, ddof=1) - b.std(-1, ddof=1), after, before)


def all_above(bound: float, *intervals: Interval) -> bool | None:
    """Whether all quantities are above a bound; None if their intervals do not decide it.

    Examples
    --------
    >>> one, other = Interval(2, 1, 3), Interval(0.5, -1, 2)
    >>> all_above(0, one), all_above(0, one, other), all_above(4, one, other)
    (True, None, False)
    """
    if all(each.low > bound for each in intervals):
        return True
    return False if any(each.high < bound for each in intervals) else None


def all_below(bound: float, *intervals: Interval) -> bool | None:
    """Whether all quantities are below a bound; None if their intervals do not decide it."""
    return all_above(-bound, *(Interval(-i.value, -i.high, -i.low) for i in intervals))


def within(found: Interval, low: float, high: float) -> bool | None:
    """Whether a quantity is between two bounds; None if its interval does not decide it.

    Examples
    --------
    >>> within(Interval(2, 1, 3), 0, 4), within(Interval(2, 1, 3), 0, 2), within(Interval(2, 1, 3), 4, 5)
    (True, None, False)
    """
    if found.high < low or found.low > high:
        return False
    return True if low <= found.low and found.high <= high else None
