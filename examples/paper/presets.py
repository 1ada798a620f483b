"""How long and on what the tables are trained: three presets, all changes of the paper's Table 1."""

from __future__ import annotations

from dataclasses import dataclass, field

import shared  # noqa: F401

from learned.config import Config, preset, with_changes


@dataclass(frozen=True)
class RunPreset:
    """A size of the study.

    Attributes
    ----------
    changes : tuple of str
        ``section.field=value``, of the preset "paper" of :mod:`learned.config`.
    affine_epochs : int
        Of AT-Net, which all networks with an affine stage share.
    widths : dict
        Of the networks of :mod:`learned.baselines` that have one of their own.
    says : str
        What it is, for the tables.
    """

    changes: tuple[str, ...]
    affine_epochs: int
    says: str
    widths: dict[str, int] = field(default_factory=dict)


#: Formulas of the paper that the package has better ones for; but displacements may have any mean, or no DT-Net
#: could shift what AT-Net left.
ITS_OWN = ("loss.inverse=paper", "model.zero_mean=false")
#: For AT-Net, which all networks share: mutual information alone hardly teaches it to turn images.
AFFINE = (
    "loss.known_map=1", "loss.mutual_information=1", "loss.background=0", "loss.estimator=default",
)  # fmt: skip
PRESETS = {
    # shows that everything works, teaches nothing
    "smoke": RunPreset(
        (
            "model.shape=64,64", "model.at_width=2", "model.dt_width=2", "optimiser.batch_size=2",
            "data.pairs_per_epoch=4", "data.validation_pairs=1", "data.test_pairs=6",
            "optimiser.epochs=1", "optimiser.dropout=0", "train.devices=cpu",
        ),
        1,
        "smoke: 64 x 64 voxels, two steps of two pairs per network; its figures mean nothing",
        {"voxelmorph": 4, "transmorph": 12, "diffusemorph": 8},
    ),
    # two cores, all tables in two hours: the paper's slices at half their resolution, its width of
    # section 3.3.2, one step in six with half of its batch
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
    # Table 1 of the paper; it wants a GPU
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
    """The configuration that all variants of a preset change.

    Parameters
    ----------
    name : {"smoke", "reduced", "paper"}
    manifest, labels : str, optional
        Real heads and label maps, see :class:`learned.config.DataConfig`; both are drawn equally
        often, neither is the phantom.
    threads : int, optional
    changes : tuple of str
        Further ones.
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
    # the last weights count: the paper knows no error to choose others by
    return with_changes(config, [f"train.validation_every={config.optimiser.epochs}"])
