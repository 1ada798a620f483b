"""Presets of the options, and values that depend only on the dimension."""

from __future__ import annotations

from typing import Any

#: Default values by dimension: a volume has more voxels per box.
BY_DIMENSION: dict[int, dict[str, Any]] = {2: {"regions": 8}, 3: {"regions": 10}}
_SMOOTH: dict[str, Any] = {"smoothness_order": 4, "volume_weight": 0.0}
_FINE: dict[str, Any] = {
    "smoothness_weight": 0.02,
    "smoothness_order": 2,
    "volume_weight": 0.8,
    "iterations": (12, 12, 32),
}
#: Regularity -> dimension -> values: a volume has more voxels per node, and benefits from more steps.
BY_REGULARITY: dict[str, dict[int, dict[str, Any]]] = {
    "smooth": {
        2: {"smoothness_weight": 0.35, "iterations": (12, 10, 18), **_SMOOTH},
        3: {"smoothness_weight": 0.25, "iterations": (12, 10, 32), **_SMOOTH},
    },
    "fine": {2: _FINE, 3: _FINE},
}
PAPER: dict[str, Any] = {
    "similarity": "mi",
    "smoothness_weight": 1.0,
    "bins": 64,
    "kernel_width": 1.0,
    "smoothness_length": 0.0,
    "memory": 0,
    "iterations": (300, 200, 150),
    "samples_per_node": None,
}
PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "fast": {"iterations": (10, 8, 6)},
    "accurate": {
        "interpolation": "cubic",
        "bins": 32,
        "kernel_width": 0.7,
        "iterations": 60,
    },
    "paper": PAPER,
    "cfir": {
        **PAPER,
        "estimator": "per-pixel",
        "bins": 100,
        "fixed_range": (0.0, 1.0),
        "moving_range": (0.0, 1.0),
    },
    "precise": {
        "iterations": 300,
        "gradient_tolerance": 1e-5,
        "energy_tolerance": 1e-7,
        "samples_per_node": None,
    },
}
