"""Every choice of a training run: frozen, validated dataclasses, presets, files and ``key=value``.

A key is written ``section.field``, e.g. ``optimiser.learning_rate``, in files, on the command line
and in every message.
"""

from __future__ import annotations

from .configuration import SECTIONS, Config, changed_keys, with_changes
from .data_section import DataConfig
from .files import from_file, from_json, to_json
from .presets import PRESETS, preset
from .sections import LossConfig, ModelConfig, OptimiserConfig, TrainConfig

__all__ = [
    "PRESETS",
    "SECTIONS",
    "Config",
    "DataConfig",
    "LossConfig",
    "ModelConfig",
    "OptimiserConfig",
    "TrainConfig",
    "changed_keys",
    "from_file",
    "from_json",
    "preset",
    "to_json",
    "with_changes",
]
