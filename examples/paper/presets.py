"""Presets of the study: size of the data and duration of the trainings, relative to the paper's Table 1."""

from __future__ import annotations

from dataclasses import dataclass, field

import shared  # noqa: F401

from learned.config import Config, preset, with_changes


@dataclass(frozen=True)
class RunPreset:
    """Size of the study.

    Attributes
    ----------
    changes : tuple of str
        Changes ``section.field=value`` of the preset "paper" of :mod:`learned.config`.
    affine_epochs : int
        Epochs of AT-Net, which is common to all networks with an affine stage.
    widths : dict
        Widths of those networks of :mod:`learned.baselines` that define their own.
    says : str
        Description, for the tables.
    """

    changes: tuple[str, ...]
    affine_epochs: int
    says: str
    widths: dict[str, int] = field(default_factory=dict)


#: The paper's inverse, for which the package has a better one. Unlike in the paper displacements may have any mean;
#: otherwise a DT-Net could not correct a remaining translation.
ITS_OWN = ("loss.inverse=paper", "model.zero_mean=false")
#: Changes for the common AT-Net, which hardly learns rotations from mutual information alone.
AFFINE = (
    "loss.known_map=1", "loss.mutual_information=1", "loss.background=0", "loss.estimator=default",
)  # fmt: skip
PRESETS = {
    # checks that everything works; the networks are not useful
    "smoke": RunPreset(
        (
            "model.shape=64,64", "model.at_width=2", "model.dt_width=2", "optimiser.batch_size=2",
            "data.pairs_per_epoch=4", "data.validation_pairs=1", "data.test_pairs=6",
            "optimiser.epochs=1", "optimiser.dropout=0", "train.devices=cpu",
        ),
        1,
        "smoke: 64 x 64 voxels, two steps of two pairs per network; its figures are meaningless",
        {"voxelmorph": 4, "transmorph": 12, "diffusemorph": 8},
    ),
    # all tables in less than two hours on two cores: slices at half the resolution, the width of section 3.3.2, and
    # 1/6 of the steps with half the batch size
    "reduced": RunPreset(
        (
            "model.shape=112,112", "data.spacing=2", "model.at_width=16", "model.dt_width=8",
            "model.affine_scale=1.75",
            "optimiser.batch_size=4", "data.pairs_per_epoch=400", "optimiser.epochs=20",
            "optimiser.schedule=cosine", "optimiser.warm_up=20", "optimiser.gradient_clipping=10",
            "optimiser.dropout=0", "data.validation_pairs=8", "data.test_pairs=64",
            "data.rotation=10", "data.scaling=0.1", "data.shear=0.05", "data.shift=0.05",
            "data.amplitude=0.03", "train.devices=cpu",
        ),
        60,
        "reduced: slices of 112 x 112 voxels of 2 mm (the paper: 224 x 224), DT-Nets of width 8, 2000 "
        "steps of 4 pairs (the paper: 12000 of 8), AT-Net on 64 x 64 voxels 6000 steps with the known map; motion "
        "up to 10 degrees, 10 % scale, 5 % shift and a smooth displacement of up to 3 % of the extent",
        {"voxelmorph": 16, "transmorph": 12, "diffusemorph": 8},
    ),
    # Table 1 of the paper; it requires a GPU
    "paper": RunPreset(
        (),
        100,
        "paper: the paper's Table 1, 224 x 224 voxels, 300 epochs of 40 steps of 8 pairs, DT-Nets of width "
        "32; motion as in `learned`, since the paper's pairs are not published",
        {"voxelmorph": 16, "transmorph": 48, "diffusemorph": 32},
    ),
}  # fmt: skip


def base_config(
    name: str,
    manifest: str | None = None,
    labels: str | None = None,
    threads: int | None = None,
    changes: tuple[str, ...] = (),
) -> Config:
    """Base configuration of a preset, changed by the variants.

    Parameters
    ----------
    name : {"smoke", "reduced", "paper"}
    manifest, labels : str, optional
        Manifest of real heads, and folder of label maps, see :class:`learned.config.DataConfig`; if both
        are given, they are used equally often; without them, the phantom.
    threads : int, optional
    changes : tuple of str
        Further changes.
    """
    given = [
        f"data.{kind}={path}" for kind, path in (("manifest", manifest), ("labels", labels)) if path
    ]
    source = ["data.source=phantom"]
    if manifest and labels:
        source = ["data.source=mixed", "data.manifest_share=0.5", "data.labels_share=0.5"]
    elif given:
        source = [f"data.source={'manifest' if manifest else 'labels'}"]
    threads_change = [] if threads is None else [f"train.threads={threads}"]
    every = [*ITS_OWN, *PRESETS[name].changes, *source, *given, *threads_change, *changes]
    config = with_changes(preset("paper"), every)
    # one validation at the end: the last weights are used, since the paper has no criterion for their selection
    return with_changes(config, [f"train.validation_every={config.optimiser.epochs}"])
