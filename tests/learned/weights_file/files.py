"""Small files of weights."""

import torch

CARD = {
    "architecture": {"class": "Small", "width": 3, "scales": [4, 2, 1]},
    "training": {"epochs": 3, "loss": 0.1 + 0.2, "Dice": None, "data": "Tübingen"},
    "licences": ["CC0-1.0"],
}


class Small(torch.nn.Module):
    """Several types, a scalar, an empty tensor, a shared and a transposed one."""

    def __init__(self, width=3, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.convolution = torch.nn.Conv2d(2, width, 3)
        self.norm = torch.nn.BatchNorm2d(width)
        self.again = self.convolution
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
        self.register_buffer("transposed", torch.arange(6.0).reshape(2, 3).T)
        self.register_buffer("part", torch.arange(6, dtype=torch.float64)[1:4])
        self.register_buffer("empty", torch.zeros(0, 3))
        self.register_buffer("brief", torch.tensor([1 / 3, -0.0], dtype=torch.bfloat16))
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("bytes", torch.arange(5, dtype=torch.uint8))


def same(one, other):
    """Bit by bit: -0 is not 0."""
    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and torch.equal(
            one.contiguous().reshape(-1).view(torch.uint8),
            other.contiguous().reshape(-1).view(torch.uint8),
        )
    )
