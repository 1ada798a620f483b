"""Networks of other packages, imported when one is built, in the form of a stage of the cascade."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Generator, Tensor, nn

from varreg.errors import InputError

from ..blocks import DROPOUT, SameConvolution, check_network, check_pair, full_precision, pad_to
from ..dt_net import DTNet

#: What makes all of them importable.
HOW = "pip install 'varreg[baselines]'"
#: What the poolings or patches of these networks make of an image: their size must divide it.
MULTIPLE = 32
#: Blocks of VoxelMorph's U-Net; each but the last halves the image.
BLOCKS = 5
#: Of DiffuseMorph: steps of the noise, and its variances at both ends.
TIMES, FIRST, LAST = 2000, 1e-6, 1e-2
#: Multiples of the width in the levels of G, and what they make of an image.
LEVELS, DIFFUSION_MULTIPLE = (1, 2, 2, 4), 8


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

    Where the package is absent or the width is not allowed, an InputError says so.
    """

    auxiliary: Tensor | None = None  # it adds nothing to the loss

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
    The width is the number of channels of every block.
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
    from averaged images; numbers of the original do not carry over.  The width, a multiple of 12, is the number
    of channels of the first stage.
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


class DiffuseMorph(nn.Module):
    r"""MONAI's diffusion U-Net and noise schedule before a DT-Net, after DiffuseMorph.

    A network G learns to tell the noise :math:`\varepsilon` in a noisy fixed image
    :math:`x_t = \sqrt{\bar\alpha_t} F + \sqrt{1 - \bar\alpha_t}\,\varepsilon`, given both images; a second
    one makes a displacement of the moving image and of what G says.  Both are trained together, on the
    registration loss plus :math:`\mathrm{mean}\,|G - \varepsilon|^2` (`auxiliary`).  To register, G is asked
    once, at t = 0 about the fixed image itself; there is no chain of denoising steps.

    As in the original (doi 10.1007/978-3-031-19821-2_20), except that G is MONAI's diffusion U-Net (with attention
    on its coarsest level only), the schedule MONAI's linear one, the displacement comes from the DT-Net of the
    cascade, and the registration loss is the cascade's.

    The width, a multiple of 8, is the number of channels of the first level of G, `field_width` that of the DT-Net.
    The generator draws the weights, then times, noise and dropout masks.
    """

    def __init__(
        self,
        dimension: int = 2,
        width: int = 32,
        field_width: int = 32,
        dropout: float = DROPOUT,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        if width < 8 or width % 8:
            raise InputError(
                f"learned.baselines.DiffuseMorph: `width` must be a multiple of 8; got {width!r}."
            )
        self.generator = Generator().manual_seed(0) if generator is None else generator
        self.field = DTNet(dimension, field_width, dropout, generator=self.generator)
        self.dimension = dimension
        self.auxiliary: Tensor | None = None
        network = module_of("monai.networks.nets.diffusion_model_unet", "diffusemorph")
        schedule = module_of("monai.networks.schedulers.ddpm", "diffusemorph")
        with drawn_by(self.generator):
            self.noise_net = network.DiffusionModelUNet(
                spatial_dims=dimension,
                in_channels=3,
                out_channels=1,
                channels=[width * level for level in LEVELS],
                attention_levels=[False] * (len(LEVELS) - 1) + [True],
                num_res_blocks=1,
                num_head_channels=8,
                norm_num_groups=8,
            )
        self.schedule = schedule.DDPMScheduler(
            num_train_timesteps=TIMES, beta_start=FIRST, beta_end=LAST
        )

    def forward(self, pair: Tensor) -> Tensor:
        r"""Displacement (N, d, \*S) in voxels of a pair (N, 2, \*S)."""
        check_pair("baselines.DiffuseMorph", pair, self.dimension)
        moving, fixed = pair.split(1, 1)
        self.auxiliary = None
        if not self.training:
            start = torch.zeros(len(pair), dtype=torch.long, device=pair.device)
            return self.field(torch.cat((moving, self._noise(pair, fixed, start)), 1))
        # as the weights' and the dropout's: drawn where a checkpoint sees it
        times = torch.randint(TIMES, (len(pair),), generator=self.generator).to(pair.device)
        noise = torch.randn(fixed.shape, generator=self.generator).to(pair)
        noisy = self.schedule.add_noise(fixed, noise, times)
        said = self._noise(pair, noisy, times)
        self.auxiliary = (said - noise).float().square().mean()
        return self.field(torch.cat((moving, said), 1))

    def _noise(self, pair: Tensor, noisy: Tensor, times: Tensor) -> Tensor:
        """What G takes for the noise in an image."""
        values, inner = pad_to(torch.cat((pair, noisy), 1), DIFFUSION_MULTIPLE)
        return self.noise_net(values, times)[inner]
