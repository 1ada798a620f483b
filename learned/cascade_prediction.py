"""What a cascade makes of a batch of pairs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from .affine import affine_displacement, compose_affine, fitted_affine, without_affine
from .passes import behind
from .resampling import resize_field
from .spatial import view_weight, warp


@dataclass(frozen=True, eq=False)
class Prediction:
    r"""What a cascade predicts: the fixed voxel x corresponds to the moving voxel A(x + u(x)).

    Attributes
    ----------
    moving : (N, 1, \*S) tensor
        The moving image.
    affine : (N, d, d + 1) tensor
        A, on centred coordinates.
    stages : tuple of (N, d, \*T) tensors
        u after each stage, at its resolution and in its voxels.
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
        r"""The moving image at A(x), (N, 1, \*S)."""
        return warp(self.moving, affine_displacement(self.affine, self.moving.shape[2:]))

    @cached_property
    def warped(self) -> Tensor:
        r"""The moving image at A(x + u(x)), interpolated once, (N, 1, \*S)."""
        return warp(self.moving, self.total)

    @cached_property
    def view(self) -> Tensor:
        r"""How far A(x + u(x)) is in view of the moving image, from 0 to 1, (N, 1, \*S)."""
        return view_weight(self.total, self.moving.shape[2:])


def prediction_of(
    moving: Tensor, affine: Tensor, stages: dict[float, Tensor], last: Tensor | None, refit: bool
) -> Prediction:
    r"""What stages make of a batch.

    Parameters
    ----------
    moving : (N, 1, \*S) tensor
    affine : (N, d, d + 1) tensor
        The map that the stages began behind.
    stages : dict of float to (N, d, \*T) tensor
        u after each stage.
    last : (N, d, \*T) tensor or None
        u after the last one; None is 0.
    refit : bool
        Fit the affine part to the whole map.
    """
    size = tuple(moving.shape[2:])
    u = moving.new_zeros(len(moving), len(size), *size)
    if last is not None:
        u = resize_field(last, size)
    total = compose_affine(affine, u)
    if refit:
        begun, affine = affine, fitted_affine(total)
        u = without_affine(total, affine)
        stages = {scale: behind(affine, begun, each, size) for scale, each in stages.items()}
    return Prediction(moving, affine, tuple(stages.values()), u, total)
