"""Networks of other packages, wrapped as stages of the cascade; the packages are imported on first use."""

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

#: Command that installs all of these packages.
HOW = "pip install 'varreg[baselines]'"
#: Total downsampling factor of these networks; image sizes are padded to multiples.
MULTIPLE = 32
#: Blocks of VoxelMorph's U-Net; all but the last halve the image.
BLOCKS = 5
#: DiffuseMorph: number of diffusion steps, and the first and last noise variance.
TIMES, FIRST, LAST = 2000, 1e-6, 1e-2
#: Multiples of the width in the levels of the noise network, and its total downsampling factor.
LEVELS, DIFFUSION_MULTIPLE = (1, 2, 2, 4), 8


def module_of(name: str, network: str) -> Any:
    """Import a module of an optional package.

    Raises
    ------
    InputError
        If the package or one of its dependencies is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"learned.baselines: the network {network!r} requires {name.split('.')[0]}, which cannot be "
            f"imported ({error}). To install: {HOW}."
        ) from error


@contextmanager
def drawn_by(generator: Generator) -> Iterator[None]:
    """Context in which torch's global CPU generator is seeded by `generator`; its state is restored afterwards.

    Other packages initialise their weights with the global generator.

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
    """Network of another package with reproducible initial weights, for images of any size.

    An InputError is raised if the package is not installed or the width is invalid.

    Parameters
    ----------
    dimension : {2, 3}
        Dimension of the images.
    build : callable
        Function without arguments that returns the network, (N, 2, *S) -> (N, d, *S), initialised with
        torch's global generator.
    generator : torch.Generator or None
        Generator of the initial weights; None: a new one with seed 0.
    """

    auxiliary: Tensor | None = None  # no additional loss

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
    """VoxelMorph (doi 10.1109/TMI.2019.2897538), as implemented by ``voxelmorph.nn.models.VxmPairwise``.

    All blocks have the same number of channels, the width, and nothing is integrated: as in the cited paper, the
    output is a displacement.  With its small initial weights it is nearly the identity.  The loss is that of the
    cascade.
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
    """Adapter from a pair (N, 2, *S) to a network with two arguments."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pair: Tensor) -> Tensor:
        return self.net(*pair.split(1, 1))


class TransMorph(PackagedNet):
    """SwinUNETR of MONAI with a displacement as output, initially zero, after TransMorph.

    TransMorph (doi 10.1016/j.media.2022.102615) predicts a displacement by a Swin transformer encoder and a
    convolutional decoder.  SwinUNETR has a similar architecture: window attention in four stages, skip
    connections, a convolutional decoder.  It differs from the original by patches of 2 voxels instead of 4, two
    blocks in every stage (original: 2, 2, 4, 2), residual decoder blocks, windows of 7 voxels, no stochastic depth
    and no skip connections from averaged images; results of the original are not transferable.  The width, a
    multiple of 12, is the number of channels of the first stage.
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
    r"""Diffusion U-Net and noise schedule of MONAI, followed by a DT-Net, after DiffuseMorph.

    A network G is trained to predict the noise :math:`\varepsilon` in a noisy fixed image
    :math:`x_t = \sqrt{\bar\alpha_t} F + \sqrt{1 - \bar\alpha_t}\,\varepsilon`, given both images; a second network
    predicts a displacement from the moving image and the output of G.  Both are trained jointly on the
    registration loss plus :math:`\mathrm{mean}\,|G - \varepsilon|^2` (`auxiliary`).  For registration, G is
    evaluated once, at t = 0 with the fixed image itself, without a chain of denoising steps.

    It differs from the original (doi 10.1007/978-3-031-19821-2_20) in that G is MONAI's diffusion U-Net (with
    attention on its coarsest level only), the noise schedule is MONAI's linear one, and the second network and the
    registration loss are those of the cascade.

    The width, a multiple of 8, is the number of channels of the first level of G, `field_width` that of the DT-Net.
    The generator provides the initial weights, then diffusion times, noise and dropout masks.
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
        # from the generator whose state is saved in checkpoints
        times = torch.randint(TIMES, (len(pair),), generator=self.generator).to(pair.device)
        noise = torch.randn(fixed.shape, generator=self.generator).to(pair)
        noisy = self.schedule.add_noise(fixed, noise, times)
        predicted_noise = self._noise(pair, noisy, times)
        self.auxiliary = (predicted_noise - noise).float().square().mean()
        return self.field(torch.cat((moving, predicted_noise), 1))

    def _noise(self, pair: Tensor, noisy: Tensor, times: Tensor) -> Tensor:
        """Noise in an image as predicted by G."""
        values, inner = pad_to(torch.cat((pair, noisy), 1), DIFFUSION_MULTIPLE)
        return self.noise_net(values, times)[inner]
