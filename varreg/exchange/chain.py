"""Chains of maps between world points: the common representation of all formats.

World is RAS+ mm here.  The world of a 2D chain is the x-y plane (:mod:`varreg.exchange.plane`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import GeometryError, InputError
from ..geometry.displacement import Float, evaluate
from ..geometry.field import refuse_impossible
from ..geometry.grid import Grid
from ..geometry.matrices import checked_affine, transform_points

_CHUNK = 2**18  # points processed at a time


@dataclass(frozen=True, eq=False)
class AffineMap:
    """x -> matrix x.

    Parameters
    ----------
    matrix : (d+1, d+1) array
        World to world, mm.

    Raises
    ------
    GeometryError
        If it is not finite or singular.
    """

    matrix: Float

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", checked_affine(self.matrix, len(self.matrix) - 1))

    @property
    def dim(self) -> int:
        return len(self.matrix) - 1

    def points(self, world: Float) -> Float:
        """Map (d, n) world points."""
        return transform_points(self.matrix, world)

    def inverse(self) -> AffineMap:
        """The exact inverse."""
        return AffineMap(np.linalg.inv(self.matrix))


@dataclass(frozen=True, eq=False)
class FieldMap:
    r"""x -> x + d(x), with d on a grid.

    Parameters
    ----------
    grid : Grid
        Positions of the vectors, in world space.
    vectors : (d, \*m) array
        World mm: values of d (order 1) or coefficients of its B-spline (orders 2 and 3).
    order : int
        1 is (bi/tri)linear; 2 and 3 are uniform B-splines.
    outside : {"zero", "edge", "spline"}
        Outside the voxels' cells: zero displacement, as in ITK, or the border value, as in varreg; or zero
        displacement wherever a coefficient is missing, as for ITK's B-splines.

    Raises
    ------
    GeometryError
        If the vectors do not fit the grid or are not finite.
    """

    grid: Grid
    vectors: Float
    order: int = 1
    outside: str = "zero"

    def __post_init__(self) -> None:
        expected = (self.grid.dim, *self.grid.shape)
        if np.shape(self.vectors) != expected:
            raise GeometryError(
                f"varreg.read_transform: the displacement field has shape {np.shape(self.vectors)} "
                f"and its grid requires {expected}."
            )
        refuse_impossible(self.vectors, "varreg.read_transform: the displacement field")

    @property
    def dim(self) -> int:
        return self.grid.dim

    def points(self, world: Float) -> Float:
        """Map (d, n) world points."""
        voxels = self.grid.world_to_voxel(world)
        if self.order == 1:
            moved = evaluate(self.vectors, self.grid.shape, voxels, "zero-mean")
        else:
            moved = np.stack([self._spline(component, voxels) for component in self.vectors])
        if self.outside != "edge":
            moved[:, ~self._inside(voxels)] = 0
        return world + moved

    def _spline(self, coefficients: Float, voxels: Float) -> Float:
        return np.asarray(
            ndimage.map_coordinates(coefficients, voxels, order=self.order, prefilter=False)
        )

    def _inside(self, voxels: Float) -> NDArray[np.bool_]:
        """Mask of points where the field is defined: in the voxels' cells, or where a spline has all coefficients."""
        # a small tolerance, so that rounding does not exclude the outermost voxel
        margin = ((self.order - 1) / 2 if self.outside == "spline" else -0.5) - 1e-6
        upper = np.array(self.grid.shape)[:, None] - 1 - margin
        return np.asarray(np.all((voxels >= margin) & (voxels <= upper), axis=0))


Part: TypeAlias = AffineMap | FieldMap


@dataclass(frozen=True, eq=False)
class Chain:
    """Maps applied in sequence; the first part is applied to points first.

    Parameters
    ----------
    parts : tuple of AffineMap and FieldMap
        Adjacent affine maps are multiplied.
    dim : int
        2 or 3.

    Raises
    ------
    GeometryError
        If a part has another dimension.

    Examples
    --------
    >>> shift = AffineMap(np.array([[1.0, 0, 2], [0, 1, 0], [0, 0, 1]]))
    >>> chain = Chain((shift, shift), 2)
    >>> len(chain.parts), chain.points(np.zeros((2, 1))).ravel().tolist()
    (1, [4.0, 0.0])
    """

    parts: tuple[Part, ...]
    dim: int

    def __post_init__(self) -> None:
        for part in self.parts:
            if part.dim != self.dim:
                raise GeometryError(
                    f"varreg.read_transform: the transform is {part.dim}D and the images are "
                    f"{self.dim}D."
                )
        object.__setattr__(self, "parts", tuple(_merged(self.parts)))

    @cached_property
    def affine(self) -> Float:
        """Product of the affine parts, (d+1, d+1); the identity if there are none."""
        product = np.eye(self.dim + 1)
        for part in self.parts:
            if isinstance(part, AffineMap):
                product = part.matrix @ product
        return product

    @property
    def is_affine(self) -> bool:
        """Whether there is no field in the chain."""
        return all(isinstance(part, AffineMap) for part in self.parts)

    def points(self, world: Float) -> Float:
        """Map (d, n) world points."""
        for part in self.parts:
            world = part.points(world)
        return world

    def on_grid(self, grid: Grid) -> Float:
        r"""World points to which the voxels of a grid map, (d, \*S)."""
        index = np.unravel_index
        result = np.empty((grid.dim, grid.size))
        for start in range(0, grid.size, _CHUNK):
            numbers = np.arange(start, min(start + _CHUNK, grid.size))
            voxels = np.array(index(numbers, grid.shape), dtype=np.float64)
            result[:, numbers] = self.points(grid.voxel_to_world(voxels))
        return result.reshape(grid.dim, *grid.shape)


def inverse_of(chain: Chain, source: Any) -> Chain:
    """The exact inverse of an affine chain.

    Parameters
    ----------
    chain : Chain
    source : Any
        Origin of the chain, for the message.

    Raises
    ------
    InputError
        If the chain contains a field.

    Examples
    --------
    >>> inverse_of(Chain((AffineMap(np.diag([2.0, 1, 1])),), 2), "a.mat").affine[0, 0].item()
    0.5
    """
    if not chain.is_affine:
        raise InputError(
            f"varreg.read_transform: {source!r} is a displacement field and cannot be inverted here; give the "
            "inverse field that the tool wrote, or invert the whole: Transform.inverse() "
            "(command line: varreg apply --inverse)."
        )
    return Chain((AffineMap(chain.affine).inverse(),), chain.dim)


def _merged(parts: Iterable[Part]) -> Iterator[Part]:
    """Multiply adjacent affine maps."""
    held: AffineMap | None = None
    for part in parts:
        if isinstance(part, AffineMap):
            held = part if held is None else AffineMap(part.matrix @ held.matrix)
            continue
        if held is not None:
            yield held
            held = None
        yield part
    if held is not None:
        yield held
