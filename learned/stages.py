"""Two stages of a training: first AT-Net alone, then all DT-Nets with AT-Net frozen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from varreg.options.options import Options

from .affine import affine_displacement, compose_affine, fitted_affine, without_affine
from .at_net import affine_maps
from .cascade import Cascade
from .config import Config, LossConfig
from .losses.objective import Losses, LossWeights, Objective
from .losses.supervised import Known, known_map_distance, of_known, with_dice, with_known
from .passes import Pass, run_passes
from .spatial import resize_field, resize_image, view_weight, warp

AFFINE, DEFORMABLE = "affine", "deformable"
STAGES = (AFFINE, DEFORMABLE)
#: Added to the distance before a pass (voxels of the images), so that small distances need not be reduced much.
STARTED = 0.5
#: Weight of the distance over the whole image, against folds in the background.
OUTSIDE = 0.03


def prepare_stage(name: str, cascade: Cascade, config: Config) -> nn.Module:
    """Prepare a cascade for a stage of the training: only the networks of the stage are trainable.

    Returns
    -------
    AffineLoss, DeformableLoss or DescentLoss
        Loss module, from moving and fixed images and :class:`learned.losses.supervised.Known` to Losses.
        Buffers registered on it (``register_buffer``) belong to the state of the training: they are saved in
        checkpoints and restored, and must be modified in place, with constant shape. With several processes,
        those of the first are saved.

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
    """Number of epochs of a stage; 0 for the deformable stage of a cascade without scales.

    Examples
    --------
    >>> from learned.config import ModelConfig
    >>> stage_epochs("deformable", Config(model=ModelConfig(scales=())))
    0
    """
    if name == AFFINE:
        return config.optimiser.affine_epochs
    return config.optimiser.epochs if config.model.scales else 0


class AffineLoss(nn.Module):
    """Loss of the affine stage: mutual information and background suppression, mean over the passes of AT-Net.

    Mutual information is global, as in the affine stage of the solver: regional mutual information is not
    sensitive to structures that are far apart.

    Parameters
    ----------
    cascade : Cascade
        Cascade with an AT-Net.
    config : LossConfig
        Weights and settings of the loss.
    """

    def __init__(self, cascade: Cascade, config: LossConfig) -> None:
        super().__init__()
        self.at_net, self.passes = cascade.at_net, cascade.settings.affine_passes
        self.voxel = cascade.settings.affine_scale
        self.known_map, self.dice = config.known_map, config.dice
        options = Options.preset(config.estimator, similarity="mi")
        self.objective = objective(config, options)

    def forward(self, moving: Tensor, fixed: Tensor, known: Known | None = None) -> Losses:
        """Loss and its terms for (N, 1, *S) images in [0, 1] at the resolution of AT-Net."""
        assert self.at_net is not None
        maps = affine_maps(self.at_net, moving, fixed, self.passes)
        return _mean([self._of_pass(affine, moving, fixed, known) for affine in maps])

    def _of_pass(
        self, affine: Tensor, moving: Tensor, fixed: Tensor, known: Known | None
    ) -> Losses:
        size = tuple(moving.shape[2:])
        displacement = affine_displacement(affine, size)
        warped = warp(moving, displacement)
        losses = self.objective(warped, warped, fixed, None, view_weight(displacement, size))
        return with_known(losses, displacement, known, self.known_map, self.dice, self.voxel)


class DeformableLoss(nn.Module):
    """Loss of the deformable stage: all terms, for the map after the last DT-Net.

    Parameters
    ----------
    cascade : Cascade
        Cascade with DT-Nets.
    config : LossConfig
        Weights and settings of the loss.
    """

    def __init__(self, cascade: Cascade, config: LossConfig) -> None:
        super().__init__()
        self.cascade = cascade
        self.objective = objective(config, Options.preset(config.estimator))
        self.known_map, self.dice = config.known_map, config.dice

    def forward(self, moving: Tensor, fixed: Tensor, known: Known | None = None) -> Losses:
        """Loss and its terms for (N, 1, *S) images in [0, 1]."""
        prediction = self.cascade(moving, fixed)
        losses = self.objective(
            prediction.warped_affine,
            prediction.warped,
            fixed,
            prediction.displacement,
            prediction.view,
            nodes=_in_voxels_of(prediction.stages[-1], tuple(moving.shape[2:])),
        )
        return with_known(losses, prediction.total, known, self.known_map, self.dice)


