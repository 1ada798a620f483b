"""VoxelMorph's own network (doi 10.1109/TMI.2019.2897538), from its package.

The package's ``VxmPairwise`` with one number of channels in every block and no integration, so that, as in
the cited paper, it predicts a displacement.  The loss is the cascade's.
"""

from __future__ import annotations

from torch import Generator, Tensor, nn

from ..blocks import check_network, check_pair, full_precision, pad_to
from .packages import drawn_by, module_of

#: Blocks of the U-Net, of which each but the last halves the image.
BLOCKS, MULTIPLE = 5, 32


class VoxelMorph(nn.Module):
    """``voxelmorph.nn.models.VxmPairwise``; its weights start so small that it hardly moves anything.

    Parameters
    ----------
    dimension : {2, 3}
    width : int
        Channels of every block; the package's default is 16.
    generator : torch.Generator, optional
        Draws the weights; None is a new one with seed 0.

    Attributes
    ----------
    auxiliary : None
        It adds nothing to the loss.

    Raises
    ------
    InputError
        If the package is absent.
    """

    auxiliary: Tensor | None = None

    def __init__(
        self, dimension: int = 2, width: int = 16, generator: Generator | None = None
    ) -> None:
        super().__init__()
        check_network("baselines.VoxelMorph", dimension, width)
        self.dimension = dimension
        package = module_of("voxelmorph.nn.models", "voxelmorph")
        generator = Generator().manual_seed(0) if generator is None else generator
        with drawn_by(generator):
            self.net = package.VxmPairwise(
                ndim=dimension,
                source_channels=1,
                target_channels=1,
                nb_features=(width,) * BLOCKS,
                integration_steps=0,
            )

    def forward(self, pair: Tensor) -> Tensor:
        r"""Displacement (N, d, \*S) in voxels of a pair (N, 2, \*S)."""
        check_pair("baselines.VoxelMorph", pair, self.dimension)
        values, inner = pad_to(pair, MULTIPLE)
        return full_precision(_Split(self.net), values)[inner]


class _Split(nn.Module):
    """A network of two arguments, asked with both side by side."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pair: Tensor) -> Tensor:
        return self.net(*pair.split(1, 1))
