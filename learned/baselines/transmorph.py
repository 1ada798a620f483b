"""A Swin transformer U-Net for registration, after TransMorph (doi 10.1016/j.media.2022.102615).

TransMorph is a Swin transformer whose features a convolutional decoder turns into a displacement.  Here
the network is MONAI's SwinUNETR, which is built alike: window attention in four stages, skips, a
decoder of convolutions.  It differs from the original in patches of 2 voxels instead of 4, two blocks
in every stage (the original: 2, 2, 4, 2), residual decoder blocks, windows of 7 voxels, no
stochastic depth and no skips from averaged images; numbers of the original do not carry over.
"""

from __future__ import annotations

from torch import Generator, nn

from varreg.errors import InputError

from ..blocks import SameConvolution
from .packaged import PackagedNet, module_of


class TransMorph(PackagedNet):
    """MONAI's SwinUNETR with a displacement as its output, zero at the start.

    Parameters
    ----------
    dimension : {2, 3}
    width : int
        Channels of the first stage, a multiple of 12.
    generator : torch.Generator, optional
        Draws the weights; None is a new one with seed 0.

    Raises
    ------
    InputError
        If MONAI is absent or the width is not allowed.
    """

    def __init__(
        self, dimension: int = 2, width: int = 48, generator: Generator | None = None
    ) -> None:
        if dimension not in (2, 3) or width < 12 or width % 12:
            raise InputError(
                "learned.baselines.TransMorph: `dimension` must be 2 or 3 and `width` a multiple of 12; "
                f"got {dimension!r} and {width!r}."
            )
        swin = module_of("monai.networks.nets.swin_unetr", "transmorph").SwinUNETR

        def build() -> nn.Module:
            return swin(
                in_channels=2, out_channels=dimension, feature_size=width, spatial_dims=dimension
            )

        super().__init__(dimension, build, generator)
        self.net.out = SameConvolution(dimension, width, dimension, 3, None)
