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
    # Slices of 112 x 112 voxels of 2 mm on two cores, one of which prepares pairs.  It is affordable
    # because nothing is computed finer than it is worth: AT-Net sees the images at 64 x 64, where what
    # an affine map does is as visible, and the one stage at 56 x 56; both learn from the number of steps
    # more than from resolution, and several stages at once learn slowly (further ones begin where this
    # one ends, by train.stages_from).  The known map teaches several times faster than mutual
    # information alone, which is flat far from the answer.  Dual consistency costs more than all other
    # terms, is 0.3 % of the loss for maps that do not fold, and is left out; the loss of every stage at
    # its own resolution costs little and helped in short trials; dropout only disturbs where no pair
    # comes twice.
    "laptop": {
        "model.shape": (112, 112),
        "model.at_width": 16,
        "model.affine_scale": 1.75,
        "model.affine_passes": 2,
        "model.affine_views": "symmetric",
        "model.dt_width": 16,
        "model.scales": (2,),
        "loss.estimator": "default",
        "loss.smoothness": 5.0,
        "loss.consistency": 0.0,
        "loss.known_map": 20.0,
        "loss.deep_supervision": 1.0,
        "data.spacing": 2.0,
        "data.rotation": 15.0,
        "data.scaling": 0.12,
        "data.shear": 0.06,
        "data.shift": 0.08,
        "data.amplitude": 0.08,
        "data.pairs_per_epoch": 4000,
        "data.workers": 1,
        "optimiser.affine_epochs": 40,
        "optimiser.epochs": 8,
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
        A minute on the phantom; an hour on two cores, for slices of 112 x 112 voxels of 2 mm (20,000
        steps of 0.1 s for AT-Net, 4,000 of 0.2 s for one stage); the paper's Table 1, for which
        ``data.manifest`` is still to be given.

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
