"""The cascade: an affine map, then displacements coarse to fine (doi 10.3390/math14122131).

Section 2.2.1 of the paper composes one displacement per stage, each predicted from the fixed image
and the moving image warped so far.  Here every stage warps the moving image itself, once, through
the composed map, so that nothing is interpolated twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from varreg.errors import InputError

from .affine_passes import affine_maps
from .affine_search import search_affine
from .at_net import ATNet
from .blocks import check_images
from .cascade_arguments import (
    GROUPS,
    check_affine_stage,
    check_stages,
    checked_iterations,
    checked_scales,
    network_count,
)
from .cascade_prediction import Prediction, prediction_of
from .descent_net import DescentNet
from .dt_net import DTNet
from .passes import Stage, better_start, run_passes
from .resampling import resize_image, stage_shape

#: Stages that see the images coarser than this may choose where to begin.
COARSE = 2.0


class Cascade(nn.Module):
    """AT-Net, then one DT-Net per scale; ``Cascade.build`` makes a new one.

    Untrained, it returns the moving image, bit for bit.

    Parameters
    ----------
    at_net : ATNet or None
        None leaves the affine map the identity.
    dt_nets : sequence of DTNet
        One per scale; a single one if shared.
    scales : tuple of float
        How many times coarser than the images each stage is, coarse to fine, down to 1 or not.
        Empty: the affine map only.
    shared : bool
        Every stage uses the same weights.
    affine_scale : float
        How many times coarser than the images AT-Net sees them.
    affine_passes : int
        Number of times AT-Net is applied, each time to the moving image warped so far.
    affine_views : {"one", "symmetric"}
        "symmetric": at inference AT-Net also predicts from mirrored pairs, and the best prediction is
        kept: :func:`learned.affine_search.search_affine`.
    iterations : sequence of int, optional
        Number of passes of the network of each stage, each on the moving image warped so far; None
        means one each.
    views : {"one", "alternating"}
        "alternating": each pass takes a different reflection of the pair, so that systematic errors
        of the network to one side cancel.
    zero_mean : bool
        False: stages may also translate, rotate and scale, and the affine part is fitted to the final
        map.
    starts : {"one", "two"}
        "two": at inference the stages coarser than 2 also start from the identity, and the result with
        the higher mutual information is kept: :func:`learned.passes.better_start`.

    Raises
    ------
    InputError
        If the scales do not decrease, the numbers of networks and scales differ, or the settings of
        the affine stage are invalid.

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
        self,
        at_net: ATNet | None,
        dt_nets: Sequence[DTNet | DescentNet],
        scales: Sequence[float] = GROUPS[3],
        shared: bool = False,
        affine_scale: float = 1.0,
        affine_passes: int = 1,
        affine_views: str = "one",
        iterations: Sequence[int] | None = None,
        views: str = "one",
        zero_mean: bool = True,
        starts: str = "one",
    ) -> None:
        super().__init__()
        self.scales, self.shared, self.affine_is_frozen = (
            checked_scales(scales),
            bool(shared),
            False,
        )
        check_affine_stage(affine_scale, affine_passes, affine_views)
        self.affine_scale, self.affine_passes = float(affine_scale), affine_passes
        self.affine_views = affine_views
        check_stages("u-net", views, starts)
        self.iterations = checked_iterations(iterations, self.scales)
        self.views, self.zero_mean, self.starts = views, bool(zero_mean), starts
        wanted = network_count(self.scales, shared)
        if len(dt_nets) != wanted:
            raise InputError(
                f"learned.Cascade: `dt_nets` must hold {wanted} networks for scales {self.scales} "
                f"and shared={shared}; got {len(dt_nets)}."
            )
        nets: list[ATNet | DTNet | DescentNet] = [*([] if at_net is None else [at_net]), *dt_nets]
        if len({net.dimension for net in nets}) != 1:
            raise InputError("learned.Cascade: give at least one network, all of one dimension.")
        self.dimension = nets[0].dimension
        self.at_net, self.dt_nets = at_net, nn.ModuleList(dt_nets)

    @classmethod
    def build(
        cls,
        dimension: int = 2,
        shape: Sequence[int] = (224, 224),
        at_width: int = 16,
        dt_width: int = 32,
        scales: Sequence[float] = GROUPS[3],
        shared: bool = False,
        pooling: str = "flatten",
        zero_mean: bool = True,
        affine_scale: float = 1.0,
        affine_passes: int = 1,
        affine_views: str = "one",
        network: str = "u-net",
        iterations: Sequence[int] | None = None,
        views: str = "one",
        starts: str = "one",
        generator: Generator | None = None,
        seed: int = 0,
    ) -> Cascade:
        """An untrained cascade.

        Parameters
        ----------
        dimension, shape, pooling
            See :class:`learned.at_net.ATNet`.
        at_width, dt_width : int
            Widths of the two networks; an `at_width` of 0 leaves AT-Net out.
        scales, shared, affine_scale, affine_passes, affine_views, iterations, views, starts
            See :class:`Cascade`.
        zero_mean : bool
            See :class:`learned.dt_net.DTNet`; the displacement of every stage.
        network : {"u-net", "descent"}
            The stages are the paper's :class:`learned.dt_net.DTNet`, or
            :class:`learned.descent_net.DescentNet`, which need not be ``zero_mean``.
        generator : torch.Generator, optional
            Draws all weights, then all dropout masks: save its state to go on exactly.  None is a
            new one with `seed`.
        seed : int
            Only without a generator.
        """
        generator = torch.Generator().manual_seed(seed) if generator is None else generator
        check_affine_stage(affine_scale, affine_passes, affine_views)
        check_stages(network, views, starts)
        scales = checked_scales(scales)
        at_net = None
        if at_width:
            seen = stage_shape(shape, affine_scale)
            at_net = ATNet(dimension, at_width, seen, pooling, generator=generator)
        count = network_count(scales, shared)
        dt_nets = [
            _stage_network(network, dimension, dt_width, zero_mean, generator) for _ in range(count)
        ]
        stage = affine_scale, affine_passes, affine_views
        return cls(at_net, dt_nets, scales, shared, *stage, iterations, views, zero_mean, starts)

    def forward(self, moving: Tensor, fixed: Tensor) -> Prediction:
        r"""Register a batch of pairs.

        Parameters
        ----------
        moving, fixed : (N, 1, \*S) tensors
            Intensities in [0, 1], on a common grid of isotropic voxels.

        Returns
        -------
        Prediction

        Raises
        ------
        InputError
            If the images are not a pair of finite images of the same size.
        """
        check_images("Cascade", moving, fixed, self.dimension)
        affine, u, made = self._start(moving, fixed)
        stages = {} if u is None else {self.scales[made - 1]: u}
        for each in run_passes(self.stages()[made:], moving, fixed, affine, u):
            stages[each.stage.scale] = u = each.after
        return prediction_of(moving, affine, stages, u, refit=not self.zero_mean)

    def stages(self) -> tuple[Stage, ...]:
        """The networks of all stages, and how they are applied."""
        first = [sum(self.iterations[:k]) for k in range(len(self.scales))]
        return tuple(
            Stage(
                self.dt_nets[0 if self.shared else k],
                scale,
                self.iterations[k],
                first[k],
                self.views == "alternating",
            )
            for k, scale in enumerate(self.scales)
        )

    def _start(self, moving: Tensor, fixed: Tensor) -> tuple[Tensor, Tensor | None, int]:
        """The affine map, u, and how many stages have made it."""
        affine = self.affine(moving, fixed)
        coarse = [stage for stage in self.stages() if stage.scale > COARSE]
        if self.starts == "one" or self.training or not coarse or self.at_net is None:
            return affine, None, 0
        return *better_start(coarse, moving, fixed, affine), len(coarse)

    @property
    def takes_any_size(self) -> bool:
        """Whether images may be of another size than those of the training."""
        return self.at_net is None or self.at_net.pooling == "global"

    @property
    def multiple(self) -> int:
        """Of how many voxels sizes should be multiples, so that stages need not round theirs."""
        coarsest = max((stage.scale * stage.patch for stage in self.stages()), default=1)
        return max(int(coarsest), 1)

    def freeze_affine(self) -> None:
        """Freeze AT-Net: no gradients, and evaluation mode even while the rest is trained.

        Otherwise dropout would perturb its prediction, and its batch statistics would change.
        """
        if self.at_net is None:
            raise InputError("learned.Cascade.freeze_affine: this cascade has no AT-Net to freeze.")
        self.affine_is_frozen = True
        self.at_net.requires_grad_(False)
        self.at_net.eval()

    def affine_only(self) -> Cascade:
        """The same AT-Net without any stage behind it."""
        stage = self.affine_scale, self.affine_passes, self.affine_views
        return Cascade(self.at_net, (), (), False, *stage)

    def train(self, mode: bool = True) -> Cascade:
        """Training mode or not; a frozen AT-Net stays in evaluation mode."""
        super().train(mode)
        if self.affine_is_frozen and self.at_net is not None:
            self.at_net.eval()
        return self

    def affine(self, moving: Tensor, fixed: Tensor) -> Tensor:
        r"""The map of AT-Net, (N, d, d + 1) on centred coordinates; without one the identity."""
        if self.at_net is None:
            identity = torch.eye(self.dimension, self.dimension + 1).to(moving)
            return identity.expand(len(moving), -1, -1)
        seen = stage_shape(moving.shape[2:], self.affine_scale)
        images = resize_image(moving, seen), resize_image(fixed, seen)
        # the stages learn as well from one view, and eleven times faster
        if self.affine_views == "symmetric" and not self.training:
            return search_affine(self.at_net, *images, self.affine_passes)
        return affine_maps(self.at_net, *images, self.affine_passes)[-1]


def _stage_network(
    kind: str, dimension: int, width: int, zero_mean: bool, generator: Generator
) -> DTNet | DescentNet:
    if kind == "descent":
        return DescentNet(dimension, width, generator)
    return DTNet(dimension, width, zero_mean=zero_mean, generator=generator)
