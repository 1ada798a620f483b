"""Building blocks of the networks in two and three dimensions.

Every convolution has a bias and every batch normalisation a scale and an offset, as in the parent
code, so that the numbers of parameters agree with the published ones.  The global random state is not
used: weights and dropout masks are drawn from a generator passed as an argument.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init

from varreg.errors import InputError

from .tensors import are_trusted, without_autocast

#: Slope of LeakyReLU for negative values.
SLOPE = 0.3
#: Dropout rate in the two deepest blocks.
DROPOUT = 0.3


class Dropout(nn.Module):
    """Dropout with masks from a given generator; the identity in evaluation mode.

    Masks are drawn on the generator's device, so that they are the same on every device.

    Parameters
    ----------
    rate : float
        Fraction of values set to 0, in [0, 1).
    generator : torch.Generator
        Generator of the masks.
    """

    def __init__(self, rate: float, generator: Generator) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise InputError(f"learned.blocks.Dropout: `rate` must be in [0, 1); got {rate!r}.")
        self.rate, self.generator = float(rate), generator

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return values
        chance = torch.rand(
            values.shape, generator=self.generator, device=self.generator.device
        ).to(values.device)
        return values * ((chance >= self.rate).to(values.dtype) / (1 - self.rate))

    def extra_repr(self) -> str:
        return f"{self.rate}"


class SameConvolution(nn.Module):
    """Convolution that preserves the size by zero padding, for even kernels with more at the end of each axis.

    Initial weights are He normal, biases 0.

    Parameters
    ----------
    dimension : {2, 3}
        Dimension of the images.
    inputs, outputs : int
        Number of channels.
    kernel : int
        Size of the kernel along every axis.
    generator : torch.Generator or None
        Generator of the initial weights; None: zero weights.
    """

    def __init__(
        self, dimension: int, inputs: int, outputs: int, kernel: int, generator: Generator | None
    ) -> None:
        super().__init__()
        kind = {2: nn.Conv2d, 3: nn.Conv3d}[dimension]
        padding = (kernel - 1) // 2
        self.convolution = skip_init(kind, inputs, outputs, kernel, padding=padding)
        self.behind = (0, kernel - 1 - 2 * padding) * dimension
        start_weights(self.convolution, generator)

    def forward(self, values: Tensor) -> Tensor:
        if any(self.behind):
            values = functional.pad(values, self.behind)
        if _is_one_small_image(values):
            return _onednn(self.convolution, values)
        return self.convolution(values)


def _is_one_small_image(values: Tensor) -> bool:
    """Whether torch would use its native convolution, five to twenty times slower than that of oneDNN."""
    return (
        len(values) == 1
        and values[..., 0].numel() <= 20480
        and values.device.type == "cpu"
        and values.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
    )


def _onednn(layer: nn.Conv2d | nn.Conv3d, values: Tensor) -> Tensor:
    d = len(layer.stride)
    pad, step = [(k - 1) // 2 for k in layer.kernel_size], [1] * d
    return torch.mkldnn_convolution(values, layer.weight, layer.bias, pad, step, step, 1)


def convolution_unit(
    dimension: int, inputs: int, outputs: int, generator: Generator, kernel: int = 3
) -> nn.Sequential:
    """Convolution, batch normalisation and LeakyReLU."""
    normalisation = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dimension]
    return nn.Sequential(
        SameConvolution(dimension, inputs, outputs, kernel, generator),
        normalisation(outputs),
        nn.LeakyReLU(SLOPE, inplace=True),
    )


def block(
    dimension: int, inputs: int, outputs: int, generator: Generator, dropout: float = 0.0
) -> nn.Sequential:
    """Two units of 3 x 3 (x 3) convolutions, and dropout if its rate is not 0."""
    layers: list[nn.Module] = [
        convolution_unit(dimension, inputs, outputs, generator),
        convolution_unit(dimension, outputs, outputs, generator),
    ]
    return nn.Sequential(*layers, *([Dropout(dropout, generator)] if dropout else []))


def encoder(
    dimension: int, inputs: int, widths: Sequence[int], generator: Generator, dropout: float
) -> nn.ModuleList:
    """One block per width, with dropout in the last two; :func:`halve` is to be applied between them."""
    sources = (inputs, *widths[:-1])
    last = len(widths) - 2
    return nn.ModuleList(
        block(dimension, source, width, generator, dropout if k >= last else 0.0)
        for k, (source, width) in enumerate(zip(sources, widths, strict=True))
    )


def halve(values: Tensor) -> Tensor:
    """Max pooling over 2 x 2 (x 2) voxels."""
    pool = functional.max_pool2d if values.ndim == 4 else functional.max_pool3d
    return pool(values, 2)


def start_weights(layer: nn.Module, generator: Generator | None) -> None:
    """Initialise a layer: He normal weights, standard deviation sqrt(2 / inputs), and zero bias; None: zeros.

    He et al. 2015, doi 10.1109/ICCV.2015.123.
    """
    weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
    with torch.no_grad():
        weight.zero_()
        bias.zero_()
        if generator is not None:
            deviation = math.sqrt(2 / weight[0].numel())
            drawn = torch.randn(weight.shape, generator=generator, device=generator.device)
            weight.copy_(drawn * deviation)


def full_precision(layer: nn.Module, values: Tensor) -> Tensor:
    """Apply a layer in the precision of its weights; 8 bits of autocast would be errors of a tenth of a voxel."""
    weight = next(layer.parameters())
    with without_autocast(values):
        return layer(values.to(weight.dtype))


def pad_to(values: Tensor, multiple: int) -> tuple[Tensor, tuple[slice, ...]]:
    """Images padded by replication to multiples of `multiple`, and the index of the original voxels.

    Every axis has at least twice the multiple: after all poolings, batch normalisation requires more
    than one value per channel, even for a single image.

    Parameters
    ----------
    values : (N, C, *S) tensor
        Images.
    multiple : int
        Divisor of the padded sizes.

    Returns
    -------
    tuple of (N, C, *T) tensor and tuple of slice
        Padded images, and the index that crops them to (N, C, *S).

    Examples
    --------
    >>> import torch
    >>> padded, inner = pad_to(torch.zeros(1, 1, 5, 9), 4)
    >>> tuple(padded.shape), tuple(padded[inner].shape)
    ((1, 1, 8, 12), (1, 1, 5, 9))
    """
    shape = values.shape[2:]
    missing = [max(-(-n // multiple), 2) * multiple - n for n in shape]
    before = [m // 2 for m in missing]
    pads = [side for b, m in zip(before, missing, strict=True) for side in (m - b, b)][::-1]
    inner = tuple(slice(b, b + n) for b, n in zip(before, shape, strict=True))
    padded = functional.pad(values, pads, mode="replicate") if any(missing) else values
    return padded, (slice(None), slice(None), *inner)


def check_network(name: str, dimension: int, width: int) -> None:
    """Check the dimension and the width of a network."""
    if dimension not in (2, 3):
        raise InputError(f"learned.{name}: `dimension` must be 2 or 3; got {dimension!r}.")
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise InputError(f"learned.{name}: `width` must be a whole number >= 1; got {width!r}.")


def check_pair(name: str, pair: Tensor, dimension: int) -> None:
    """Check the shape of a batch of pairs, moving and fixed image as two channels."""
    if pair.ndim != dimension + 2 or pair.shape[1] != 2 or 0 in pair.shape:
        raise InputError(
            f"learned.{name}: `pair` must be (N, 2, *S), moving and fixed image in {dimension} "
            f"dimensions; got {tuple(pair.shape)}."
        )


def check_images(name: str, moving: Tensor, fixed: Tensor, dimension: int) -> None:
    """Check that both batches have the same shape and finite values."""
    shape = tuple(moving.shape)
    if len(shape) != dimension + 2 or shape[1] != 1 or 0 in shape or fixed.shape != moving.shape:
        raise InputError(
            f"learned.{name}: `moving` and `fixed` must both be (N, 1, *S) with S of {dimension} "
            f"axes; got {shape} and {tuple(fixed.shape)}. Resample them to one grid first."
        )
    for argument, image in (("moving", moving), ("fixed", fixed)):
        if not are_trusted() and not bool(torch.isfinite(image).all()):
            raise InputError(
                f"learned.{name}: `{argument}` contains values that are not finite. Replace them, e.g. "
                "with numpy.nan_to_num, if they are background."
            )
