r"""Registration by a diffusion model, after DiffuseMorph (doi 10.1007/978-3-031-19821-2_20).

A network G learns to tell the noise :math:`\varepsilon` in a noisy fixed image
:math:`x_t = \sqrt{\bar\alpha_t} F + \sqrt{1 - \bar\alpha_t}\,\varepsilon`, given both images; a second
one makes a displacement of the moving image and of what G says.  Both are trained together, on the
registration loss plus :math:`\mathrm{mean}\,|G - \varepsilon|^2`.  To register, G is asked once, at t = 0
about the fixed image itself; there is no chain of denoising steps.

As in the original, except that G is MONAI's diffusion U-Net (with attention on its coarsest level
only), the schedule MONAI's linear one, the displacement comes from the DT-Net of the cascade, and the
registration loss is the cascade's.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from varreg.errors import InputError

from ..blocks import DROPOUT, check_pair, pad_to
from ..dt_net import DTNet
from .packaged import drawn_by, module_of

#: Of the original: steps of the noise, and its variances at both ends.
TIMES, FIRST, LAST = 2000, 1e-6, 1e-2
#: Multiples of the width in the levels of G, and what they make of an image.
LEVELS, MULTIPLE = (1, 2, 2, 4), 8


class DiffuseMorph(nn.Module):
    """MONAI's diffusion U-Net and noise schedule before a DT-Net.

    Parameters
    ----------
    dimension : {2, 3}
    width : int
        Channels of the first level of G, a multiple of 8.
    field_width : int
        Of the DT-Net.
    dropout : float
        In the DT-Net.
    generator : torch.Generator, optional
        Draws the weights, then times, noise and dropout masks; None is a new one with seed 0.

    Attributes
    ----------
    auxiliary : Tensor or None
        What the last pass in training adds to the loss: the error of the noise.

    Raises
    ------
    InputError
        If MONAI is absent or the width is not allowed.
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
        values, inner = pad_to(torch.cat((pair, noisy), 1), MULTIPLE)
        return self.noise_net(values, times)[inner]
