"""Displacements and images on grids of another resolution, which cover the same field of view.

Voxel x of n lies at (x + 1/2) / n of it, along each axis.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from varreg.errors import InputError

from .constants import kept
from .field_checks import check_displacement, check_shape
from .precision import without_autocast
from .spatial import per_axis


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
    check_displacement("learned.resampling.resize_field", "displacement", displacement)
    check_shape("learned.resampling.resize_field", shape, displacement)
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
            f"learned.resampling.resize_image: `shape` must have from 1 voxel to as many as the image "
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
