"""The map that a registration finds: it warps images, labels and points, and can be inverted.

Every map goes fixed -> moving: the fixed point x corresponds to the moving point A(x + u(x)).
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..backends.namespace import HOST, beside
from ..errors import GeometryError
from ..geometry import resampling
from ..geometry.displacement import Float, evaluate
from ..geometry.field import checked_nodes, determinant, expand_slab
from ..geometry.grid import Grid
from ..geometry.label_resampling import LABEL_RULES, resampled_labels
from ..geometry.matrices import checked_affine, transform_points
from ..geometry.resampling import voxel_matrix
from ..images.device_arrays import as_came
from ..images.inputs import image_on, labels_on, point_rows, warn_of_points
from ..images.warping import fill_value, warped

if TYPE_CHECKING:
    from .inverse import Inverse

CONSTRAINTS = ("zero-mean", "zero-boundary")


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

    @cached_property
    def u(self) -> NDArray[np.float32]:
        """u at every fixed voxel, (d, *S) float32, mm along the axes of the fixed array."""
        result = np.empty((self.fixed.dim, *self.fixed.shape), dtype=np.float32)
        for slab in resampling.slabs(self.fixed.shape):
            result[:, slab] = self._u(slab)
        return result

    @cached_property
    def displacement(self) -> NDArray[np.float32]:
        """Total displacement at every fixed voxel, affine part included, in fixed voxels.

        (d, *S) float32: the moving world point that belongs to the voxel, expressed in voxels of
        the fixed array, minus the voxel.  When both images share one grid, the fixed index i
        corresponds to the moving index i + displacement(i).
        """
        matrix = voxel_matrix(self.fixed.affine, self.affine, self.fixed.affine)
        result = np.empty((self.fixed.dim, *self.fixed.shape), dtype=np.float32)

        def fill(slab: slice) -> None:
            result[:, slab] = self._mapped(matrix - np.eye(len(matrix)), matrix, slab)

        resampling.each_slab(fill, self.fixed.shape)
        return result

    def moving_coordinates(self, slab: slice | None = None) -> NDArray[np.float32]:
        """Voxels of the moving image, (d, *S) float32, of a slab of the fixed (None: all of it)."""
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
        """Bring an image of the moving side onto the fixed grid.

        Parameters
        ----------
        image : array, nibabel image, varreg Image or path
            An array must have the shape of the moving image.  Anything that brings its own
            geometry is read by that, so another scan of the moving side may have another grid.
            An array on a GPU, of any library with DLPack, is warped there.
        interpolation : {"linear", "nearest", "cubic"}
            Between voxels.
        fill : float, optional
            Value of fixed voxels that map outside the image, which covers [-1/2, n - 1/2].  By default its
            background: what most of its border shows, or its darkest value if that is nothing even.
        threads : int, optional
            Threads to use; the result does not depend on it. All available by default.
        modulate : bool
            Whether intensities are multiplied by the absolute :meth:`jacobian`, so that their sum (per mm^d) stays what
            it was: of distorted EPI, where signal piles up, and of densities.

        Returns
        -------
        (*S) float32 array on the fixed grid, NaN where the image holds no data (NaN, transparent).  Nearest voxels
        of an image of integers keep their type.  If the image is an array on a GPU, so is this, of the same library.

        Raises
        ------
        InputError
            If the image is unusable or an array of another shape.
        BackendError
            If it is on a GPU, and CuPy is not installed.
        """
        function = "Transform.warp"
        resampling.check_choice(interpolation, resampling.INTERPOLATIONS, function, "interpolation")
        fill = fill_value(fill, function)
        exact = interpolation == "nearest" and not modulate
        data, valid, grid = image_on(self.moving, self.frame, image, function, exact)
        coordinates, shape = self.coordinates(grid, data), self.fixed.shape
        found = warped(data, valid, shape, coordinates, interpolation, fill, threads)
        if modulate:
            found = found * beside(np.abs(self.jacobian()), found)
        return as_came(found, image)

    def warp_labels(self, labels: Any, rule: str = "linear") -> NDArray[Any]:
        """Bring a label map of the moving side onto the fixed grid.

        Parameters
        ----------
        labels : integer or bool array, nibabel image, varreg Image or path
            Whole numbers; 0 is taken where there is no moving image.  Geometry and arrays on a GPU as in :meth:`warp`.
        rule : {"linear", "nearest"}
            Linear takes the label whose indicator image, linearly interpolated, is largest (ties
            to the lower label); nearest takes the nearest voxel.  State the rule beside a Dice.

        Returns
        -------
        (*S) array
            On the fixed grid, of the integer type that came.
        """
        resampling.check_choice(rule, LABEL_RULES, "Transform.warp_labels", "rule")
        data, grid = labels_on(self.moving, self.frame, labels, "Transform.warp_labels")
        coordinates = self.coordinates(grid, data)
        return as_came(resampled_labels(data, self.fixed.shape, coordinates, rule), labels)

    def points(self, points: Any, space: str = "world") -> NDArray[np.float64]:
        """Map points of the fixed image to the moving image.

        Parameters
        ----------
        points : (n, d) or (d,) array
            One point a row.  Beyond the fixed field of view u has its border value.
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

        The iteration ends at a point once abs(v + u(w + v)) is below `tolerance` (mm; by default 1e-4 of the
        smallest spacing of the fixed image), or after so many `iterations`; the method "paper" only reproduces the parent paper.
        `backend` and `device` say where it is computed, as for :func:`varreg.solve`.  See
        :func:`varreg.transforms.inverse.invert`.
        """
        from .inverse import invert

        return invert(self, tolerance, iterations, method, backend, device)

    def jacobian(self) -> NDArray[np.float32]:
        """Determinant of the gradient of the total map at every fixed voxel, (*S) float32.

        Volume of moving tissue per volume of fixed tissue (mm per mm, not the logarithm):
        det(A) det(id + grad u), with central differences between voxels, one-sided at the border.
        This is for looking at.  The certified bound ``Result.smallest_determinant`` is another
        number: it holds at every point between the voxels too, and leaves out det(A).
        """
        scale = np.float32(np.linalg.det(self.affine[:-1, :-1]))
        if self.nodes is None:
            return np.full(self.fixed.shape, scale, dtype=np.float32)
        fixed = self.fixed
        return scale * determinant(self.nodes, fixed.shape, fixed.spacing, self.constraint)

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
        """Slab of the fixed grid -> voxel coordinates of a grid on the moving side, where the array `like` is."""
        matrix = voxel_matrix(self.fixed.affine, self.affine, grid.affine)
        there = self.beside(like)
        return lambda slab: there._mapped(matrix, matrix, slab, like)

    def beside(self, like: Any) -> Transform:
        """The same map with its nodes where the array `like` is, so that they are brought there once."""
        if self.nodes is None or isinstance(like, np.ndarray):
            return self
        there = copy(self)
        object.__setattr__(there, "nodes", beside(self.nodes, like))
        return there

    def _mapped(
        self, index: Float, matrix: Float, slab: slice, like: Any = HOST
    ) -> NDArray[np.float32]:
        """index @ i + matrix @ (u(i) / spacing) for the fixed voxels i of a slab."""
        vectors = None
        if self.nodes is not None:
            linear = matrix[:-1, :-1] / self.fixed.spacing
            vectors = resampling.Vectors(linear, self._u(slab))
        return resampling.affine_coordinates(index, self.fixed.shape, slab, vectors, like)

    def _u(self, slab: slice) -> NDArray[np.float32]:
        """u (mm) at the fixed voxels of a slab, (d, k, ...)."""
        if self.nodes is None:
            shape = (self.fixed.dim, slab.stop - slab.start, *self.fixed.shape[1:])
            return np.zeros(shape, dtype=np.float32)
        return expand_slab(self.nodes, self.fixed.shape, self.constraint, slab)

    def u_at(self, voxels: Float) -> Float:
        """u (mm along the axes of the fixed array) at (d, ...) voxel coordinates of the fixed image, where they are."""
        if self.nodes is None:
            return np.zeros_like(voxels, dtype=np.float64)
        return evaluate(self.nodes, self.fixed.shape, voxels, self.constraint)
