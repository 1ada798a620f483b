"""Passes of the networks of a cascade, from coarse to fine, each on the moving image warped by the current map.

The input of a pass may be a reflection of the pair: symmetries of the grid, and the transformation of images
and displacements by them, are defined first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn

from varreg.options.options import Options

from .affine import compose_affine, without_affine
from .losses.mutual_information import MutualInformation
from .spatial import compose, resize_field, resize_image, stage_shape, view_weight, warp

#: Ratio of mutual information above which the start from the identity is preferred to that from AT-Net.
CLEARLY = 1.05


def symmetric_views(shape: Sequence[int]) -> tuple[Tensor, ...]:
    """Symmetries of a grid, (d, d) matrices, the identity first.

    All reflections of the axes; in two dimensions, if both axes are equally long, also with the axes
    exchanged.

    Examples
    --------
    >>> len(symmetric_views((8, 8))), len(symmetric_views((8, 9))), len(symmetric_views((8, 8, 8)))
    (8, 4, 8)
    """
    d = len(shape)
    reflections = [torch.diag(torch.tensor(signs)) for signs in product((1.0, -1.0), repeat=d)]
    if d == 2 and shape[0] == shape[1]:
        exchange = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        reflections += [reflection @ exchange for reflection in reflections]
    return tuple(reflections)


def alternating_view(number: int, shape: Sequence[int]) -> Tensor:
    """Symmetry applied in a pass; successive passes run through all symmetries of the grid.

    Examples
    --------
    >>> len({tuple(alternating_view(k, (8, 8)).flatten().tolist()) for k in range(8)})
    8
    """
    views = symmetric_views(shape)
    return views[3 * number % len(views)]  # 3 has no factor in common with 4 or 8


def viewed(images: Tensor, view: Tensor) -> Tensor:
    r"""Images o G: flipped and permuted axes, without interpolation.

    Parameters
    ----------
    images : (N, C, \*S) tensor
        Images.
    view : (d, d) tensor
        Symmetry G, see :func:`symmetric_views`.
    """
    order = view.abs().argmax(0).tolist()  # axis j of the view is axis order[j] of the images
    turned = images.permute(0, 1, *(2 + axis for axis in order))
    return turned.flip([2 + axis for axis in range(len(order)) if view[:, axis].sum() < 0])


def seen_from(displacement: Tensor, view: Tensor) -> Tensor:
    r"""Displacement :math:`G u(G^{-1} x)` of the images, from the displacement u of the images o G.

    Examples
    --------
    >>> import torch
    >>> u = torch.rand(1, 2, 4, 4)
    >>> all(torch.equal(seen_from(seen_from(u, G), G.T), u) for G in symmetric_views((4, 4)))
    True
    """
    turned = viewed(displacement, view.T)
    order = view.abs().argmax(1).tolist()
    signs = view.sum(1).to(displacement).reshape(-1, *[1] * (displacement.ndim - 2))
    return turned[:, order] * signs


class Stage(NamedTuple):
    """Passes of one network at one resolution.

    Attributes
    ----------
    net : nn.Module
        Network from a pair (N, 2, *T) to a displacement in voxels of its grid: (N, d, *T), or
        (N, d, *T / p) if it has the attribute ``patch``, p.
    scale : float
        Coarsening factor of the images.
    passes : int
        Number of passes.
    first : int
        Number of its first pass in the cascade, which determines the reflection of the pair.
    alternating : bool
        Whether each pass uses a different reflection of the pair.
    """

    net: nn.Module
    scale: float
    passes: int = 1
    first: int = 0
    alternating: bool = False

    @property
    def patch(self) -> int:
        """Ratio of the resolutions of images and displacement along each axis."""
        return int(getattr(self.net, "patch", 1))

    def shapes(self, size: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of the images and of the displacement, for images of a `size` at full resolution.

        Examples
        --------
        >>> from learned.descent_net import DescentNet
        >>> Stage(DescentNet(width=1), 2.0).shapes((63, 40))
        ((32, 20), (16, 10))
        """
        of_u = tuple(max(n // self.patch, 1) for n in stage_shape(size, self.scale))
        return tuple(n * self.patch for n in of_u), of_u


class Pass(NamedTuple):
    """One application of the network of a stage.

    Attributes
    ----------
    stage : Stage
    moving, fixed : (N, 1, *T) tensors
        Images at the resolution of the stage.
    before, after : (N, d, *R) tensors
        u before and after the pass, in voxels of its grid.
    """

    stage: Stage
    moving: Tensor
    fixed: Tensor
    before: Tensor
    after: Tensor


def run_passes(
    stages: Sequence[Stage],
    moving: Tensor,
    fixed: Tensor,
    affine: Tensor,
    begun: Tensor | None = None,
    through: bool = True,
) -> Iterator[Pass]:
    """Run the passes of all stages after an affine map.

    Parameters
    ----------
    stages : sequence of Stage
        Stages from coarse to fine.
    moving, fixed : (N, 1, *S) tensors
        Images.
    affine : (N, d, d + 1) tensor
        Affine map on centred coordinates.
    begun : (N, d, *T) tensor, optional
        Initial u, at any resolution; by default 0.
    through : bool
        Whether gradients are propagated through all passes, or only through the current one.

    Yields
    ------
    Pass
    """
    size = tuple(moving.shape[2:])
    for stage in stages:
        shape, of_u = stage.shapes(size)
        images = resize_image(moving, shape), resize_image(fixed, shape)
        if begun is None:
            begun = moving.new_zeros(len(moving), len(size), *of_u)
        before = resize_field(begun, of_u)
        for number in range(stage.first, stage.first + stage.passes):
            view = alternating_view(number, shape) if stage.alternating else None
            after = _one_pass(stage.net, *images, affine, before, size, view)
            yield Pass(stage, *images, before, after)
            before = begun = after if through else after.detach()


@torch.no_grad()
def better_start(
    stages: Sequence[Stage], moving: Tensor, fixed: Tensor, affine: Tensor
) -> tuple[Tensor, Tensor]:
    """Select the affine map or the identity as start, by the mutual information after the given stages.

    The identity must be clearly better: if both starts converge, less displacement remains with the affine map.

    Returns
    -------
    affine : (N, d, d + 1) tensor
        Selected start of each pair.
    u : (N, d, *T) tensor
        Displacement after these stages.
    """
    identity = torch.eye(*affine.shape[1:]).to(affine).expand_as(affine)
    both = torch.cat((affine, identity))
    images = moving.repeat(2, *[1] * (moving.ndim - 1)), fixed.repeat(2, *[1] * (fixed.ndim - 1))
    *_, last = run_passes(stages, *images, both)
    u = resize_field(last.after, last.moving.shape[2:])
    total = compose_affine(both, u, tuple(moving.shape[2:]))
    similarity = MutualInformation(Options(similarity="mi"))
    view = view_weight(total, tuple(total.shape[2:]))
    information = similarity(warp(last.moving, total), last.fixed, view).view(2, -1)
    other = information[1] > CLEARLY * information[0]
    place = torch.arange(len(moving), device=moving.device) + len(moving) * other
    return both[place], last.after[place]


def behind(affine: Tensor, begun: Tensor, u: Tensor, size: tuple[int, ...]) -> Tensor:
    """Displacement relative to `affine` of the map given by u relative to the affine map `begun`.

    Parameters
    ----------
    affine, begun : (N, d, d + 1) tensors
        New and original affine map.
    u : (N, d, *T) tensor
        Displacement relative to `begun`, at any resolution.
    size : tuple of int
        (*S), shape of the images.
    """
    return without_affine(compose_affine(begun, u, size), affine, size)


def _one_pass(
    net: nn.Module,
    moving: Tensor,
    fixed: Tensor,
    affine: Tensor,
    before: Tensor,
    extent: tuple[int, ...],
    view: Tensor | None,
) -> Tensor:
    """u after a pass, from u before it; the affine map refers to a field of view of size `extent`."""
    u = resize_field(before, moving.shape[2:])
    pair = torch.cat((warp(moving, compose_affine(affine, u, extent)), fixed), 1)
    update = net(pair) if view is None else seen_from(net(viewed(pair, view)), view)
    return compose(before, update.to(before.dtype))
