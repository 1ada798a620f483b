"""Convergence curves as coordinates of an SVG drawing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..optimise.history import Iteration, descents

#: Drawing area of a chart within its 640 x 260 box: left, top, right, bottom.
BOX = (78.0, 26.0, 628.0, 216.0)


@dataclass(frozen=True)
class Tick:
    """Position of a number on an axis."""

    place: float
    text: str


@dataclass(frozen=True)
class Band:
    """One level of one stage.

    Attributes
    ----------
    stage : str
    label : str
        Coarsening factor, as a fraction.
    left, right : float
        Start and end in the drawing.
    points : str
        Points of the polyline, ``"x,y x,y"``.
    """

    stage: str
    label: str
    left: float
    right: float
    points: str


@dataclass(frozen=True)
class Chart:
    """A chart with one curve per level.

    Attributes
    ----------
    identifier, title, description : str
        The description states the content in words and numbers.
    bands : tuple of Band
    x_ticks, y_ticks : tuple of Tick
    """

    identifier: str
    title: str
    description: str
    bands: tuple[Band, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def charts(history: tuple[Iteration, ...]) -> list[Chart]:
    """Energy and gradient norm over the accepted steps, each relative to the start of its level.

    Levels use different images, so that values are comparable only within a level.
    """
    levels = descents(history)
    if not levels:
        return []
    gains = [[step.energy - steps[0].energy for step in steps] for steps in levels]
    first = [steps[0].gradient_norm or 1.0 for steps in levels]
    gradients = [
        [max(step.gradient_norm / norm, 1e-12) for step in steps]
        for steps, norm in zip(levels, first, strict=True)
    ]
    steps = sum(step.iteration > 0 for step in history)
    last = levels[-1][0]
    ended = f"on the last level ({last.stage}, {_fraction(last.factor)} of the size)"
    return [
        _chart(
            "energy", "Energy since the start of each level",
            f"{steps} accepted steps on {len(levels)} levels; {ended} the energy changed by "
            f"{gains[-1][-1]:+.4f} to {levels[-1][-1].energy:.4f}.",
            levels, gains, logarithmic=False,
        ),
        _chart(
            "gradient", "Gradient norm, as a share of the first of each level",
            f"{ended[0].upper()}{ended[1:]} the gradient norm fell to {100 * gradients[-1][-1]:.2g} % of "
            "its first value. The scale is logarithmic.",
            levels, gradients, logarithmic=True,
        ),
    ]  # fmt: skip


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers within an interval.

    Examples
    --------
    >>> ticks(0, 70, 6)
    [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0]
    """
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * min((1, 2, 5, 10), key=lambda m: abs(math.log(m * power / raw)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _chart(
    identifier: str, title: str, description: str, levels: list[list[Iteration]],
    values: list[list[float]], logarithmic: bool,
) -> Chart:  # fmt: skip
    left, top, right, bottom = BOX
    heights = [np.log10(np.array(part)) if logarithmic else np.array(part) for part in values]
    everything = np.concatenate(heights)
    low, high = float(everything.min()), float(everything.max())
    margin = 0.06 * (high - low) if high > low else 0.5
    low, high = low - margin, high + margin
    total = len(everything)
    across = (right - left) / total

    def vertical(value: float) -> float:
        return round(bottom - (value - low) / (high - low) * (bottom - top), 2)

    bands, start = [], 0
    for steps, part in zip(levels, heights, strict=True):
        points = " ".join(
            f"{left + (start + k + 0.5) * across:.2f},{vertical(value):.2f}"
            for k, value in enumerate(part)
        )
        edge = (round(left + start * across, 2), round(left + (start + len(part)) * across, 2))
        bands.append(Band(steps[0].stage, _fraction(steps[0].factor), *edge, points))
        start += len(part)
    marks = [float(v) for v in range(math.ceil(low), math.floor(high) + 1)] if logarithmic else []
    marks = marks or ticks(low, high)
    x_ticks = tuple(
        Tick(round(left + (v + 0.5) * across, 2), f"{v:.0f}")
        for v in ticks(0, max(total - 1, 1), 6) if v == int(v) and v < total
    )  # fmt: skip
    y_ticks = tuple(Tick(vertical(v), _power(v) if logarithmic else f"{v:g}") for v in marks)
    return Chart(identifier, title, description, tuple(bands), x_ticks, y_ticks)


def _fraction(factor: float) -> str:
    return "1" if factor == 1 else f"1/{factor:g}"


def _power(exponent: float) -> str:
    """
    >>> _power(0.0), _power(-2.0), _power(-4.0)
    ('100 %', '1 %', '0.01 %')
    """
    return f"{100 * 10**exponent:.3g} %"
