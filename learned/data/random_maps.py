"""Random maps: a smooth displacement without folds, followed by an affine map."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from varreg.errors import InputError

from ..affine import compose_affine
from .random_fields import smooth_noise, uniform


@dataclass(frozen=True)
class WarpRanges:
    """Ranges of random maps; every quantity is uniform over its range unless stated otherwise.

    Attributes
    ----------
    rotation : float
        Largest angle, degrees, about a random axis in 3D.
    scale : (float, float)
        Smallest and largest scale factor, independent for each axis.
    shear : float
        Largest tangent of the shear angle.
    shift : float
        Largest translation along each axis, as a fraction of the extent along it.
    amplitude : float
        Largest length of the smooth displacement, as a fraction of the longest extent.
    spacing : (float, float)
        Spacing of its B-spline coefficients, as fractions of the longest extent; log-uniform.
    smallest_determinant : float
        Lower bound in (0, 1) of det(id + grad v); the displacement is scaled down to satisfy it.
    mild : float
        Fraction of the maps whose ranges are all reduced by one random factor.
    """

    rotation: float = 20.0
    scale: tuple[float, float] = (0.85, 1.15)
    shear: float = 0.1
    shift: float = 0.12
    amplitude: float = 0.04
    spacing: tuple[float, float] = (0.08, 0.4)
    smallest_determinant: float = 0.2
    mild: float = 0.25

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", tuple(self.scale))
        object.__setattr__(self, "spacing", tuple(self.spacing))
        self._check("rotation", 0 <= self.rotation <= 180, "from 0 to 180 degrees")
        self._check("shear", 0 <= self.shear <= 1, "from 0 to 1")
        self._check("shift", 0 <= self.shift <= 1, "a share from 0 to 1")
        self._check("amplitude", 0 <= self.amplitude <= 1, "a share from 0 to 1")
        self._check("mild", 0 <= self.mild <= 1, "a share from 0 to 1")
        self._check("smallest_determinant", 0 < self.smallest_determinant < 1, "in (0, 1)")
        low, high = self.scale
        self._check("scale", 0.1 <= low <= high <= 10, "two factors from 0.1 to 10, increasing")
        low, high = self.spacing
        self._check("spacing", 0 < low <= high <= 10, "two shares above 0, increasing")

    def _check(self, name: str, good: bool, wanted: str) -> None:
        if not good:
            raise InputError(
                f"`WarpRanges({name}=...)` must be {wanted}; got {getattr(self, name)!r}."
            )

    @property
    def moves(self) -> bool:
        """Whether maps other than the identity are possible.

        >>> WarpRanges(0, (1, 1), 0, 0, 0).moves
        False
        """
        affine = (self.rotation, self.shear, self.shift, self.scale[0] != 1, self.scale[1] != 1)
        return any((*affine, self.amplitude))

    def shrunk(self, factor: float) -> WarpRanges:
        """Ranges with every deviation from the identity multiplied by a factor.

        >>> WarpRanges(scale=(0.8, 1.2)).shrunk(0.5).scale
        (0.9, 1.1)
        """
        low, high = (1 + (value - 1) * factor for value in self.scale)
        return dataclasses.replace(
            self,
            rotation=self.rotation * factor,
            scale=(low, high),
            shear=self.shear * factor,
            shift=self.shift * factor,
            amplitude=self.amplitude * factor,
        )


#: Ranges of the pose common to both images of a pair, in addition to flips.
POSE = WarpRanges(rotation=12.0, scale=(0.9, 1.1), shear=0.05, shift=0.03, amplitude=0.03)


class RandomMap(NamedTuple):
    """Map x -> A(x + v(x)): a smooth displacement followed by an affine map.

    Attributes
    ----------
    affine : (1, d, d + 1) tensor
        A, on centred coordinates (see :mod:`learned.affine`).
    displacement : (1, d, *S) tensor
        Displacement u of the whole map, voxels.
    """

    affine: Tensor
    displacement: Tensor


def random_affine(shape: Sequence[int], ranges: WarpRanges, generator: torch.Generator) -> Tensor:
    """Random affine map about the centre of the field of view.

    Parameters
    ----------
    shape : sequence of int
        (*S), voxels.
    ranges : WarpRanges
    generator : torch.Generator

    Returns
    -------
    (1, d, d + 1) float32 tensor
        On centred coordinates: rotation times scale times shear, with positive determinant.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> bool((random_affine((8, 8), WarpRanges().shrunk(0), generator)[..., :2] == torch.eye(2)).all())
    True
    """
    d = _dimension(shape, "random_affine")

    def symmetric(*size: int) -> Tensor:
        return 2 * torch.rand(*size, generator=generator, dtype=torch.float64) - 1

    angle = math.radians(ranges.rotation) * symmetric(1)
    skew = torch.zeros(d, d, dtype=torch.float64)
    if d == 2:
        skew[1, 0] = angle
    else:
        axis = torch.randn(3, generator=generator, dtype=torch.float64)
        x, y, z = angle * axis / axis.norm()
        skew[2, 1], skew[0, 2], skew[1, 0] = x, y, z
    rotation = torch.linalg.matrix_exp(skew - skew.T)
    low, high = ranges.scale
    scale = torch.diag((low + high) / 2 + (high - low) / 2 * symmetric(d))
    shear = torch.eye(d, dtype=torch.float64) + (ranges.shear * symmetric(d, d)).triu(1)
    sizes = torch.tensor(list(shape), dtype=torch.float64)
    shift = 2 * ranges.shift * symmetric(d) * sizes / sizes.max()
    return torch.cat([rotation @ scale @ shear, shift[:, None]], 1)[None].float()


def random_displacement(
    shape: Sequence[int], ranges: WarpRanges, generator: torch.Generator
) -> Tensor:
    r"""Random smooth displacement without folds.

    A cubic B-spline (:func:`learned.data.random_fields.smooth_noise`), scaled to a random largest
    length and, if necessary, further down to :math:`\|\nabla v\| \le 1 - \delta^{1/d}` in every
    cell, which implies :math:`\det(\mathrm{id} + \nabla v) \ge (1 - \|\nabla v\|)^d \ge \delta`.

    Parameters
    ----------
    shape : sequence of int
        (*S), voxels.
    ranges : WarpRanges
    generator : torch.Generator

    Returns
    -------
    (1, d, *S) float32 tensor
        Voxels.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> float(random_displacement((32, 32), WarpRanges(), generator).norm(dim=1).max()) < 1.28
    True
    """
    d = _dimension(shape, "random_displacement")
    longest = max(shape)
    low, high = (math.log(share) for share in ranges.spacing)
    spacing = longest * math.exp(uniform(low, high, generator))
    length = longest * ranges.amplitude * uniform(0, 1, generator)
    field = smooth_noise(shape, max(spacing, 2.0), d, generator)[None]
    field *= length / field.square().sum(1).max().sqrt().clamp(min=1e-12)
    steepest = 0.999 * (1 - ranges.smallest_determinant ** (1 / d))  # margin for rounding
    return field * min(1.0, steepest / max(_steepness(field), 1e-12))


def random_map(shape: Sequence[int], ranges: WarpRanges, generator: torch.Generator) -> RandomMap:
    """Random map: a smooth displacement followed by an affine map.

    Parameters
    ----------
    shape : sequence of int
        (*S), voxels, at least 4 along each axis.
    ranges : WarpRanges
    generator : torch.Generator

    Returns
    -------
    RandomMap

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> random_map((8, 9), WarpRanges(), generator).displacement.shape
    torch.Size([1, 2, 8, 9])
    """
    if uniform(0, 1, generator) < ranges.mild:
        ranges = ranges.shrunk(uniform(0, 1, generator))
    affine = random_affine(shape, ranges, generator)
    return RandomMap(affine, compose_affine(affine, random_displacement(shape, ranges, generator)))


def _steepness(field: Tensor) -> float:
    """Upper bound of the Frobenius norm of grad v in all cells of a field (1, d, *S).

    Inside a cell, the derivative along an axis is a weighted mean of the differences along the cell's edges.
    """
    d = field.shape[1]
    total = torch.zeros(())
    for axis in range(2, d + 2):
        edges = field.diff(dim=axis).square().sum(1, keepdim=True)
        for other in range(2, d + 2):
            if other != axis:
                n = edges.shape[other] - 1
                edges = torch.maximum(edges.narrow(other, 0, n), edges.narrow(other, 1, n))
        total = total + edges
    return float(total.max().sqrt())


def _dimension(shape: Sequence[int], function: str) -> int:
    if len(shape) not in (2, 3) or min(shape) < 4:
        raise InputError(
            f"{function}: `shape` must be two or three numbers of voxels, each at least 4; got "
            f"{tuple(shape)}."
        )
    return len(shape)
