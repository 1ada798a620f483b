"""Two stages of a training: first AT-Net alone, then all DT-Nets end to end behind a frozen AT-Net."""

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
#: Distance (voxels of the images) below which a pass need not leave much less than it met.
STARTED = 0.5
#: Weight of the whole image beside that of what is visible, lest the map folds in the background.
OUTSIDE = 0.03


def prepare_stage(name: str, cascade: Cascade, config: Config) -> nn.Module:
    """Make trainable what the stage trains, and nothing else; the cascade is in training mode then.

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


class AffineLoss(nn.Module):
    """Loss of a batch in the first stage: mutual information and background after AT-Net.

    Global mutual information, as in the affine stage of the solver: regional mutual information
    does not see structures that are far apart.  The mean over the passes of AT-Net.

    Parameters
    ----------
    cascade : Cascade
        With an AT-Net.
    config : LossConfig
    """

    def __init__(self, cascade: Cascade, config: LossConfig) -> None:
        super().__init__()
        self.at_net, self.passes = cascade.at_net, cascade.settings.affine_passes
        self.voxel = cascade.settings.affine_scale
        self.known_map, self.dice = config.known_map, config.dice
        options = Options.preset(config.estimator, similarity="mi")
        self.objective = objective(config, options)

    def forward(self, moving: Tensor, fixed: Tensor, known: Known | None = None) -> Losses:
        """The loss and its terms, of (N, 1, *S) images in [0, 1] as coarse as AT-Net sees them."""
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
    """Loss of a batch in the second stage: all terms, of what the last network predicts.

    Parameters
    ----------
    cascade : Cascade
        With DT-Nets.
    config : LossConfig
    """

    def __init__(self, cascade: Cascade, config: LossConfig) -> None:
        super().__init__()
        self.cascade = cascade
        self.objective = objective(config, Options.preset(config.estimator))
        self.known_map, self.dice = config.known_map, config.dice

    def forward(self, moving: Tensor, fixed: Tensor, known: Known | None = None) -> Losses:
        """The loss and its terms, of (N, 1, *S) images in [0, 1]."""
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
    r"""Loss of a batch in the second stage with descent networks: every pass counts for itself.

    .. math:: \frac{1}{P} \sum_p \left( \lambda \frac{K(u_p)}{K(u_{p-1}) + c} + E(u_p)
              + \delta\,(1 - D(u_p)) \right)

    with K the distance to the known map after pass p, E the energy and D the overlap of labels.  Pairs without
    a known map or without labels have the other terms.  K as a ratio, for otherwise the first passes, which
    have most to do, would be all that counts.  No gradient flows from one pass to the next: each takes what it meets as it is, and learns to go on from there, however often.
    Every other pair begins at the identity, not at AT-Net's map, so that stages learn to do without it and
    to mend it.

    Parameters
    ----------
    cascade : Cascade
    config : LossConfig
    """

    def __init__(self, cascade: Cascade, config: LossConfig) -> None:
        super().__init__()
        self.cascade, self.known_map, self.dice = cascade, config.known_map, config.dice
        self.has_energy = max(config.mutual_information, config.smoothness, config.background) > 0
        options = Options.preset(config.estimator)
        self.fine = objective(config, options, consistency=0.0)
        # boxes of a few voxels know no densities: the solver, too, starts with the whole image
        self.coarse = objective(config, options.replace(similarity="mi"), consistency=0.0)

    def forward(self, moving: Tensor, fixed: Tensor, known: Known | None = None) -> Losses:
        """The loss and its terms, of (N, 1, *S) images in [0, 1].

        "known_map" and "dice" are those of the last pass.
        """
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
            _, told = of_known(after.detach(), known.mapped)
            losses = losses._replace(total=losses.total + self.known_map * ratio, known_map=told)
        return with_dice(losses, total, known, self.dice)

    def _energy(self, each: Pass, affine: Tensor, extent: tuple[int, ...]) -> Losses:
        """Of the whole map; what is affine in it costs no smoothness, as for the solver."""
        total = compose_affine(affine, resize_field(each.after, each.fixed.shape[2:]), extent)
        warped = warp(each.moving, total)
        u = without_affine(total, fitted_affine(total))
        energy = self.fine if tuple(total.shape[2:]) == extent else self.coarse
        return energy(warped, warped, each.fixed, u, view_weight(total, tuple(total.shape[2:])))


def _on_grid(known: Known, shape: tuple[int, ...], dtype: torch.dtype) -> Known:
    """What is known, on the grid of a stage and in its voxels."""
    visible = resize_image(known.visible.to(dtype), shape)
    return known._replace(truth=resize_field(known.truth, shape), visible=visible)


def _distance(displacement: Tensor, known: Known, voxel: float) -> Tensor:
    """K of each pair in voxels of the images, with a little of it where nothing is to be seen."""
    total, truth = voxel * displacement, voxel * known.truth
    seen = known_map_distance(total, truth, known.visible)
    return seen + OUTSIDE * known_map_distance(total, truth, torch.ones_like(known.visible))


def _mean(several: Sequence[Losses]) -> Losses:
    """Term by term."""
    return Losses(*(torch.stack(terms).mean() for terms in zip(*several, strict=True)))


def objective(config: LossConfig, options: Options, consistency: float | None = None) -> Objective:
    """The objective that a configuration describes."""
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
    """A displacement on a coarse grid, its components in voxels of the images."""
    ratios = [n / m for n, m in zip(size, displacement.shape[2:], strict=True)]
    return displacement * displacement.new_tensor(ratios).reshape(-1, *[1] * len(ratios))
