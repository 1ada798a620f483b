"""Configurations by name."""

from __future__ import annotations

from typing import Any

from varreg.errors import InputError

from ..messages import meant
from .configuration import Config, replaced

#: What each preset changes.
PRESETS: dict[str, dict[str, Any]] = {
    # one minute on two cores: shows that everything works, teaches nothing
    "smoke": {
        "model.shape": (64, 64),
        "model.at_width": 4,
        "model.dt_width": 4,
        "model.scales": (2, 1),
        "loss.estimator": "default",
        "data.pairs_per_epoch": 64,
        "data.validation_pairs": 4,
        "data.test_pairs": 4,
        "optimiser.batch_size": 4,
        "optimiser.affine_epochs": 3,
        "optimiser.epochs": 6,
        "train.checkpoint_every": 16,
        "train.threads": 1,
        "train.devices": ("cpu",),
    },
    # Slices of 224 x 224 voxels on two cores, one of which prepares pairs.  It is affordable because
    # AT-Net sees the images at 64 x 64, where what an affine map does is as visible, and the finest
    # stage has half the resolution of the images, enough for what is smooth.  The known map teaches
    # AT-Net several times faster than mutual information alone, which is flat far from the answer.
    # Dual consistency costs more than all other terms, is 0.3 % of the loss for maps that do not
    # fold, and is left out; the loss of every stage at its own resolution costs little and helped in
    # short trials; dropout only disturbs where no pair comes twice.
    "laptop": {
        "model.at_width": 16,
        "model.affine_scale": 3.5,
        "model.affine_passes": 2,
        "model.affine_views": "symmetric",
        "model.dt_width": 16,
        "model.scales": (8, 4, 2),
        "loss.estimator": "default",
        "loss.smoothness": 5.0,
        "loss.consistency": 0.0,
        "loss.known_map": 10.0,
        "loss.deep_supervision": 1.0,
        "data.rotation": 15.0,
        "data.scaling": 0.12,
        "data.shear": 0.06,
        "data.shift": 0.08,
        "data.amplitude": 0.08,
        "data.pairs_per_epoch": 4000,
        "data.workers": 1,
        "optimiser.affine_epochs": 40,
        "optimiser.epochs": 6,
        "optimiser.schedule": "cosine",
        "optimiser.warm_up": 40,
        "optimiser.gradient_clipping": 10.0,
        "optimiser.dropout": 0.0,
        "train.threads": 1,
        "train.devices": ("cpu",),
        "train.checkpoint_every": 500,
    },
    # Table 1; it gives no epochs for AT-Net, and the code that it inherits from at most 100
    "paper": {"data.source": "manifest", "data.intensity": 0.0},
}  # fmt: skip


def preset(name: str) -> Config:
    """The named configuration.

    Parameters
    ----------
    name : {"smoke", "laptop", "paper"}
        A minute on the phantom; an hour and a half on two cores, for slices of 224 x 224 voxels (3000
        steps of 0.5 s, then 6000 of 0.65 s); the paper's Table 1, for which ``data.manifest`` is still
        to be given.

    Returns
    -------
    Config

    Raises
    ------
    InputError
        If there is no such preset.

    Examples
    --------
    >>> preset("paper").optimiser.epochs
    300
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise InputError(
            f"learned.preset: `name` must be one of {', '.join(map(repr, PRESETS))}; got "
            f"{name!r}.{meant(name, PRESETS)}"
        )
    return replaced(Config(), PRESETS[name])
