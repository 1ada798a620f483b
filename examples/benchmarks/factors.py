"""Factors of the study of the defaults, with the values around each default.

A change is a dictionary of options; ``length_factor`` is not an option but a multiple of the default
smoothness length, which depends on the image.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import checkout  # noqa: F401
import numpy as np
from methods import scaled_iterations

from varreg.options.names import SIMILARITIES
from varreg.options.options import Options
from varreg.stages.pyramid import LENGTH_SHARE

Change = dict[str, Any]

DEFAULT = Options().for_dimension(2)
#: Factors that only images with many voxels feel; studied in 3D and only when named.
VOLUME_FACTORS = ("samples_per_node",)


def factors() -> dict[str, list[Change]]:
    """Name -> changes, the default among them as the empty change."""
    found = {
        "smoothness_weight": multiples("smoothness_weight", (0.25, 0.5, 0.7, 1.4, 2, 4)),
        "smoothness_order": values("smoothness_order", (2, 3, 4)),
        "smoothness_length": [{"length_factor": f} for f in (0.5, 0.7, 1.0, 1.4, 2.0)],
        "regions": values("regions", (4, 6, 8, 10, 12)),
        "bins": [
            {"bins": bins, "kernel_width": width}
            for bins, width in ((16, 0.5), (24, 0.5), (24, 0.7), (32, 0.5), (32, 0.7), (48, 1.0))
        ],
        "similarity": values("similarity", (s for s in SIMILARITIES if s != "ssd")),
        "interpolation": values("interpolation", ("linear", "cubic")),
        "memory": values("memory", (0, 3, 6, 12)),
        "iterations": [{"iterations": scaled_iterations(f)} for f in (0.5, 1, 2, 4)],
        "largest_step": multiples("largest_step", (0.5, 2, 4)),
        "samples_per_node": values("samples_per_node", (60.0, 125.0, 250.0, 500.0, None)),
    }
    return {name: _with_default(name, changes) for name, changes in found.items()}


def values(name: str, wanted: Iterable[Any]) -> list[Change]:
    """One option at several values."""
    return [{name: value} for value in wanted]


def multiples(name: str, wanted: Iterable[float]) -> list[Change]:
    """One option at multiples of its default; 1 is added."""
    default = getattr(DEFAULT, name)
    return [{name: round(default * factor, 6)} for factor in sorted((*wanted, 1.0))]


def reduced(change: Change) -> Change:
    """The change without what is the default anyway."""
    default = {"length_factor": 1.0, **{name: getattr(DEFAULT, name) for name in options(change)}}
    return {name: value for name, value in change.items() if value != default[name]}


def options(change: Change, shape: tuple[int, ...] | None = None) -> Change:
    """What of a change is an option; with a shape (1 mm voxels) the smoothness length too."""
    found = {name: value for name, value in change.items() if name != "length_factor"}
    if shape is not None and "length_factor" in change:
        extent = float(np.exp(np.mean(np.log(shape))))
        found["smoothness_length"] = change["length_factor"] * LENGTH_SHARE * extent
    return found


def label(change: Change) -> str:
    """A change as text."""
    return ", ".join(f"{name} {_text(value)}" for name, value in change.items()) or "defaults"


def value_label(change: Change, factor: str) -> str:
    """The value of one factor, the default's own if the change has none."""
    if factor == "smoothness_length":
        return f"x {_text(change.get('length_factor', 1.0))}"
    names = ("bins", "kernel_width") if factor == "bins" else (factor,)
    return ", ".join(_text(change.get(name, getattr(DEFAULT, name))) for name in names)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "/".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _with_default(name: str, changes: list[Change]) -> list[Change]:
    """Each change reduced, without repetition; the default in its place or first."""
    kept: list[Change] = []
    for change in map(reduced, changes):
        if change not in kept:
            kept.append(change)
    return kept if {} in kept else [{}, *kept]
