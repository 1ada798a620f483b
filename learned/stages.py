"""Two stages of a training: first AT-Net alone, then all DT-Nets end to end behind a frozen AT-Net."""

from __future__ import annotations

from .cascade import Cascade
from .config import Config
from .stage_losses import AffineLoss, DeformableLoss, DescentLoss

AFFINE, DEFORMABLE = "affine", "deformable"
STAGES = (AFFINE, DEFORMABLE)
StageLoss = AffineLoss | DeformableLoss | DescentLoss


def prepare_stage(name: str, cascade: Cascade, config: Config) -> StageLoss:
    """Make trainable what the stage trains, and nothing else; the cascade is in training mode then.

    Parameters
    ----------
    name : {"affine", "deformable"}
    cascade : Cascade
        Changed in place.
    config : Config

    Returns
    -------
    AffineLoss, DeformableLoss or DescentLoss
        A module over the cascade: moving and fixed images, what is known of them -> Losses.  Buffers
        of the module itself (``register_buffer``) are state of the training: they are saved in
        checkpoints and come back from them, so they must keep their shape and change in place; of
        several processes those of the first are saved.

    Examples
    --------
    >>> cascade = Cascade.build(shape=(32, 32), at_width=1, dt_width=1)
    >>> loss = prepare_stage("deformable", cascade, Config())
    >>> any(p.requires_grad for p in cascade.at_net.parameters())
    False
    """
    cascade.dt_nets.requires_grad_(name == DEFORMABLE)
    if name == DEFORMABLE and cascade.at_net is not None:
        cascade.freeze_affine()
    cascade.train()
    if name == AFFINE:
        return AffineLoss(cascade, config.loss)
    descends = config.model.network == "descent"
    return (DescentLoss if descends else DeformableLoss)(cascade, config.loss)


def stage_epochs(name: str, config: Config) -> int:
    """Epochs of a stage; without scales there is no second one.

    Examples
    --------
    >>> from learned.config import ModelConfig
    >>> stage_epochs("deformable", Config(model=ModelConfig(scales=())))
    0
    """
    if name == AFFINE:
        return config.optimiser.affine_epochs
    return config.optimiser.epochs if config.model.scales else 0
