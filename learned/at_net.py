"""AT-Net, the affine network (section 2.1.1 of doi 10.3390/math14122131), applied once or repeatedly."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn.utils import skip_init

from varreg.errors import InputError

from .affine import affine_displacement
from .blocks import (
    DROPOUT,
    check_network,
    check_pair,
    encoder,
    full_precision,
    halve,
    pad_to,
    start_weights,
)
from .spatial import warp

#: Multiples of the width in the six blocks, and the number of units of the hidden dense layer.
WIDTHS = (1, 2, 2, 4, 4, 8)
HIDDEN = 32
POOLINGS = ("flatten", "global")


class ATNet(nn.Module):
    """Affine network AT-Net: predicts an affine map on centred coordinates from a pair of images.

    Six blocks (w, 2w, 2w, 4w, 4w, 8w channels; two 3 x 3 convolutions each, with batch
    normalisation and LeakyReLU) with max pooling between them and dropout in the last two, a hidden
    dense layer of 32 units with ReLU, and a dense output layer of d (d + 1) units, initialised with
    zero weights and the identity map as bias.

    In two dimensions, with w = 16 and 224 x 224 voxels, it has 588,006 parameters: 385,728 in the
    convolutions, 1,344 in their normalisations, 200,736 in the dense layer on 7 x 7 x 128 values
    and 198 in the output layer.

    Parameters
    ----------
    dimension : {2, 3}
        Dimension d of the images.
    width : int
        Number of channels w of the first block.
    shape : tuple of int
        Size of the images; used only with "flatten".
    pooling : {"flatten", "global"}
        Input of the dense layers: all values of the last block, for images of a fixed size, or their
        means over the image (global average pooling), for images of any size.
    dropout : float
        Dropout rate in the two deepest blocks, in [0, 1).
    generator : torch.Generator, optional
        Generator of the initial weights and the dropout masks; by default a new one with seed 0.

    Examples
    --------
    >>> import torch
    >>> net = ATNet(width=2, shape=(64, 64)).eval()
    >>> net(torch.rand(1, 2, 64, 64)).tolist()
    [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    """

    def __init__(
        self,
        dimension: int = 2,
        width: int = 16,
        shape: Sequence[int] = (224, 224),
        pooling: str = "flatten",
        dropout: float = DROPOUT,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        check_network("ATNet", dimension, width)
        if pooling not in POOLINGS:
            raise InputError(
                f"learned.ATNet: `pooling` must be one of {', '.join(map(repr, POOLINGS))}; got "
                f"{pooling!r}."
            )
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        self.dimension, self.pooling, self.shape = dimension, pooling, tuple(shape)
        widths = [width * factor for factor in WIDTHS]
        self.multiple = 2 ** (len(widths) - 1)
        self.blocks = encoder(dimension, 2, widths, generator, dropout)
        values = widths[-1]
        if pooling == "flatten":
            values *= self._deepest()
        self.hidden = skip_init(nn.Linear, values, HIDDEN)
        self.head = skip_init(nn.Linear, HIDDEN, dimension * (dimension + 1))
        start_weights(self.hidden, generator)
        start_weights(self.head, None)
        with torch.no_grad():
            self.head.bias.copy_(torch.eye(dimension, dimension + 1).flatten())

    def forward(self, pair: Tensor) -> Tensor:
        """Predict the affine map fixed -> moving.

        Parameters
        ----------
        pair : (N, 2, *S) tensor
            Moving and fixed image.

        Returns
        -------
        (N, d, d + 1) tensor
            On centred coordinates.

        Raises
        ------
        InputError
            If the images of a network with pooling="flatten" have another size than `shape`.
        """
        check_pair("ATNet", pair, self.dimension)
        if self.pooling == "flatten" and tuple(pair.shape[2:]) != self.shape:
            raise InputError(
                f"learned.ATNet: `pair` has images of {tuple(pair.shape[2:])} voxels, but with "
                f"pooling='flatten' this network accepts {self.shape} only. Resample the images, or "
                "train with pooling='global'."
            )
        values, _ = pad_to(pair, self.multiple)
        for k, each in enumerate(self.blocks):
            values = each(halve(values) if k else values)
        values = values.flatten(2)
        values = values.flatten(1) if self.pooling == "flatten" else values.mean(2)
        numbers = full_precision(self.head, torch.relu(self.hidden(values)))
        return numbers.unflatten(1, (self.dimension, self.dimension + 1))

    def _deepest(self) -> int:
        """Number of voxels in the last block."""
        if len(self.shape) != self.dimension or min(self.shape) < 1:
            raise InputError(
                f"learned.ATNet: `shape` must be {self.dimension} numbers of voxels; got {self.shape}."
            )
        padded, _ = pad_to(torch.empty(1, 1, *self.shape), self.multiple)
        return math.prod(n // self.multiple for n in padded.shape[2:])


def affine_maps(
    at_net: nn.Module, moving: Tensor, fixed: Tensor, passes: int = 1
) -> tuple[Tensor, ...]:
    r"""Affine map after each pass of AT-Net.

    .. math:: A_{k+1} = A_k \circ N(M \circ A_k, F), \qquad A_0 = \mathrm{id},

    with the network N.  The moving image is interpolated once per pass, through the composed map.  No
    gradient is propagated from one pass to the previous one: each is trained to correct the remaining
    map, not to prepare the next pass.

    Parameters
    ----------
    at_net : nn.Module
        Network (N, 2, \*S) -> (N, d, d + 1), on centred coordinates, see :class:`learned.at_net.ATNet`.
    moving, fixed : (N, 1, \*S) tensors
        Images.
    passes : int
        Number of passes, at least 1.

    Returns
    -------
    tuple of (N, d, d + 1) tensors
        Map A_k after each pass, on centred coordinates.

    Examples
    --------
    >>> shift = lambda pair: torch.tensor([[[1.0, 0.0, 0.25], [0.0, 1.0, 0.0]]])
    >>> image = torch.rand(1, 1, 8, 8)
    >>> [float(A[0, 0, 2]) for A in affine_maps(shift, image, image, passes=3)]
    [0.25, 0.5, 0.75]
    """
    size = tuple(moving.shape[2:])
    maps: list[Tensor] = []
    for _ in range(passes):
        before = maps[-1].detach() if maps else None
        seen = moving if before is None else warp(moving, affine_displacement(before, size))
        update = at_net(torch.cat((seen, fixed), 1)).to(moving.dtype)
        maps.append(update if before is None else after(before, update))
    return tuple(maps)


def after(outer: Tensor, inner: Tensor) -> Tensor:
    """Composition c -> outer(inner(c)) of affine maps, (N, d, d + 1)."""
    linear, shift = outer[..., :-1], outer[..., -1:]
    product = linear @ inner
    return torch.cat((product[..., :-1], product[..., -1:] + shift), -1)
