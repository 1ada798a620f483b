"""Descent network: predicts a displacement from both images and the gradient of mutual information.

A U-Net with the gradient of mutual information at every voxel (:mod:`learned.energy_channels`) as
additional input.  A plain network must learn which intensities of any two contrasts correspond; this one
only has to transform a rough gradient into a long, smooth step, like a preconditioner in a solver.
Similar networks for inverse problems are learned gradient descent
(Adler and Oktem 2017, doi 10.1088/1361-6420/aa9581) and variational networks (Hammernik et al. 2018,
doi 10.1002/mrm.26977).  Applied repeatedly from coarse to fine, it converges within a few passes.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from varreg.errors import InputError

from .blocks import SameConvolution, check_network, check_pair, full_precision, pad_to
from .energy_channels import channel_count, energy_channels

#: Multiples of the width at each level, from fine to coarse.
WIDTHS = (1, 2, 3, 4)
SLOPE = 0.1


class DescentNet(nn.Module):
    r"""Descent network: predicts a displacement from a pair of images and the gradient of their similarity.

    A U-Net with blocks of two 3 x 3 (x 3) convolutions with LeakyReLU at four levels (w, 2w, 3w, 4w channels),
    average pooling, linear upsampling and skip connections.  The finest level has half the resolution of the
    images, of which 2 x 2 (x 2) voxels are rearranged as channels, which reduces the cost to a quarter (an
    eighth) without loss of detail.  The displacement, which is smooth, has that resolution too.  There is no
    normalisation, because the magnitude of the gradient indicates the remaining distance between the images.
    An untrained network predicts zero displacement.

    Parameters
    ----------
    dimension : {2, 3}
        Dimension d of the images.
    width : int
        Number of channels w of the finest level.
    generator : torch.Generator, optional
        Generator of the initial weights; by default a new one with seed 0.

    Attributes
    ----------
    patch : int
        Ratio of the resolutions of images and displacement along each axis.

    Examples
    --------
    >>> import torch
    >>> net = DescentNet(width=2)
    >>> tuple(net(torch.rand(1, 2, 22, 30)).shape)
    (1, 2, 11, 15)
    """

    patch = 2

    def __init__(
        self, dimension: int = 2, width: int = 16, generator: Generator | None = None
    ) -> None:
        super().__init__()
        check_network("DescentNet", dimension, width)
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        self.dimension = dimension
        widths = [width * factor for factor in WIDTHS]
        self.multiple = 2 ** (len(widths) - 1)
        inputs = (2 + channel_count(dimension)) * self.patch**dimension
        self.down = nn.ModuleList(
            _block(dimension, before, after, generator)
            for before, after in zip((inputs, *widths[:-1]), widths, strict=True)
        )
        self.up = nn.ModuleList(
            _block(dimension, below + beside, beside, generator)
            for beside, below in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.flow = SameConvolution(dimension, width, dimension, 3, None)

    def forward(self, pair: Tensor) -> Tensor:
        r"""Predict the displacement fixed -> moving.

        Parameters
        ----------
        pair : (N, 2, \*S) tensor
            Moving and fixed image, in [0, 1], of even sizes.

        Returns
        -------
        (N, d, \*S / 2) tensor
            Displacement in voxels of its grid.
        """
        check_pair("DescentNet", pair, self.dimension)
        if any(n % self.patch for n in pair.shape[2:]):
            raise InputError(
                f"learned.DescentNet: sizes must be even; got {tuple(pair.shape[2:])}. Resize the images "
                "with learned.spatial.resize_image."
            )
        seen = torch.cat((pair, energy_channels(pair[:, :1], pair[:, 1:]).to(pair.dtype)), 1)
        values, inner = pad_to(space_to_depth(seen, self.patch), self.multiple)
        # makes convolutions on CPUs up to twice as fast
        last = torch.channels_last if self.dimension == 2 else torch.channels_last_3d
        values = values.contiguous(memory_format=last)
        beside: list[Tensor] = []
        for k, each in enumerate(self.down):
            values = each(_halve(values) if k else values)
            beside.append(values)
        beside.pop()
        for each in self.up:
            values = each(torch.cat((_double(values), beside.pop()), 1))
        return full_precision(self.flow, values)[inner] / self.patch


def space_to_depth(values: Tensor, patch: int) -> Tensor:
    r"""Patches of p^d voxels rearranged as channels, (N, C p^d, \*S / p).

    Examples
    --------
    >>> import torch
    >>> space_to_depth(torch.arange(4.0).reshape(1, 1, 2, 2), 2).flatten().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    n, channels, *shape = values.shape
    d = len(shape)
    split = values.reshape(n, channels, *(k for size in shape for k in (size // patch, patch)))
    order = (0, 1, *range(3, 3 + 2 * d, 2), *range(2, 2 + 2 * d, 2))
    return split.permute(order).reshape(n, channels * patch**d, *(s // patch for s in shape))


def _block(dimension: int, inputs: int, outputs: int, generator: Generator) -> nn.Sequential:
    return nn.Sequential(
        SameConvolution(dimension, inputs, outputs, 3, generator),
        nn.LeakyReLU(SLOPE, inplace=True),
        SameConvolution(dimension, outputs, outputs, 3, generator),
        nn.LeakyReLU(SLOPE, inplace=True),
    )


def _halve(values: Tensor) -> Tensor:
    pool = functional.avg_pool2d if values.ndim == 4 else functional.avg_pool3d
    return pool(values, 2)


def _double(values: Tensor) -> Tensor:
    mode = "bilinear" if values.ndim == 4 else "trilinear"
    return functional.interpolate(values, scale_factor=2, mode=mode, align_corners=False)