class DescentLoss(nn.Module):
    r"""Loss of the deformable stage with descent networks: the mean of the losses of all passes.

    .. math:: \frac{1}{P} \sum_p \left( \lambda \frac{K(u_p)}{K(u_{p-1}) + c} + E(u_p)
              + \delta\,(1 - D(u_p)) \right)

    with K the distance to the known map after pass p, E the energy and D the overlap of labels.  For pairs without
    known map or labels, only the other terms are used.  K is normalised by the distance before the pass; otherwise
    the first passes, whose distances are largest, would dominate.  No gradient is propagated from one pass to the
    next, so that their number is not limited.  Every second pair starts from the identity instead of AT-Net's map, so
    that the stages learn to work without AT-Net and to correct its errors.

    Parameters
    ----------
    cascade : Cascade
        Cascade with descent networks.
    config : LossConfig
        Weights and settings of the loss.
    """

    def __init__(self, cascade: Cascade, config: LossConfig) -> None:
        super().__init__()
        self.cascade, self.known_map, self.dice = cascade, config.known_map, config.dice
        self.has_energy = max(config.mutual_information, config.smoothness, config.background) > 0
        options = Options.preset(config.estimator)
        self.fine = objective(config, options, consistency=0.0)
        # regions of few voxels do not suffice to estimate densities; the solver also starts with global MI
        self.coarse = objective(config, options.replace(similarity="mi"), consistency=0.0)

    def forward(self, moving: Tensor, fixed: Tensor, known: Known | None = None) -> Losses:
        """Loss and its terms for (N, 1, *S) images in [0, 1]; `known_map` and `dice` are those of the last pass."""
        affine = self.cascade.affine(moving, fixed).clone()
        affine[1::2] = torch.eye(*affine.shape[1:], dtype=affine.dtype, device=affine.device)
        extent, stages = tuple(moving.shape[2:]), self.cascade.stages()
        losses: list[Losses] = []
        there: dict[tuple[int, ...], Known] = {}
        for each in run_passes(stages, moving, fixed, affine, through=False):
            shape = tuple(each.after.shape[2:])
            if known is not None and self.known_map and shape not in there:
                there[shape] = _on_grid(known, shape, fixed.dtype)
            losses.append(self._of_pass(each, affine, extent, there.get(shape, known)))
        last = losses[-1]
        return _mean(losses)._replace(known_map=last.known_map, dice=last.dice)

    def _of_pass(
        self, each: Pass, affine: Tensor, extent: tuple[int, ...], known: Known | None
    ) -> Losses:
        losses = Losses(*[each.after.new_zeros(())] * len(Losses._fields))
        if self.has_energy:
            losses = self._energy(each, affine, extent)
        if known is None:
            return losses
        total = compose_affine(affine, each.after, extent)
        if self.known_map:
            voxel = extent[0] / total.shape[2]
            before = _distance(compose_affine(affine, each.before, extent), known, voxel).detach()
            after = _distance(total, known, voxel)
            ratio, _ = of_known(after / (before + STARTED), known.mapped)
            _, metric = of_known(after.detach(), known.mapped)
            losses = losses._replace(total=losses.total + self.known_map * ratio, known_map=metric)
        return with_dice(losses, total, known, self.dice)

    def _energy(self, each: Pass, affine: Tensor, extent: tuple[int, ...]) -> Losses:
        """Energy of the total map; its affine part does not contribute to the smoothness, as in the solver."""
        total = compose_affine(affine, resize_field(each.after, each.fixed.shape[2:]), extent)
        warped = warp(each.moving, total)
        u = without_affine(total, fitted_affine(total))
        energy = self.fine if tuple(total.shape[2:]) == extent else self.coarse
        return energy(warped, warped, each.fixed, u, view_weight(total, tuple(total.shape[2:])))


def _on_grid(known: Known, shape: tuple[int, ...], dtype: torch.dtype) -> Known:
    """Known map on the grid of a stage and in its voxels."""
    visible = resize_image(known.visible.to(dtype), shape)
    return known._replace(truth=resize_field(known.truth, shape), visible=visible)


def _distance(displacement: Tensor, known: Known, voxel: float) -> Tensor:
    """Distance K of each pair in voxels of the images, plus a small weight of that over the whole image."""
    total, truth = voxel * displacement, voxel * known.truth
    seen = known_map_distance(total, truth, known.visible)
    return seen + OUTSIDE * known_map_distance(total, truth, torch.ones_like(known.visible))


def _mean(several: Sequence[Losses]) -> Losses:
    """Mean of each term."""
    return Losses(*(torch.stack(terms).mean() for terms in zip(*several, strict=True)))


def objective(config: LossConfig, options: Options, consistency: float | None = None) -> Objective:
    """Objective of a configuration."""
    weights = LossWeights(
        config.smoothness,
        config.mutual_information,
        config.background,
        config.consistency if consistency is None else consistency,
    )
    return Objective(
        weights, options, background_threshold=config.gamma, inverse=config.inverse
    )  # fmt: skip


def _in_voxels_of(displacement: Tensor, size: tuple[int, ...]) -> Tensor:
    """Displacement on a coarse grid with its components in voxels of the images."""
    ratios = [n / m for n, m in zip(size, displacement.shape[2:], strict=True)]
    return displacement * displacement.new_tensor(ratios).reshape(-1, *[1] * len(ratios))
