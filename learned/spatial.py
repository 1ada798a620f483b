"""Warping, composition and resampling of batches of images and displacements in two and three dimensions.

Displacements are in voxels of their grid, in the order of the array axes, and map fixed -> moving: the
fixed voxel x corresponds to the moving voxel x + u(x).  Grids of different resolution cover the same
field of view: along each axis, voxel x of n is at the fraction (x + 1/2) / n of it.
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
    """Voxel coordinates (d, *S) with the type and device of `like`.

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
    """Image at x + u(x), by bi- or trilinear interpolation, continued constantly beyond the outermost voxel centres.

    Where u = 0 the result equals the image bitwise; where u is not finite it is nan.

    Parameters
    ----------
    image : (N, C, *S) tensor
        Image.
    displacement : (N, d, *S) tensor
        u in voxels, d = len(S).

    Returns
    -------
    (N, C, *S) tensor
        Warped image, differentiable once with respect to both arguments.

    Raises
    ------
    InputError
        If the shapes are inconsistent.

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
    # grid_sample rounds positions by about 1e-5 voxels and replaces positions that are not finite by 0:
    # the value is corrected here, the derivative is that of the sampled image
    still = (displacement == 0).all(1, keepdim=True)
    mended = torch.where(still, image.detach(), sampled.detach())
    mended = mended + 0 * displacement.detach().sum(1, keepdim=True)
    return mended + (sampled - sampled.detach())


def view_weight(displacement: Tensor, shape: Sequence[int]) -> Tensor:
    r"""Weight in [0, 1] of x + u(x) being in view of the moving image, (N, 1, *S).

    The product over the axes of a factor that is 1 up to the outermost voxel centre, 0 from one voxel beyond
    it, and :math:`3 s^2 - 2 s^3` at s voxels before that point, as in
    ``varreg.backends.numba.sampling.clamp_axis``, so that both packages have the same energy.

    Parameters
    ----------
    displacement : (N, d, *S) tensor
        u in voxels of the moving image.
    shape : tuple of int
        (*T), shape of the moving image.

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
    """Displacement of the composition s1 o s2: u(x) = update(x) + first(x + update(x)).

    `first` is interpolated linearly and continued constantly beyond the outermost voxel centres.

    Parameters
    ----------
    first : (N, d, *S) tensor
        Displacement of s1, which is applied last, towards the moving image.
    update : (N, d, *S) tensor
        Displacement of s2, which is applied first, from the fixed image.

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
            f"learned.spatial.compose: `first` and `update` must have the same shape; got "
            f"{tuple(first.shape)} and {tuple(update.shape)}. Resample one to the grid of the other "
            "with learned.spatial.resize_field."
        )
    return update + warp(first, update)


def per_axis(values: Sequence[float], like: Tensor) -> Tensor:
    """One number per axis, (d, 1, ..., 1), for broadcasting with (N, d, *S)."""
    return _column(tuple(values), like.dtype, like.device)


@kept
def _column(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    column = torch.tensor(values, dtype=dtype, device=device)
    return column.reshape(-1, *[1] * len(values))


def stage_shape(shape: Sequence[int], scale: float) -> tuple[int, ...]:
    """Shape of the images of a stage: rounded, at least 2, at most the shape of the image, as in ``varreg``.

    Examples
    --------
    >>> stage_shape((225, 181), 4)
    (56, 45)
    """
    return tuple(min(n, max(round(n / scale), 2)) for n in shape)


def resize_field(displacement: Tensor, shape: Sequence[int]) -> Tensor:
    """Displacement resampled to another grid of the same field of view, (N, d, *T).

    Linear interpolation between voxel centres, constant continuation beyond them; components are scaled
    by the ratio of the sizes.  There is no averaging, since displacements are smooth.

    Parameters
    ----------
    displacement : (N, d, *S) tensor
        u in voxels of its grid.
    shape : tuple of int
        (*T), shape of the new grid.

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
    """Image resampled to a coarser grid of the same field of view, (N, C, *T), by averaging.

    Voxels are weighted by their overlap with the new voxel, as in the levels of ``varreg``; the ratio of the
    sizes need not be an integer.

    Parameters
    ----------
    image : (N, C, *S) tensor
        Image.
    shape : tuple of int
        (*T), along each axis at most the number of voxels of the image.

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
            f"learned.spatial.resize_image: `shape` must have at least 1 and at most as many voxels as the "
            f"image along each axis, {old}; got {tuple(shape)}."
        )
    for axis, (fine, coarse) in enumerate(zip(old, shape, strict=True), start=2):
        if fine != coarse:
            share = _shares(fine, coarse, image.dtype, image.device)
            with without_autocast(image):
                image = torch.tensordot(image, share, dims=([axis], [1])).movedim(-1, axis)
    return image


@kept
def _shares(fine: int, coarse: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Overlap of each of `fine` voxels with each of `coarse` ones, (coarse, fine); rows sum to 1."""
    edge = torch.arange(coarse + 1, dtype=torch.float64) * (fine / coarse)
    voxel = torch.arange(fine, dtype=torch.float64)
    high = torch.minimum(voxel + 1, edge[1:, None])
    share = (high - torch.maximum(voxel, edge[:-1, None])).clamp(min=0)
    return (share / share.sum(1, keepdim=True)).to(device, dtype)
