"""Random fields and affine maps."""

import pytest
import torch

SHAPES = [(7, 10), (13, 6), (5, 8, 7)]
every_shape = pytest.mark.parametrize("shape", SHAPES)


def random(*size, seed=0, dtype=torch.float64):
    return torch.rand(size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def field(shape, size=1.0, seed=1, batch=2, dtype=torch.float64):
    """Uniform in [-size, size], independent at every voxel."""
    return size * (2 * random(batch, len(shape), *shape, seed=seed, dtype=dtype) - 1)


def affine(d, size=0.1, seed=2, batch=2):
    noise = 2 * random(batch, d, d + 1, seed=seed) - 1
    return torch.eye(d, d + 1, dtype=torch.float64) + size * noise
