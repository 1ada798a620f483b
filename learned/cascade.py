"""The cascade: an affine map, then displacements from coarse to fine (doi 10.3390/math14122131).

Section 2.2.1 of the paper composes one displacement per stage, each predicted from the fixed image
and the moving image warped by the previous stages.  Here every stage warps the original moving image
through the composed map, so that it is interpolated only once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Generator, Tensor, nn

from varreg.errors import InputError

from .affine import affine_displacement, compose_affine, fitted_affine, without_affine
from .at_net import ATNet, affine_maps
from .blocks import check_images
from .descent_net import DescentNet
from .dt_net import DTNet
from .passes import Stage, behind, better_start, run_passes
from .sections import ModelConfig
from .spatial import resize_field, resize_image, stage_shape, view_weight, warp

#: Stages at coarser scales than this are run from both starts if `model.starts` is "two".
COARSE = 2.0


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    r"""Prediction of a cascade: the fixed voxel x corresponds to the moving voxel A(x + u(x)).

    Attributes
    ----------
    moving : (N, 1, \*S) tensor
        Moving image.
    affine : (N, d, d + 1) tensor
        A, on centred coordinates.
    stages : tuple of (N, d, \*T) tensors
        u after each stage, at the resolution of the stage and in its voxels.
    displacement : (N, d, \*S) tensor
        u after the last stage, in voxels of the images.
    total : (N, d, \*S) tensor
        A(x + u(x)) - x, in voxels of the images.
    """

    moving: Tensor
    affine: Tensor
    stages: tuple[Tensor, ...]
    displacement: Tensor
    total: Tensor

    @cached_property
    def warped_affine(self) -> Tensor:
        r"""Moving image at A(x), (N, 1, \*S)."""
        return warp(self.moving, affine_displacement(self.affine, self.moving.shape[2:]))

    @cached_property
    def warped(self) -> Tensor:
        r"""Moving image at A(x + u(x)), interpolated once, (N, 1, \*S)."""
        return warp(self.moving, self.total)

    @cached_property
    def view(self) -> Tensor:
        r"""Weight of A(x + u(x)) being in view of the moving image, 0 to 1, (N, 1, \*S)."""
        return view_weight(self.total, self.moving.shape[2:])


class Cascade(nn.Module):
    """Cascade of AT-Net and one deformable network per scale, see also ``Cascade.build``.

    Before training, the warped image equals the moving image bitwise.

    Parameters
    ----------
    at_net : ATNet or None
        Affine network; None: the affine map is the identity.
    dt_nets : sequence of DTNet or DescentNet
        One network per scale, or a single one if shared.
    settings : ModelConfig
        Application of the networks (scales, passes, ...); the fields on their architecture are not used.

        An InputError is raised if the number of networks is wrong, or there is none.

    Examples
    --------
    >>> import torch
    >>> cascade = Cascade.build(shape=(64, 64), at_width=2, dt_width=2).eval()
    >>> moving, fixed = torch.rand(2, 1, 1, 64, 64)
    >>> prediction = cascade(moving, fixed)
    >>> torch.equal(prediction.warped, moving), [tuple(u.shape[2:]) for u in prediction.stages]
    (True, [(16, 16), (32, 32), (64, 64)])
    """

    def __init__(
        self, at_net: ATNet | None, dt_nets: Sequence[DTNet | DescentNet], settings: ModelConfig
    ) -> None:
        super().__init__()
        self.settings, self.affine_is_frozen = settings, False
        wanted = _network_count(settings)
        if len(dt_nets) != wanted:
            raise InputError(
                f"learned.Cascade: `dt_nets` must contain {wanted} networks for scales {settings.scales} "
                f"and shared={settings.shared}; got {len(dt_nets)}."
            )
        nets: list[ATNet | DTNet | DescentNet] = [*([] if at_net is None else [at_net]), *dt_nets]
        if len({net.dimension for net in nets}) != 1:
            raise InputError(
                "learned.Cascade: at least one network is required, all of the same dimension."
            )
        self.dimension = nets[0].dimension
        self.at_net, self.dt_nets = at_net, nn.ModuleList(dt_nets)

    @classmethod
    def build(cls, generator: Generator | None = None, seed: int = 0, **settings: Any) -> Cascade:
        """Build an untrained cascade.

        Parameters
        ----------
        generator : torch.Generator, optional
            Generator of all weights and dropout masks; with its saved state a training can be resumed
            exactly.  By default a new one with `seed`.
        seed : int
            Seed of the default generator.
        **settings
            Fields of :class:`learned.config.ModelConfig`; invalid ones raise an InputError.
        """
        generator = torch.Generator().manual_seed(seed) if generator is None else generator
        model = ModelConfig.of(settings, "learned.Cascade.build")
        at_net = None
        if model.at_width:
            seen = stage_shape(model.shape, model.affine_scale)
            at_net = ATNet(
                model.dimension, model.at_width, seen, model.pooling, generator=generator
            )
        nets = [_stage_network(model, generator) for _ in range(_network_count(model))]
        return cls(at_net, nets, model)

    def forward(self, moving: Tensor, fixed: Tensor) -> Prediction:
        r"""Register a batch of pairs.

        Parameters
        ----------
        moving, fixed : (N, 1, \*S) tensors
            Finite intensities in [0, 1], on one grid of isotropic voxels; otherwise an InputError is raised.
        """
        check_images("Cascade", moving, fixed, self.dimension)
        affine, u, made = self._start(moving, fixed)
        stages = {} if u is None else {self.settings.scales[made - 1]: u}
        for each in run_passes(self.stages()[made:], moving, fixed, affine, u):
            stages[each.stage.scale] = u = each.after
        return self._prediction(moving, affine, stages, u)

    def stages(self) -> tuple[Stage, ...]:
        """All stages: networks, scales and passes."""
        settings = self.settings
        passes = settings.iterations or (1,) * len(settings.scales)
        return tuple(
            Stage(
                self.dt_nets[0 if settings.shared else k],
                scale,
                passes[k],
                sum(passes[:k]),
                settings.views == "alternating",
            )
            for k, scale in enumerate(settings.scales)
        )

    def _start(self, moving: Tensor, fixed: Tensor) -> tuple[Tensor, Tensor | None, int]:
        """Affine map, u, and the number of stages that u already includes."""
        affine = self.affine(moving, fixed)
        coarse = [stage for stage in self.stages() if stage.scale > COARSE]
        if self.settings.starts == "one" or self.training or not coarse or self.at_net is None:
            return affine, None, 0
        return *better_start(coarse, moving, fixed, affine), len(coarse)

    def _prediction(
        self, moving: Tensor, affine: Tensor, stages: dict[float, Tensor], last: Tensor | None
    ) -> Prediction:
        """Prediction from u after each stage, relative to the initial affine map, and u after the last."""
        size = tuple(moving.shape[2:])
        u = moving.new_zeros(len(moving), len(size), *size)
        if last is not None:
            u = resize_field(last, size)
        total = compose_affine(affine, u)
        if not self.settings.zero_mean:
            begun, affine = affine, fitted_affine(total)
            u = without_affine(total, affine)
            stages = {scale: behind(affine, begun, each, size) for scale, each in stages.items()}
        return Prediction(moving, affine, tuple(stages.values()), u, total)

    @property
    def takes_any_size(self) -> bool:
        """Whether images may have another size than in training."""
        return self.at_net is None or self.at_net.pooling == "global"

    @property
    def multiple(self) -> int:
        """Divisor of image sizes with which no stage has to round its size, in voxels."""
        coarsest = max((stage.scale * stage.patch for stage in self.stages()), default=1)
        return max(int(coarsest), 1)

    def freeze_affine(self) -> None:
        """Freeze AT-Net: no gradients, and evaluation mode also during training of the other stages.

        Otherwise dropout would perturb its prediction, and its batch statistics would change.
        """
        if self.at_net is None:
            raise InputError("learned.Cascade.freeze_affine: this cascade has no AT-Net to freeze.")
        self.affine_is_frozen = True
        self.at_net.requires_grad_(False)
        self.at_net.eval()

    def affine_only(self) -> Cascade:
        """Cascade of the same AT-Net without deformable stages."""
        return Cascade(
            self.at_net, (), dataclasses.replace(self.settings, scales=(), iterations=())
        )

    def train(self, mode: bool = True) -> Cascade:
        """Set training or evaluation mode; a frozen AT-Net stays in evaluation mode."""
        super().train(mode)
        if self.affine_is_frozen and self.at_net is not None:
            self.at_net.eval()
        return self

    def affine(self, moving: Tensor, fixed: Tensor) -> Tensor:
        r"""Affine map of AT-Net, (N, d, d + 1) on centred coordinates; without AT-Net the identity."""
        if self.at_net is None:
            identity = torch.eye(self.dimension, self.dimension + 1).to(moving)
            return identity.expand(len(moving), -1, -1)
        seen = stage_shape(moving.shape[2:], self.settings.affine_scale)
        images = resize_image(moving, seen), resize_image(fixed, seen)
        return affine_maps(self.at_net, *images, self.settings.affine_passes)[-1]


def _network_count(settings: ModelConfig) -> int:
    return min(len(settings.scales), 1) if settings.shared else len(settings.scales)


def _stage_network(settings: ModelConfig, generator: Generator) -> DTNet | DescentNet:
    dimension, width = settings.dimension, settings.dt_width
    if settings.network == "descent":
        return DescentNet(dimension, width, generator)
    return DTNet(dimension, width, zero_mean=settings.zero_mean, generator=generator)
