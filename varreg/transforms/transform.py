"""The map found by a registration: application to images, labels and points, and inversion.

Every map goes fixed -> moving: the fixed point x corresponds to the moving point A(x + u(x)).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..backends.namespace import HOST
from ..errors import GeometryError
from ..geometry import resampling
from ..geometry.displacement import CONSTRAINTS, Float
from ..geometry.field import checked_nodes
from ..geometry.grid import Grid
from ..geometry.matrices import checked_affine, transform_points
from ..images.inputs import point_rows, warn_of_points
from .deformation import Deformation
from .warping import Warping

if TYPE_CHECKING:
    from .inverse import Inverse


@dataclass(frozen=True, eq=False, repr=False)
class Transform:
    r"""The map :math:`x \mapsto A(x + u(x))` from the fixed to the moving image.

    In steps: the fixed voxel i is displaced to the fixed voxel i + u(i) / spacing, converted to world
    by the fixed grid, mapped by A, and converted to voxels of the moving image by the moving grid.

    Parameters
    ----------
    fixed, moving : Grid
        Grids of the two images.
    affine : (d+1, d+1) array
        A, fixed world -> moving world (mm, RAS+).
    nodes : (d, \*m) array or None
        u in mm along the axes of the fixed array, at the nodes of the displacement grid
        (:mod:`varreg.geometry.displacement`); None if there is no deformable part.
    constraint : {"zero-mean", "zero-boundary"}
        Constraint on u; it determines u between the outermost nodes and the border.
    frame : (4, 4) array or None
        For two slices of volumes: the in-plane world of both grids
        (:class:`varreg.Image`).  Slices warped later are converted to it.

    Raises
    ------
    GeometryError
        If grids, affine and nodes do not fit each other, are not finite, or A is singular.

    Examples
    --------
    >>> import numpy as np
    >>> from varreg.geometry.grid import Grid
    >>> from varreg.transforms.transform import Transform
    >>> grid = Grid.with_spacing((8, 8))
    >>> shift = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> transform = Transform(grid, grid, shift)
    >>> transform.points([3.0, 3.0]).tolist()
    [5.0, 3.0]
    >>> float(transform.displacement[0].max())
    2.0
    """

    fixed: Grid
    moving: Grid
    affine: Float
    nodes: Float | None = None
    constraint: str = "zero-mean"
    frame: Float | None = None

    def __post_init__(self) -> None:
        if self.fixed.dim != self.moving.dim:
            raise GeometryError(
                f"varreg.Transform: `fixed` is {self.fixed.dim}D and `moving` is "
                f"{self.moving.dim}D; both must be 2D or both 3D."
            )
        resampling.check_choice(self.constraint, CONSTRAINTS, "varreg.Transform", "constraint")
        object.__setattr__(self, "affine", checked_affine(self.affine, self.fixed.dim))
        if self.frame is not None:
            object.__setattr__(self, "frame", checked_affine(self.frame, 3))
        if self.nodes is not None:
            object.__setattr__(self, "nodes", checked_nodes(self.nodes, self.fixed.dim))

    @property
    def deformation(self) -> Deformation:
        """u between its nodes."""
        return Deformation(self.fixed, self.nodes, self.constraint)

    @property
    def _warping(self) -> Warping:
        return Warping("Transform", self.moving, self.frame, self.fixed.shape, self.coordinates)

    @cached_property
    def u(self) -> NDArray[np.float32]:
        """u at every fixed voxel, (d, *S) float32, mm along the axes of the fixed array."""
        return resampling.on_every_slab(self.deformation.on, self.fixed.shape)

    @cached_property
    def displacement(self) -> NDArray[np.float32]:
        """Total displacement at every fixed voxel, affine part included, in fixed voxels.

        (d, *S) float32: the moving world point corresponding to the voxel, expressed in voxels of
        the fixed array, minus the voxel.  When both images share one grid, the fixed index i
        corresponds to the moving index i + displacement(i).
        """
        matrix = resampling.voxel_matrix(self.fixed.affine, self.affine, self.fixed.affine)
        moved = self.deformation.coordinates(matrix - np.eye(len(matrix)), matrix)
        return resampling.on_every_slab(moved, self.fixed.shape)

    def moving_coordinates(self, slab: slice | None = None) -> NDArray[np.float32]:
        """Voxel coordinates in the moving image, (d, *S) float32, of a slab of the fixed grid (None: of all of it)."""
        start, stop, _ = (slab or slice(None)).indices(self.fixed.shape[0])
        return self.coordinates(self.moving)(slice(start, max(start, stop)))

    def warp(
        self,
        image: Any,
        interpolation: str = "linear",
        fill: float | None = None,
        threads: int | None = None,
        modulate: bool = False,
    ) -> NDArray[Any]:
        """Warp an image of the moving side onto the fixed grid.

        Parameters
        ----------
        image : array, nibabel image, varreg Image or path
            An array must have the shape of the moving image.  Images with their own geometry are read with
            it, so that other scans of the moving side may have other grids.
            Arrays on a GPU, of any library with DLPack, are warped there.
        interpolation : {"linear", "nearest", "cubic"}
            Interpolation method.
        fill : float, optional
            Value of fixed voxels that map outside the image, which covers [-1/2, n - 1/2].  By default its background:
            the dominant intensity of its border, or its smallest intensity if the border is not uniform.
        threads : int, optional
            Threads to use; the result does not depend on it. All available by default.
        modulate : bool
            Multiply intensities by the absolute :meth:`jacobian`, so that their integral is preserved: for distorted EPI,
            where signal piles up, and for densities.

        Returns
        -------
        (*S) float32 array on the fixed grid, NaN where the image holds no data (NaN, transparent).  With
        nearest-neighbour interpolation, integer types are kept.  For an array on a GPU, an array of the same library there.

        Raises
        ------
        InputError
            If the image is invalid, or an array of another shape.
        BackendError
            If it is on a GPU, but CuPy is not installed.
        """
        modulation = (np.multiply, self.jacobian) if modulate else None
        return self._warping.image(image, interpolation, fill, threads, modulation)

    def warp_labels(self, labels: Any, rule: str = "linear") -> NDArray[Any]:
        """Warp a label map of the moving side onto the fixed grid.

        Parameters
        ----------
        labels : integer or bool array, nibabel image, varreg Image or path
            Integers; 0 outside the moving image.  Geometry and arrays on a GPU as in :meth:`warp`.
        rule : {"linear", "nearest"}
            Linear: the label whose indicator image, linearly interpolated, is largest (ties
            to the lower label); nearest: the label of the nearest voxel.  State the rule with any Dice overlap.

        Returns
        -------
        (*S) array
            On the fixed grid, of the original integer type.
        """
        return self._warping.labels(labels, rule)

    def points(self, points: Any, space: str = "world") -> NDArray[np.float64]:
        """Map points of the fixed image to the moving image.

        Parameters
        ----------
        points : (n, d) or (d,) array
            One point per row.  Outside the fixed field of view u is continued constantly.
        space : {"world", "voxel"}
            World: RAS+ mm to RAS+ mm (of a 2D image: within its plane).  Voxel: index of the fixed
            array to index of the moving array.

        Returns
        -------
        Array of the shape of `points`, float64.
        """
        rows = point_rows(points, self.fixed.dim, "Transform.points")
        resampling.check_choice(space, ("world", "voxel"), "Transform.points", "space")
        voxels = self.fixed.world_to_voxel(rows.T) if space == "world" else rows.T
        warn_of_points(voxels, self.fixed, "fixed", "Transform.points")
        voxels = voxels + self.u_at(voxels) / self.fixed.spacing[:, None]
        world = transform_points(self.affine, self.fixed.voxel_to_world(voxels))
        result = world if space == "world" else self.moving.world_to_voxel(world)
        return result.T.reshape(np.shape(points))

    def inverse(
        self, tolerance: float | None = None, iterations: int = 100, method: str = "fixed-point",
        backend: str = "auto", device: int = 0,
    ) -> Inverse:  # fmt: skip
        """The map moving -> fixed, with a measured residual.

        The iteration ends at a point once abs(v + u(w + v)) is below `tolerance` (mm; by default 1e-4 of the smallest
        spacing of the fixed image), or after `iterations` steps; the method "paper" is for reproducing the parent paper.
        `backend` and `device` as for :func:`varreg.solve`.  See also `varreg.transforms.inversion`.
        """
        from .inversion import invert

        return invert(self, tolerance, iterations, method, backend, device)

    def jacobian(self) -> NDArray[np.float32]:
        """Determinant of the gradient of the total map at every fixed voxel, (*S) float32.

        Volume of moving tissue per volume of fixed tissue (mm per mm, not the logarithm):
        det(A) det(id + grad u), with central differences between voxels, one-sided at the border.
        Intended for inspection.  The certified bound ``Result.smallest_determinant`` is a different
        quantity: it holds at every point, also between voxels, and excludes det(A).
        """
        return np.float32(np.linalg.det(self.affine[:-1, :-1])) * self.deformation.determinant()

    def __repr__(self) -> str:
        return f"<varreg.{self}>"

    def __str__(self) -> str:
        deformable = "affine only" if self.nodes is None else "affine and deformable"
        sizes = [" x ".join(map(str, grid.shape)) for grid in (self.fixed, self.moving)]
        return (
            "Transform: maps points of FIXED to MOVING (world mm, RAS+), "
            f"{deformable}; fixed {sizes[0]}, moving {sizes[1]} voxels."
        )

    def coordinates(self, grid: Grid, like: Any = HOST) -> resampling.Coordinates:
        """Slab of the fixed grid -> voxel coordinates of a grid on the moving side, on the device of the array `like`."""
        matrix = resampling.voxel_matrix(self.fixed.affine, self.affine, grid.affine)
        return self.deformation.coordinates(matrix, matrix, like)

    def u_at(self, voxels: Float) -> Float:
        """u (mm along the axes of the fixed array) at (d, ...) voxel coordinates of the fixed image, on their device."""
        return self.deformation.at(voxels)
