"""Every key of a configuration, with good and bad values."""

import dataclasses

from learned.config import (
    SECTIONS,
)
from varreg.options.presets import PRESETS as ENERGIES

KEYS = {
    f"{name}.{field.name}": field
    for name, kind in SECTIONS.items()
    for field in dataclasses.fields(kind)
}
WHOLE = {  # key: lowest and highest
    "model.at_width": (0, 1024),
    "model.affine_passes": (1, 16),
    "model.dt_width": (1, 1024),
    "data.pairs_per_epoch": (1, 10**9),
    "data.validation_pairs": (1, 10**9),
    "data.test_pairs": (0, 10**9),
    "data.workers": (0, 256),
    "optimiser.batch_size": (1, 10**9),
    "optimiser.affine_epochs": (0, 10**9),
    "optimiser.epochs": (0, 10**9),
    "optimiser.warm_up": (0, 10**9),
    "train.seed": (0, 2**63 - 1),
    "train.checkpoint_every": (1, 10**9),
    "train.validation_every": (1, 10**9),
}
REAL = {
    "loss.smoothness": (0, 1e6),
    "loss.mutual_information": (1e-3, 1e6),  # with 0, another weight must be above it
    "loss.background": (0, 1e6),
    "loss.consistency": (0, 1e6),
    "loss.gamma": (0, 1),
    "loss.known_map": (0, 1e6),
    "loss.dice": (0, 1e6),
    "data.people": (0, 1),
    "model.affine_scale": (1, 64),
    "data.rotation": (0, 180),
    "data.scaling": (0, 0.9),
    "data.shear": (0, 1),
    "data.shift": (0, 1),
    "data.amplitude": (0, 1),
    "data.pose": (0, 4),
    "data.intensity": (0, 4),
    "data.spacing": (0.01, 100),
    "optimiser.learning_rate": (1e-12, 10),
    "optimiser.dropout": (0, 0.9),
    "optimiser.last_rate": (0, 1),
    "optimiser.averaging": (0, 0.99999),
}
CHOICES = {
    "model.pooling": ["flatten", "global"],
    "model.network": ["u-net", "descent"],
    "model.views": ["one", "alternating"],
    "model.starts": ["one", "two"],
    "loss.inverse": ["fixed-point", "paper"],
    "loss.estimator": list(ENERGIES),
    "optimiser.schedule": ["constant", "cosine"],
    "train.precision": ["float32", "bfloat16"],
}


def value(config, key):
    section, _, field = key.partition(".")
    return getattr(getattr(config, section), field)
