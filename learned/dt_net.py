"""DT-Net, the deformable network (section 2.1.2 of doi 10.3390/math14122131)."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from .blocks import (
    DROPOUT,
    SameConvolution,
    block,
    check_network,
    check_pair,
    convolution_unit,
    encoder,
    full_precision,
    halve,
    pad_to,
)

#: Multiples of the width in the blocks of the encoder and of the decoder.
ENCODER = (1, 2, 2, 4, 4)
DECODER = (4, 2, 2, 1)


class DTNet(nn.Module):
    r"""Deformable network DT-Net: a U-Net that predicts a displacement from a pair of images.

    The encoder has five blocks (w, 2w, 2w, 4w, 4w channels) with max pooling between them and dropout
    in the last two.  Each of the four decoder steps (4w, 2w, 2w, w channels) consists of nearest-neighbour
    upsampling, a 2 x 2 convolution, the skip connection from the encoder and a block.  A 3 x 3 convolution
    yields the displacement.  Its initial weights are zero, so that an untrained network predicts the
    identity; its gradient is not zero, nor are those of the other layers after one step.

    In two dimensions, with w = 32, it has 1,474,658 parameters: 657,408 in the encoder, 816,672 in
    the decoder (of which 123,744 in the 2 x 2 convolutions with their normalisations) and 578 in the
    last convolution.

    Parameters
    ----------
    dimension : {2, 3}
        Dimension d of the images.
    width : int
        Number of channels w of the first block.
    dropout : float
        Dropout rate in the two deepest blocks, in [0, 1).
    zero_mean : bool
        Whether to subtract the mean over the image from every component, since translation belongs to
        the affine map, and the energy is coercive on fields with zero mean (section 2.3.1).
    generator : torch.Generator, optional
        Generator of the initial weights and the dropout masks; by default a new one with seed 0.

    Examples
    --------
    >>> import torch
    >>> net = DTNet(width=2).eval()
    >>> tuple(net(torch.rand(1, 2, 21, 30)).shape)
    (1, 2, 21, 30)
    """

    def __init__(
        self,
        dimension: int = 2,
        width: int = 32,
        dropout: float = DROPOUT,
        zero_mean: bool = True,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        check_network("DTNet", dimension, width)
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        self.dimension, self.zero_mean = dimension, zero_mean
        down = [width * factor for factor in ENCODER]
        up = [width * factor for factor in DECODER]
        self.multiple = 2 ** len(up)
        self.down = encoder(dimension, 2, down, generator, dropout)
        self.smooth, self.up = nn.ModuleList(), nn.ModuleList()
        channels = down[-1]
        for width_up, beside in zip(up, reversed(down[:-1]), strict=True):
            self.smooth.append(convolution_unit(dimension, channels, width_up, generator, kernel=2))
            self.up.append(block(dimension, width_up + beside, width_up, generator))
            channels = width_up
        self.flow = SameConvolution(dimension, channels, dimension, 3, None)

    def forward(self, pair: Tensor) -> Tensor:
        r"""Predict the displacement fixed -> moving.

        Parameters
        ----------
        pair : (N, 2, \*S) tensor
            Moving and fixed image, of any size.

        Returns
        -------
        (N, d, \*S) tensor
            Displacement in voxels.
        """
        check_pair("DTNet", pair, self.dimension)
        values, inner = pad_to(pair, self.multiple)
        beside: list[Tensor] = []
        for k, each in enumerate(self.down):
            values = each(halve(values) if k else values)
            beside.append(values)
        beside.pop()
        for smooth, each in zip(self.smooth, self.up, strict=True):
            values = smooth(functional.interpolate(values, scale_factor=2, mode="nearest"))
            values = each(torch.cat((values, beside.pop()), 1))
        displacement = full_precision(self.flow, values)[inner]
        if self.zero_mean:
            axes = tuple(range(2, displacement.ndim))
            displacement = displacement - displacement.mean(axes, keepdim=True)
        return displacement
