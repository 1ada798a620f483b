"""The map moving -> fixed: application to images, labels and points, with its residual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..backends.namespace import HOST, beside
from ..errors import GeometryError
from ..geometry import resampling
from ..geometry.displacement import Float
from ..geometry.grid import Grid
from ..geometry.matrices import transform_points
from ..geometry.resampling import voxel_matrix
from ..images.inputs import point_rows, warn_of_points
from ..images.warping import warped
from .fixed_point import fixed_point
from .warping import Warping

if TYPE_CHECKING:
    from .transform import Transform

#: Tolerance and iterations at given points, which are few and require an accurate inverse.
_POINT_ITERATIONS = 1000


@dataclass(frozen=True, eq=False, repr=False)
class Inverse:
    r"""The map :math:`y \mapsto w + v(w)` with :math:`w = A^{-1} y`, from the moving to the fixed image.

    v solves :math:`v(w) = -u(w + v(w))` (Chen et al. 2008, doi:10.1118/1.2816107), with shorter
    steps where the plain iteration does not contract.  It is solved at the pre-image of every
    moving voxel, so that no interpolation of v is needed when an image is warped back.

    The method "paper" is the parent paper's :math:`v(w) = -u(w + u(w))`.  It is not an
    inverse: to second order its error is twice that of the approximation -u.

    Attributes
    ----------
    transform : Transform
        The inverted map fixed -> moving.
    v : (d, \*T) float32 array
        v at every moving voxel, in mm along the axes of the fixed array.
    residual, mean_residual : float
        Largest and mean abs(v + u(w + v)) over the moving voxels, in mm.
    tolerance : float
        Tolerance of the residual, in mm.
    iterations : int
        Number of iterations at the slowest voxel.
    method : {"fixed-point", "paper"}
    """

    transform: Transform
    v: NDArray[np.float32]
    residual: float
    mean_residual: float
    tolerance: float
    iterations: int
    method: str

    @property
    def converged(self) -> bool:
        """Whether the residual is within the tolerance at every moving voxel."""
        return self.residual <= self.tolerance

    @property
    def _warping(self) -> Warping:
        onto = self.transform.moving.shape
        return Warping(
            "Inverse", self.transform.fixed, self.transform.frame, onto, self._coordinates
        )

    @property
    def displacement(self) -> NDArray[np.float32]:
        """Total displacement at every moving voxel, (d, *T) float32, in moving voxels.

        The counterpart of ``Transform.displacement``: on a shared grid the moving index j
        corresponds to the fixed index j + displacement(j).
        """
        moving = self.transform.moving
        matrix, linear = self._matrices(moving)
        change = matrix - np.eye(len(matrix))
        return resampling.on_every_slab(self._coordinates_by(change, linear), moving.shape)

    def warp(
        self,
        image: Any,
        interpolation: str = "linear",
        fill: float | None = None,
        modulate: bool = False,
    ) -> NDArray[Any]:
        """Warp an image of the fixed side onto the moving grid, (*T); see :meth:`varreg.Transform.warp`."""
        modulation = (np.divide, self._forward_jacobian) if modulate else None
        return self._warping.image(image, interpolation, fill, None, modulation)

    def _forward_jacobian(self) -> NDArray[Any]:
        """Determinant of the gradient of the map fixed -> moving at the pre-images of the moving voxels, (*T)."""
        forward = self.transform.jacobian()
        outside = float(np.linalg.det(self.transform.affine[:-1, :-1]))
        place = self.transform.moving.shape, self._coordinates(self.transform.fixed, forward)
        return warped(forward, None, *place, "linear", outside)

    def warp_labels(self, labels: Any, rule: str = "linear") -> NDArray[Any]:
        """Warp a label map of the fixed side onto the moving grid; see :meth:`varreg.Transform.warp_labels`."""
        return self._warping.labels(labels, rule)

    def points(self, points: Any, space: str = "world") -> NDArray[np.float64]:
        """Map points of the moving image to the fixed image, by inversion at each point.

        Parameters
        ----------
        points : (n, d) or (d,) array
            One point per row.
        space : {"world", "voxel"}
            World: RAS+ mm to RAS+ mm.  Voxel: index of the moving array to index of the fixed array.

        Returns
        -------
        Array of the shape of `points`, float64.

        Raises
        ------
        GeometryError
            If the iteration does not reach the tolerance at a point.
        """
        fixed, moving = self.transform.fixed, self.transform.moving
        rows = point_rows(points, fixed.dim, "Inverse.points")
        resampling.check_choice(space, ("world", "voxel"), "Inverse.points", "space")
        world = rows.T if space == "world" else moving.voxel_to_world(rows.T)
        warn_of_points(moving.world_to_voxel(world), moving, "moving", "Inverse.points")
        w = fixed.world_to_voxel(transform_points(np.linalg.inv(self.transform.affine), world))
        limits = self.tolerance, _POINT_ITERATIONS
        v, residual, _ = fixed_point(self.transform.deformation, w, *limits, self.method)
        if self.method == "fixed-point" and np.any(residual > self.tolerance):
            raise GeometryError(
                f"Inverse.points: {np.sum(residual > self.tolerance)} of {len(rows)} `points` did "
                f"not reach the tolerance of {self.tolerance} mm (largest residual "
                f"{residual.max():.3g} mm); ask inverse() for a larger tolerance."
            )
        result = w + v / fixed.spacing[:, None]
        result = fixed.voxel_to_world(result) if space == "world" else result
        return result.T.reshape(np.shape(points))

    def __repr__(self) -> str:
        return f"<varreg.{self}>"

    def __str__(self) -> str:
        state = "converged" if self.converged else f"NOT within the tolerance {self.tolerance:g} mm"
        return (
            "Inverse: maps points of MOVING to FIXED (world mm, RAS+). Residual of v + u(w + v): "
            f"largest {self.residual:.2g} mm, mean {self.mean_residual:.2g} mm "
            f"({self.method}, {self.iterations} iterations; {state})."
        )

    def _matrices(self, grid: Grid) -> tuple[Float, Float]:
        """Moving voxel -> voxel of a grid on the fixed side, and v (mm) -> voxels of that grid."""
        fixed, moving = self.transform.fixed, self.transform.moving
        back = np.linalg.inv(self.transform.affine)
        linear = np.linalg.solve(grid.affine, fixed.affine)[:-1, :-1] / fixed.spacing
        return voxel_matrix(moving.affine, back, grid.affine), linear

    def _coordinates(self, grid: Grid, like: Any) -> resampling.Coordinates:
        """Slab of the moving grid -> voxel coordinates of a grid on the fixed side, on the device of the array `like`."""
        return self._coordinates_by(*self._matrices(grid), like)

    def _coordinates_by(
        self, matrix: Float, linear: Float, like: Any = HOST
    ) -> resampling.Coordinates:
        """Slab of the moving grid -> matrix @ j + linear @ v(j) at its voxels j."""
        shape = self.transform.moving.shape
        return lambda slab: resampling.affine_coordinates(
            matrix, shape, slab, resampling.Vectors(linear, beside(self.v[:, slab], like)), like
        )
