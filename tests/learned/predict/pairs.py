"""Networks that answer with a known map, and pairs of images."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import learned
import learned.predict  # noqa: F401  it must not hide the function of its name
import varreg
from learned.cascade import Cascade
from learned.config import ModelConfig
from learned.inference import Registrar
from varreg.geometry.grid import Grid

SMALL = ModelConfig(shape=(32, 32), at_width=2, dt_width=2, scales=(2, 1))
both_dimensions = pytest.mark.parametrize("d", [2, 3])


def rotation(d, degrees=20.0):
    """In the plane of the last two axes, then of the first two."""
    result = np.eye(d)
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    for k in range(d - 2, -1, -1):
        turn = np.eye(d)
        turn[k : k + 2, k : k + 2] = [[c, -s], [s, c]]
        result = result @ turn
    return result


def oblique(shape, spacing, degrees=20.0, corner=7.0):
    d = len(shape)
    affine = np.eye(d + 1)
    affine[:d, :d] = rotation(d, degrees) * np.array(spacing)
    affine[:d, d] = corner * np.arange(1, d + 1)
    return Grid(shape, affine)


def fixed_grid(d):
    return oblique((26, 41, 17)[:d], (1.4, 0.7, 1.9)[:d])


def moving_grid(d):
    """Another orientation and size, about the same centre."""
    shape, spacing = (33, 25, 21)[:d], (0.9, 1.5, 1.6)[:d]
    grid = oblique(shape, spacing, -31.0)
    affine = grid.affine.copy()
    affine[:d, d] += fixed_grid(d).centre - grid.centre + 1.0
    return Grid(shape, affine)


def image_on(grid, value):
    """An image of a function of world points (d, ...)."""
    data = value(grid.voxel_to_world(grid.coordinates())).astype(np.float32)
    return varreg.Image.from_array(data, affine=grid.affine)


def waves(points):
    """Smooth: half a millimetre changes it by little."""
    return 1 + np.sin(points[0] / 5) * np.cos(points[-1] / 7)


def pair_on(d):
    return image_on(moving_grid(d), waves), image_on(fixed_grid(d), waves)


class Known(torch.nn.Module):
    """A network whose answer is given: A, and u as a function of the grid's voxels (d, *S)."""

    def __init__(self, affine, displacement=np.zeros_like):
        super().__init__()
        self.affine, self.displacement = np.asarray(affine), displacement
        self.seen = None

    def forward(self, moving, fixed):
        self.seen = moving, fixed
        u = self.displacement(np.indices(moving.shape[2:], dtype=float))
        affine, u = (torch.from_numpy(np.float32(a)) for a in (self.affine, u))
        answer = [a.expand(len(moving), *a.shape) for a in (affine, u)]
        return SimpleNamespace(affine=answer[0], displacement=answer[1])


def some_affine(d):
    affine = np.eye(d, d + 1)
    affine[:, :d] += 0.05 * np.arange(1, d * d + 1).reshape(d, d) / d
    affine[:, d] = 0.04 * np.arange(1, d + 1)
    return affine


SHAPES = {2: (40, 32), 3: (20, 16, 24)}


def expected_grid(d):
    """The network's grid, by its definition: all of the fixed field of view, cubic voxels."""
    fixed, size = fixed_grid(d), np.array(SHAPES[d])
    edge = (np.array(fixed.shape) * fixed.spacing / size).max()
    affine = np.eye(d + 1)
    affine[:d, :d] = fixed.direction * edge
    affine[:d, d] = fixed.centre - affine[:d, :d] @ ((size - 1) / 2)
    return Grid(SHAPES[d], affine)


def shaken(size=0.05, **options):
    """A cascade whose heads do something, as after some training."""
    settings = dict(shape=(32, 32), at_width=2, dt_width=2, scales=(2, 1)) | options
    cascade = Cascade.build(**settings)
    for name, parameter in cascade.named_parameters():
        if "head" in name or "flow" in name:
            generator = torch.Generator().manual_seed(len(name))
            parameter.data += size * torch.randn(parameter.shape, generator=generator)
    return cascade


def blobs(shape, seed=0):
    rng = np.random.default_rng(seed)
    x = np.indices(shape, dtype=float)
    middles = rng.uniform(0.25, 0.75, (5, len(shape))) * shape
    bumps = [np.exp(-((x.T - m) ** 2).sum(-1).T / (0.03 * np.prod(shape))) for m in middles]
    return sum(w * b for w, b in zip(rng.uniform(0.3, 1, 5), bumps, strict=True)).astype(np.float32)


def predict(network, moving, fixed, shape=(32, 32), **options):
    return Registrar(network, shape, "known").predict(moving, fixed, threads=1, **options)


def card(settings=SMALL, **changes):
    architecture = dataclasses.asdict(settings) | changes
    return {"architecture": architecture, "training": {}, "licences": ["CC0-1.0"]}
