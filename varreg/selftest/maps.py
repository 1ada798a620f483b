"""Test case of a transform: its inverse, and warped images on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends.arrays import Array
from ..backends.namespace import on_host
from ..geometry.grid import Grid
from ..transforms.transform import Transform
from .images import smooth_image

SHAPES = {2: ((70, 64), (66, 72)), 3: ((26, 30, 28), (28, 25, 31))}
#: Node spacing in voxels; largest displacement in voxels.
VOXELS_PER_NODE, LARGEST = 6, 1.5


@dataclass(frozen=True)
class MapCase:
    """A transform with an affine part and a displacement.

    Attributes
    ----------
    dimension : {2, 3}
    constraint : {"zero-mean", "zero-boundary"}
    """

    dimension: int
    constraint: str

    def __str__(self) -> str:
        """
        >>> print(MapCase(2, "zero-mean"))
        inverse and warped images, 2D, zero-mean
        """
        return f"inverse and warped images, {self.dimension}D, {self.constraint}"

    def evaluate(self, kernels: Any, device: int = 0) -> tuple[Array, ...]:
        """The inverse in voxels, and an image in [0, 1] warped by linear and cubic interpolation, computed by a backend."""
        shapes, rng = SHAPES[self.dimension], np.random.default_rng(3)
        affine = np.eye(self.dimension + 1)
        affine[:-1] += rng.uniform(-0.03, 0.03, affine[:-1].shape)
        nodes = rng.uniform(
            -LARGEST, LARGEST, (self.dimension, *(n // VOXELS_PER_NODE for n in shapes[0]))
        )
        fixed, moving = (Grid.with_spacing(shape) for shape in shapes)
        transform = Transform(fixed, moving, affine, nodes, self.constraint)
        image = kernels.resident(smooth_image(shapes[1], seed=5))
        warped = (on_host(transform.warp(image, kind, fill=0)) for kind in ("linear", "cubic"))
        return transform.inverse(backend=kernels.NAME, device=device).v, *warped


def map_cases() -> list[MapCase]:
    """All combinations of dimension and constraint."""
    return [MapCase(d, c) for d in (2, 3) for c in ("zero-mean", "zero-boundary")]
