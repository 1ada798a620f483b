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
UNCHECKED = "Checks: none were run; varreg.certify(moving, fixed, prediction) assesses the map."


@dataclass(frozen=True, eq=False, repr=False)
class Prediction(Registered):
    """Result of :func:`learned.predict`.  ``print(prediction)`` summarises it in a paragraph.

    The map goes fixed -> moving: the fixed point x corresponds to the moving point A(x + u(x)).

    Attributes
    ----------
    transform : varreg.Transform
        The map; most of its methods are available here too.
    warped : varreg.Image
        The moving image on the fixed grid.
    model : str
        Name of the network.
    fixed_name, moving_name : str
        File names of the images; "" for arrays.
    smallest_determinant : float
        Certified lower bound on det(id + grad u) over every point, also between the voxels.
    overlap : float
        Fraction of the fixed voxels that map into the moving image.
    provenance : dict
        JSON values: versions, ``backend`` (the network), ``threads``, ``seconds`` (part -> seconds;
        the time of a batch is divided evenly among its pairs).
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
        """Time of all parts together."""
        return float(sum(self.provenance["seconds"].values()))

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
        """Save to a folder, completely or not at all; :func:`varreg.load` reads it as a Result.

        Parameters
        ----------
        path : str or PathLike
            Folder to create, in the format of :meth:`varreg.Result.save`.
        overwrite : bool
            Replace an existing result.

        Raises
        ------
        FileError
            If it exists or cannot be written; existing files stay untouched.
        """
        self.as_result().save(path, overwrite)

    def __str__(self) -> str:
        # the solver calls an affine map that it did not search for given
        said = str(self.as_result()).replace("Affine (given)", "Affine (predicted)")
        lines = said.replace(NONE_MADE, UNCHECKED).splitlines()
        remark = (
            "Predicted by a network; no energy was minimised. Inspect the images, or refine the map by "
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
    >>> world_transform(shift, np.zeros((2, 8, 8)), image.grid, image, image, np.eye(3)).affine[0, 2]
    np.float64(4.0)
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
