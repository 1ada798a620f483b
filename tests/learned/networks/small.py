"""Small networks."""

import torch

from learned.cascade import Cascade


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def images(shape, batch=2, seed=0):
    return torch.rand(2, batch, 1, *shape, generator=seeded(seed))


def small(dimension=2, shape=(33, 46), **options):
    settings = dict(at_width=2, dt_width=2, pooling="global") | options
    return Cascade.build(dimension=dimension, shape=shape, **settings)


def shaken(cascade, size=0.05):
    """With heads that do something, as after some training."""
    for name, parameter in cascade.named_parameters():
        if "head" in name or "flow" in name:
            noise = torch.randn(parameter.shape, generator=seeded(len(name)))
            parameter.data += size * noise
    return cascade
