"""A Swin transformer U-Net for registration, after TransMorph (doi 10.1016/j.media.2022.102615).

TransMorph is a Swin transformer whose features a convolutional decoder turns into a displacement.  Here
the network is MONAI's SwinUNETR, which is built alike: window attention in four stages, skips, a
decoder of convolutions.  It differs from the original in patches of 2 voxels instead of 4, two blocks
in every stage (the original: 2, 2, 4, 2), residual decoder blocks, windows of 7 voxels, no
stochastic depth and no skips from averaged images; numbers of the original do not carry over.
"""

from __future__ import annotations

from torch import Generator, Tensor, nn

from varreg.errors import InputError

from ..blocks import SameConvolution, check_pair, full_precision, pad_to
from .packages import drawn_by, module_of

#: What the patches and the four stages make of an image: their size must divide it.
MULTIPLE = 32


class TransMorph(nn.Module):
    """MONAI's SwinUNETR with a displacement as its output, zero at the start.

    Parameters
    ----------
    dimension : {2, 3}
    width : int
        Channels of the first stage, a multiple of 12.
    generator : torch.Generator, optional
        Draws the weights; None is a new one with seed 0.

    Attributes
    ----------
    auxiliary : None
        It adds nothing to the loss.

    Raises
    ------
    InputError
        If MONAI is absent or the width is not allowed.
    """

    auxiliary: Tensor | None = None

    def __init__(
        self, dimension: int = 2, width: int = 48, generator: Generator | None = None
    ) -> None:
        super().__init__()
        if dimension not in (2, 3) or width < 12 or width % 12:
            raise InputError(
                "learned.baselines.TransMorph: `dimension` must be 2 or 3 and `width` a multiple of 12; "
                f"got {dimension!r} and {width!r}."
            )
        self.dimension = dimension
        swin = module_of("monai.networks.nets.swin_unetr", "transmorph").SwinUNETR
        generator = Generator().manual_seed(0) if generator is None else generator
        with drawn_by(generator):
            self.net = swin(
                in_channels=2, out_channels=dimension, feature_size=width, spatial_dims=dimension
            )
        self.net.out = SameConvolution(dimension, width, dimension, 3, None)

    def forward(self, pair: Tensor) -> Tensor:
        r"""Displacement (N, d, \*S) in voxels of a pair (N, 2, \*S)."""
        check_pair("baselines.TransMorph", pair, self.dimension)
        values, inner = pad_to(pair, MULTIPLE)
        return full_precision(self.net, values)[inner]
