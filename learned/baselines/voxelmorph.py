"""VoxelMorph's own network (doi 10.1109/TMI.2019.2897538), from its package.

The package's ``VxmPairwise`` with one number of channels in every block and no integration, so that, as in
the cited paper, it predicts a displacement.  The loss is the cascade's.
"""

from __future__ import annotations

from torch import Generator, Tensor, nn

from ..blocks import check_network
from .packaged import PackagedNet, module_of

#: Of the U-Net; each but the last halves the image.
BLOCKS = 5


class VoxelMorph(PackagedNet):
    """``voxelmorph.nn.models.VxmPairwise``; its weights start so small that it hardly moves anything.

    Parameters
    ----------
    dimension : {2, 3}
    width : int
        Channels of every block; the package's default is 16.
    generator : torch.Generator, optional
        Draws the weights; None is a new one with seed 0.

    Raises
    ------
    InputError
        If the package is absent.
    """

    def __init__(
        self, dimension: int = 2, width: int = 16, generator: Generator | None = None
    ) -> None:
        check_network("baselines.VoxelMorph", dimension, width)
        package = module_of("voxelmorph.nn.models", "voxelmorph")

        def build() -> nn.Module:
            pairwise = package.VxmPairwise(
                ndim=dimension,
                source_channels=1,
                target_channels=1,
                nb_features=(width,) * BLOCKS,
                integration_steps=0,
            )
            return _Split(pairwise)

        super().__init__(dimension, build, generator)


class _Split(nn.Module):
    """A network of two arguments, asked with both side by side."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pair: Tensor) -> Tensor:
        return self.net(*pair.split(1, 1))
