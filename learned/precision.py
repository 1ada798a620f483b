"""Where half precision is not enough."""

from __future__ import annotations

import torch
from torch import Tensor


def without_autocast(tensor: Tensor) -> torch.autocast:
    """A context in which products are not rounded to 16 bits, on the device of the tensor.

    Eight bits of precision cannot tell one voxel of an image from the next.
    """
    return torch.autocast(tensor.device.type, enabled=False)
