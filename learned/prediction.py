"""What a network predicts, in world space: the same map, spaces and methods as a varreg.Result."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from varreg.geometry import resampling
from varreg.geometry.along_axes import parallel_axes, resize_along_axes
from varreg.geometry.displacement import Float
from varreg.geometry.grid import Grid
from varreg.images.frames import frame_of_map
from varreg.images.image import Image
from varreg.optimise.check import NONE_MADE
from varreg.optimise.history import Energy
from varreg.options.options import Options
from varreg.results.registered import Registered
from varreg.results.result import Result
from varreg.transforms.transform import Transform

#: First line of a prediction of images of which nothing suspicious is known.
UNCHECKED = (
    "Checks: none of the map; varreg.certify(moving, fixed, prediction) says what it is worth."
)


@dataclass(frozen=True, eq=False, repr=False)
class Prediction(Registered):
    """The answer of :func:`learned.predict`.  ``print(prediction)`` explains it in a paragraph.

    The map goes fixed -> moving: the fixed point x corresponds to the moving point A(x + u(x)).

    Attributes
    ----------
    transform : varreg.Transform
        The map; most of what it can do is offered here too.
    warped : varreg.Image
        The moving image on the fixed grid.
    model : str
        Name of the network.
    fixed_name, moving_name : str
        File names of the images; "" for arrays.
    smallest_determinant : float
        Certified lower bound on det(id + grad u) over every point, also between the voxels.
    overlap : float
        Fraction of the fixed voxels that map inside the moving image.
    provenance : dict
        Plain JSON values: versions, ``backend`` (the network), ``threads``, ``seconds`` (part ->
        seconds; what a batch has in common is shared out evenly; ``compilation`` is in no part).
    fixed, moving : varreg.Image
        The images that were registered.
    """

    warped: Image
    model: str
    fixed_name: str
    moving_name: str
    smallest_determinant: float
    overlap: float
    provenance: dict[str, Any]
    fixed: Image
    moving: Image

    @property
    def seconds(self) -> float:
        """Time of all parts together, without :attr:`compilation_seconds`."""
        return self.as_result().seconds

    @property
    def compilation_seconds(self) -> float:
        """Time until kernels were compiled, or loaded from the cache on disk."""
        return self.as_result().compilation_seconds

    def as_result(self) -> Result:
        """The same as a varreg.Result: no level was run, and its energies are not numbers (nan)."""
        unknown = Energy(float("nan"), float("nan"), float("nan"))
        return Result(
            transform=self.transform,
            warped=self.warped,
            fixed_name=self.fixed_name,
            moving_name=self.moving_name,
            energy=unknown,
            start_energy=unknown,
            history=(),
            levels=(),
            options=Options(),
            smallest_determinant=self.smallest_determinant,
            overlap=self.overlap,
            provenance=self.provenance,
            fixed=self.fixed,
            moving=self.moving,
            checks=(*self.moving.checks, *self.fixed.checks),
            notes=(*self.moving.notes, *self.fixed.notes),
        )

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write it to one folder, whole or not at all, which :func:`varreg.load` reads as a Result.

        Parameters
        ----------
        path : str or PathLike
            The folder to be made, as :meth:`varreg.Result.save` makes it.
        overwrite : bool
            Replace a result that is there already.

        Raises
        ------
        FileError
            If it exists or cannot be written; what existed before is untouched.
        """
        self.as_result().save(path, overwrite)

    def __str__(self) -> str:
        # the solver calls an affine map that it did not search for given
        said = str(self.as_result()).replace("Affine (given)", "Affine (predicted)")
        lines = said.replace(NONE_MADE, UNCHECKED).splitlines()
        remark = (
            "Predicted by a network, no energy was minimised: look at it, or go on from here with "
            "varreg.solve(moving, fixed, start=prediction)."
        )
        return "\n".join([*lines[:-2], remark, *lines[-2:]])


def world_transform(
    affine: Float, displacement: Float, network: Grid, fixed: Image, moving: Image, start: Float
) -> Transform:
    r"""The map of a network as a map between two images.

    On the network's grid W, with voxels of one size along all axes, the network maps the voxel x to
    V(x + u(x)), where V is its affine map in voxels.  The moving image was brought there through the
    world map S, so in world space the total map is

    .. math:: X \mapsto S W V (W^{-1} X + u) = A (X + W_{lin} u), \qquad A = S W V W^{-1}.

    u is read at every fixed voxel, linearly between the network's voxels and continued constantly
    beyond them, and turned to the axes of the fixed array.

    Parameters
    ----------
    affine : (d, d + 1) array
        On centred coordinates: see :mod:`learned.affine`.
    displacement : (d, \*n) array
        u, in voxels of the network's grid.
    network : Grid
        W; its world is that of the fixed image.
    fixed, moving : Image
        The two images.
    start : (d + 1, d + 1) array
        S, fixed world -> moving world (mm).

    Returns
    -------
    varreg.Transform
        Without a deformable part where u is 0 everywhere.

    Raises
    ------
    GeometryError
        If the map is not finite or its affine part is singular.

    Examples
    --------
    >>> image = Image.from_array(np.eye(8), spacing=2.0)
    >>> shift = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]])
    >>> float(world_transform(shift, np.zeros((2, 8, 8)), image.grid, image, image, np.eye(3)).affine[0, 2])
    4.0
    """
    d, shape = network.dim, np.array(network.shape)
    # only what the map changes is carried over, so that no motion is exactly no motion
    change = np.zeros((d + 1, d + 1))
    change[:d, :d] = affine[:, :d] - np.eye(d)
    change[:d, d] = affine[:, d] * (shape.max() / 2) - change[:d, :d] @ ((shape - 1) / 2)
    matrix = start @ (np.eye(d + 1) + network.affine @ change @ np.linalg.inv(network.affine))
    nodes = None
    if np.any(displacement):
        turn = np.linalg.solve(fixed.grid.direction, network.affine[:d, :d])
        nodes = np.tensordot(turn, _carried(displacement, network, fixed.grid), 1)
    frame = frame_of_map(fixed, moving)
    return Transform(fixed.grid, moving.grid, matrix, nodes, "zero-mean", frame)


def _carried(field: Float, source: Grid, target: Grid) -> Float:
    """(d, *n) numbers on one grid, read at the voxels of another of the same world: (d, *S)."""
    if source.shape == target.shape and np.array_equal(source.affine, target.affine):
        return field
    matrix = resampling.voxel_matrix(target.affine, np.eye(target.dim + 1), source.affine)
    axes = parallel_axes(matrix)
    if axes is not None:
        return np.stack([resize_along_axes(part, matrix, axes, target.shape) for part in field])

    def coordinates(slab: slice) -> Float:
        points = resampling.affine_coordinates(matrix, target.shape, slab)
        resampling.clamp(points, source.shape)
        return points

    parts = [resampling.warp(part, target.shape, coordinates, "linear", 0.0) for part in field]
    return np.stack(parts)
