"""Passes of the networks of a cascade, coarse to fine, each on the moving image as brought so far.

A pass may see the pair mirrored: the ways in which a grid is mirrored onto itself, and images and
displacements as they are seen there, come first.
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

#: Times the mutual information of the other start that the identity must reach, to be begun with.
CLEARLY = 1.05


def symmetric_views(shape: Sequence[int]) -> tuple[Tensor, ...]:
    """Maps of a grid onto itself, (d, d) each, the identity first.

    All reflections of its axes; in two dimensions, if both are equally long, also with the axes
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
    """The view of a pass; as many that follow one another as there are views are all different.

    Examples
    --------
    >>> len({tuple(alternating_view(k, (8, 8)).flatten().tolist()) for k in range(8)})
    8
    """
    views = symmetric_views(shape)
    return views[3 * number % len(views)]  # 3 has no factor in common with 4 or 8


def viewed(images: Tensor, view: Tensor) -> Tensor:
    r"""Images o G: their axes in another order and direction, nothing interpolated.

    Parameters
    ----------
    images : (N, C, \*S) tensor
    view : (d, d) tensor
        G, of :func:`symmetric_views`.
    """
    order = view.abs().argmax(0).tolist()  # axis j of the view is axis order[j] of the images
    turned = images.permute(0, 1, *(2 + axis for axis in order))
    return turned.flip([2 + axis for axis in range(len(order)) if view[:, axis].sum() < 0])


def seen_from(displacement: Tensor, view: Tensor) -> Tensor:
    r"""A displacement u of viewed images as one of the images themselves: :math:`G u(G^{-1} x)`.

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
        A pair (N, 2, *T) -> a displacement in voxels of its grid: (N, d, *T), or, if it has a `patch` p,
        (N, d, *T / p).
    scale : float
        How many times coarser than the images it sees them.
    passes : int
    first : int
        Number of its first pass in the cascade, which decides how that sees the pair.
    alternating : bool
        Whether each pass sees the pair in another of its reflections.
    """

    net: nn.Module
    scale: float
    passes: int = 1
    first: int = 0
    alternating: bool = False

    @property
    def patch(self) -> int:
        """Voxels of the images along each axis to one of the displacement."""
        return int(getattr(self.net, "patch", 1))

    def shapes(self, size: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Voxels of the images, and of the displacement, where images have `size` at full resolution.

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
        The images at the resolution of the stage.
    before, after : (N, d, *R) tensors
        u in voxels of its grid.
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
    """Every pass of every stage behind an affine map.

    Parameters
    ----------
    stages : sequence of Stage
    moving, fixed : (N, 1, *S) tensors
    affine : (N, d, d + 1) tensor
        On centred coordinates.
    begun : (N, d, *T) tensor, optional
        u that the first pass meets, at any resolution; None is 0.
    through : bool
        False: no gradient flows from one pass to the one before.
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
    """Of an affine map and the identity, the one from which stages reach the higher mutual information.

    The affine map, unless the other is clearly better: where both arrive, it has the shorter way left.

    Returns
    -------
    affine : (N, d, d + 1) tensor
        Of each pair, where to begin.
    u : (N, d, *T) tensor
        After these stages.
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
    """u of a stage behind another affine map than the one that it began with.

    Parameters
    ----------
    affine, begun : (N, d, d + 1) tensors
    u : (N, d, *T) tensor
        Behind `begun`, at any resolution.
    size : tuple of int
        (*S), of the images.
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
    """u after one more pass, from u before it, behind the affine map of a field of view `extent`."""
    u = resize_field(before, moving.shape[2:])
    pair = torch.cat((warp(moving, compose_affine(affine, u, extent)), fixed), 1)
    update = net(pair) if view is None else seen_from(net(viewed(pair, view)), view)
    return compose(before, update.to(before.dtype))
