"""Networks of other packages, imported when one is built, in the form that a stage of the cascade wants."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Generator, Tensor, nn

from varreg.errors import InputError

from ..blocks import SameConvolution, check_network, check_pair, full_precision, pad_to

#: What makes all of them importable.
HOW = "pip install 'varreg[baselines]'"
#: What the poolings or patches of these networks make of an image: their size must divide it.
MULTIPLE = 32
#: Blocks of VoxelMorph's U-Net; each but the last halves the image.
BLOCKS = 5


def module_of(name: str, network: str) -> Any:
    """A module of an optional package.

    Raises
    ------
    InputError
        If the package is absent, or one that it needs; the message says how to get it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"learned.baselines: the network {network!r} needs {name.split('.')[0]}, which cannot be "
            f"imported here ({error}): {HOW}."
        ) from error


@contextmanager
def drawn_by(generator: Generator) -> Iterator[None]:
    """Within the block the global generator of the CPU starts from a number that `generator` draws.

    Other packages draw their weights from the global one; it is left as it was.

    Examples
    --------
    >>> before = torch.get_rng_state()
    >>> with drawn_by(torch.Generator().manual_seed(0)):
    ...     _ = torch.rand(3)
    >>> bool((torch.get_rng_state() == before).all())
    True
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


class PackagedNet(nn.Module):
    """A network of another package, its weights drawn from a generator, for images of any size.

    Parameters
    ----------
    dimension : {2, 3}
    build : callable
        () -> the network, a pair (N, 2, *S) -> (N, d, *S), which draws from torch's global generator.
    generator : torch.Generator or None
        Draws the weights; None is a new one with seed 0.

    Attributes
    ----------
    auxiliary : None
        It adds nothing to the loss.
    """

    auxiliary: Tensor | None = None

    def __init__(
        self, dimension: int, build: Callable[[], nn.Module], generator: Generator | None
    ) -> None:
        super().__init__()
        self.dimension = dimension
        with drawn_by(Generator().manual_seed(0) if generator is None else generator):
            self.net = build()

    def forward(self, pair: Tensor) -> Tensor:
        r"""Displacement (N, d, \*S) in voxels of a pair (N, 2, \*S)."""
        check_pair(f"baselines.{type(self).__name__}", pair, self.dimension)
        values, inner = pad_to(pair, MULTIPLE)
        return full_precision(self.net, values)[inner]


class VoxelMorph(PackagedNet):
    """VoxelMorph's own network (doi 10.1109/TMI.2019.2897538): ``voxelmorph.nn.models.VxmPairwise``.

    With one number of channels in every block and no integration, so that, as in the cited paper, it predicts
    a displacement.  Its weights start so small that it hardly moves anything.  The loss is the cascade's.

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


class TransMorph(PackagedNet):
    """MONAI's SwinUNETR with a displacement as its output, zero at the start, after TransMorph.

    TransMorph (doi 10.1016/j.media.2022.102615) is a Swin transformer whose features a convolutional decoder
    turns into a displacement.  SwinUNETR is built alike: window attention in four stages, skips, a decoder of
    convolutions.  It differs from the original in patches of 2 voxels instead of 4, two blocks in every stage
    (the original: 2, 2, 4, 2), residual decoder blocks, windows of 7 voxels, no stochastic depth and no skips
    from averaged images; numbers of the original do not carry over.

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
