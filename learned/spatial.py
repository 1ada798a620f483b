"""Positions, warping, composition and other resolutions of batches, two- and three-dimensional.

Everything is in voxels of the grid at hand, in the order of the array's axes, and goes from the
fixed to the moving image: the fixed voxel x corresponds to the moving voxel x + u(x).  Grids of another
resolution cover the same field of view: voxel x of n lies at (x + 1/2) / n of it, along each axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from varreg.errors import InputError

from .tensors import check_displacement, check_shape, kept, without_autocast


def identity_grid(shape: Sequence[int], like: Tensor) -> Tensor:
    """Voxel coordinates, (d, *S), of the type and on the device of `like`.

    Examples
    --------
    >>> import torch
    >>> identity_grid((2, 3), torch.zeros(())).tolist()
    [[[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]], [[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]]
    """
    return _grid(tuple(shape), like.dtype, like.device)


@kept
def _grid(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    axes = (torch.arange(n, dtype=dtype, device=device) for n in shape)
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def warp(image: Tensor, displacement: Tensor) -> Tensor:
    """The image at x + u(x): bi- or trilinear, continued constantly beyond the outermost centres.

    Where u = 0 the result is the image, bit for bit.  Where u is not finite it is not a number.

    Parameters
    ----------
    image : (N, C, *S) tensor
    displacement : (N, d, *S) tensor
        Voxels, d = len(S).

    Returns
    -------
    (N, C, *S) tensor, differentiable once in both arguments.

    Raises
    ------
    InputError
        If the shapes do not belong together.

    Examples
    --------
    >>> import torch
    >>> image = torch.tensor([[[[0.0, 1.0, 4.0]] * 2]])
    >>> half = torch.tensor([0.0, 0.5]).reshape(1, 2, 1, 1).expand(1, 2, 2, 3)
    >>> warp(image, half)[0, 0, 0].tolist()
    [0.5, 2.5, 4.0]
    """
    check_displacement("learned.spatial.warp", "displacement", displacement)
    if image.ndim < 2 or (image.shape[0], *image.shape[2:]) != (
        displacement.shape[0],
        *displacement.shape[2:],
    ):
        raise InputError(
            f"learned.spatial.warp: `image` must be (N, C, *S) with the N and S of `displacement` "
            f"{tuple(displacement.shape)}; got {tuple(image.shape)}. Resize one of them first."
        )
    shape = displacement.shape[2:]
    half = per_axis([(n - 1) / 2 for n in shape], displacement)
    position = (identity_grid(shape, displacement) - half + displacement) / half.clamp(min=0.5)
    sampled = functional.grid_sample(
        image, position.flip(1).movedim(1, -1), padding_mode="border", align_corners=True
    )
    # grid_sample rounds positions, by some 1e-5 of a voxel, and takes what is not finite for 0.
    # The value is mended; the derivative stays that of the sampled image.
    still = (displacement == 0).all(1, keepdim=True)
    mended = torch.where(still, image.detach(), sampled.detach())
    mended = mended + 0 * displacement.detach().sum(1, keepdim=True)
    return mended + (sampled - sampled.detach())


def view_weight(displacement: Tensor, shape: Sequence[int]) -> Tensor:
    r"""How far x + u(x) is in view of the moving image, (N, 1, *S), from 0 to 1.

    Along each axis 1 up to the outermost voxel centre; s voxels short of leaving it by one voxel,
    :math:`3 s^2 - 2 s^3`; 0 beyond.  The product over the axes counts.  It is the rule of
    ``varreg.backends.numba.sampling.clamp_axis``, so that both energies are one.

    Parameters
    ----------
    displacement : (N, d, *S) tensor
        Voxels of the moving image.
    shape : tuple of int
        (*T), the voxels of the moving image.

    Examples
    --------
    >>> import torch
    >>> shift = torch.tensor([0.0, 0.5]).reshape(1, 2, 1, 1).expand(1, 2, 2, 3)
    >>> view_weight(shift, (2, 3))[0, 0, 0].tolist()
    [1.0, 1.0, 0.5]
    """
    check_displacement("learned.spatial.view_weight", "displacement", displacement)
    check_shape("learned.spatial.view_weight", shape, displacement)
    position = identity_grid(displacement.shape[2:], displacement) + displacement
    left = torch.minimum(1 + position, per_axis(shape, displacement) - position).clamp(0, 1)
    return math.prod((left * left * (3 - 2 * left)).split(1, 1))


def compose(first: Tensor, update: Tensor) -> Tensor:
    """The displacement of s1 o s2: u(x) = update(x) + first(x + update(x)).

    `first` is interpolated linearly and continued constantly beyond the outermost voxel centres.

    Parameters
    ----------
    first : (N, d, *S) tensor
        Of s1, which acts last, next to the moving image.
    update : (N, d, *S) tensor
        Of s2, which acts first, next to the fixed image.

    Examples
    --------
    >>> import torch
    >>> shift = torch.full((1, 2, 3, 4), 0.25)
    >>> compose(shift, 2 * shift)[0, 0, 0, 0].item()
    0.75
    """
    check_displacement("learned.spatial.compose", "first", first)
    if first.shape != update.shape:
        raise InputError(
            f"learned.spatial.compose: `first` and `update` must be of one shape; got "
            f"{tuple(first.shape)} and {tuple(update.shape)}. Bring one to the grid of the other "
            "with learned.spatial.resize_field."
        )
    return update + warp(first, update)


def per_axis(values: Sequence[float], like: Tensor) -> Tensor:
    """One number per axis, (d, 1, ..., 1), to go with (N, d, *S)."""
    return _column(tuple(values), like.dtype, like.device)


@kept
def _column(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    column = torch.tensor(values, dtype=dtype, device=device)
    return column.reshape(-1, *[1] * len(values))


def stage_shape(shape: Sequence[int], scale: float) -> tuple[int, ...]:
    """Voxels of a stage, (d): as in ``varreg``, rounded, at least 2, never more than the image has.

    Examples
    --------
    >>> stage_shape((225, 181), 4)
    (56, 45)
    """
    return tuple(min(n, max(round(n / scale), 2)) for n in shape)


def resize_field(displacement: Tensor, shape: Sequence[int]) -> Tensor:
    """The same displacement on another grid of the same field of view, (N, d, *T).

    Linear between voxel centres, constant between the outermost ones and the border; components
    are scaled by the ratio of the sizes.  Nothing is averaged: a displacement is smooth.

    Parameters
    ----------
    displacement : (N, d, *S) tensor
        Voxels of its grid.
    shape : tuple of int
        (*T), the voxels of the new grid.

    Examples
    --------
    >>> import torch
    >>> resize_field(torch.ones(1, 2, 4, 6), (8, 3))[0, :, 0, 0].tolist()
    [2.0, 0.5]
    """
    check_displacement("learned.spatial.resize_field", "displacement", displacement)
    check_shape("learned.spatial.resize_field", shape, displacement)
    old = displacement.shape[2:]
    if tuple(shape) == tuple(old):
        return displacement
    mode = "bilinear" if len(old) == 2 else "trilinear"
    field = functional.interpolate(displacement, tuple(shape), mode=mode, align_corners=False)
    return field * per_axis([m / n for m, n in zip(shape, old, strict=True)], field)


def resize_image(image: Tensor, shape: Sequence[int]) -> Tensor:
    """The image on a coarser grid of the same field of view, (N, C, *T): averages over new voxels.

    A voxel counts by the share of it in the new voxel, as in the levels of ``varreg``; sizes need
    not divide each other.

    Parameters
    ----------
    image : (N, C, *S) tensor
    shape : tuple of int
        (*T), no more voxels along any axis than the image has.

    Raises
    ------
    InputError
        If the new grid is finer.

    Examples
    --------
    >>> import torch
    >>> resize_image(torch.tensor([[[[1.0, 2.0, 6.0]] * 2]]), (1, 2)).tolist()
    [[[[1.3333333730697632, 4.666666507720947]]]]
    """
    old = tuple(image.shape[2:])
    if len(shape) != len(old) or any(not 1 <= m <= n for m, n in zip(shape, old, strict=True)):
        raise InputError(
            f"learned.spatial.resize_image: `shape` must have from 1 voxel to as many as the image "
            f"along each axis, {old}; got {tuple(shape)}."
        )
    for axis, (fine, coarse) in enumerate(zip(old, shape, strict=True), start=2):
        if fine != coarse:
            share = _shares(fine, coarse, image.dtype, image.device)
            with without_autocast(image):
                image = torch.tensordot(image, share, dims=([axis], [1])).movedim(-1, axis)
    return image


@kept
def _shares(fine: int, coarse: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Share of each of `fine` voxels in each of `coarse` ones, (coarse, fine); rows add up to 1."""
    edge = torch.arange(coarse + 1, dtype=torch.float64) * (fine / coarse)
    voxel = torch.arange(fine, dtype=torch.float64)
    high = torch.minimum(voxel + 1, edge[1:, None])
    share = (high - torch.maximum(voxel, edge[:-1, None])).clamp(min=0)
    return (share / share.sum(1, keepdim=True)).to(device, dtype)
