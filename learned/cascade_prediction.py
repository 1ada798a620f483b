"""What a cascade makes of a batch of pairs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Prediction:
    r"""What a cascade predicts: the fixed voxel x corresponds to the moving voxel A(x + u(x)).

    Attributes
    ----------
    affine : (N, d, d + 1) tensor
        A, on centred coordinates.
    stages : tuple of (N, d, \*T) tensors
        u after each stage, at its resolution and in its voxels.
    displacement : (N, d, \*S) tensor
        u after the last stage, in voxels of the images.
    total : (N, d, \*S) tensor
        A(x + u(x)) - x, in voxels of the images.
    warped_affine : (N, 1, \*S) tensor
        The moving image at A(x).
    warped : (N, 1, \*S) tensor
        The moving image at A(x + u(x)), interpolated once.
    view : (N, 1, \*S) tensor
        How far A(x + u(x)) is in view of the moving image, from 0 to 1.
    """

    affine: Tensor
    stages: tuple[Tensor, ...]
    displacement: Tensor
    total: Tensor
    warped_affine: Tensor
    warped: Tensor
    view: Tensor
