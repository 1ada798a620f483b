"""The map moving -> fixed, by a fixed-point iteration whose residual is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..backends.namespace import HOST, beside, on_host
from ..errors import GeometryError, InputError
from ..geometry import resampling
from ..geometry.displacement import Float
from ..geometry.grid import Grid
from ..geometry.label_resampling import LABEL_RULES, resampled_labels
from ..geometry.matrices import transform_points
from ..geometry.resampling import voxel_matrix
from ..images.device_arrays import as_came
from ..images.inputs import image_on, labels_on, point_rows, warn_of_points
from ..images.warping import fill_value, warped
from ..options.backend_choice import chosen_backend
from .fixed_point import fixed_point

if TYPE_CHECKING:
    from .transform import Transform

METHODS = ("fixed-point", "paper")
#: Of the residual of an inverse, in units of the smallest spacing of the fixed image.
TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False, repr=False)
class Inverse:
    r"""The map :math:`y \mapsto w + v(w)` with :math:`w = A^{-1} y`, from the moving to the fixed image.

    v solves :math:`v(w) = -u(w + v(w))` (Chen et al. 2008, doi:10.1118/1.2816107), with shorter
    steps where the plain iteration does not contract.  It is solved at the pre-image of every
    moving voxel, so nothing is interpolated when an image is warped back.

    The method "paper" is :math:`v(w) = -u(w + u(w))` of the parent paper instead.  It is not an
    inverse: to second order its error is twice that of simply taking -u.

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
    def displacement(self) -> NDArray[np.float32]:
        """Total displacement at every moving voxel, (d, *T) float32, in moving voxels.

        The counterpart of ``Transform.displacement``: on a shared grid the moving index j
        corresponds to the fixed index j + displacement(j).
        """
        moving = self.transform.moving
        matrix, linear = self._matrices(moving)
        result = np.empty(self.v.shape, dtype=np.float32)
        for slab in resampling.slabs(moving.shape):
            vectors = resampling.Vectors(linear, self.v[:, slab])
            change = matrix - np.eye(len(matrix))
            result[:, slab] = resampling.affine_coordinates(change, moving.shape, slab, vectors)
        return result

    def warp(
        self,
        image: Any,
        interpolation: str = "linear",
        fill: float | None = None,
        modulate: bool = False,
    ) -> NDArray[Any]:
        """Bring an image of the fixed side onto the moving grid, (*T); as Transform.warp."""
        resampling.check_choice(
            interpolation, resampling.INTERPOLATIONS, "Inverse.warp", "interpolation"
        )
        fixed, frame = self.transform.fixed, self.transform.frame
        fill = fill_value(fill, "Inverse.warp")
        exact = interpolation == "nearest" and not modulate
        data, valid, grid = image_on(fixed, frame, image, "Inverse.warp", exact)
        coordinates, shape = self._coordinates(grid, data), self.transform.moving.shape
        found = warped(data, valid, shape, coordinates, interpolation, fill)
        if modulate:
            found = found / beside(np.abs(self._forward_jacobian()), found)
        return as_came(found, image)

    def _forward_jacobian(self) -> NDArray[Any]:
        """Determinant of the gradient of the map fixed -> moving where it leads to the moving voxels, (*T)."""
        forward = self.transform.jacobian()
        outside = float(np.linalg.det(self.transform.affine[:-1, :-1]))
        place = self.transform.moving.shape, self._coordinates(self.transform.fixed, forward)
        return warped(forward, None, *place, "linear", outside)

    def warp_labels(self, labels: Any, rule: str = "linear") -> NDArray[Any]:
        """Bring a label map of the fixed side onto the moving grid; as Transform.warp_labels."""
        resampling.check_choice(rule, LABEL_RULES, "Inverse.warp_labels", "rule")
        fixed, shape = self.transform.fixed, self.transform.moving.shape
        data, grid = labels_on(fixed, self.transform.frame, labels, "Inverse.warp_labels")
        return as_came(resampled_labels(data, shape, self._coordinates(grid, data), rule), labels)

    def points(self, points: Any, space: str = "world") -> NDArray[np.float64]:
        """Map points of the moving image to the fixed image, solved at each point.

        Parameters
        ----------
        points : (n, d) or (d,) array
            One point a row.
        space : {"world", "voxel"}
            World: RAS+ mm to RAS+ mm.  Voxel: index of the moving array to index of the fixed.

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
        v, residual, _ = fixed_point(
            self.transform, w, self.tolerance, _POINT_ITERATIONS, self.method
        )
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
        """Slab of the moving grid -> voxel coordinates of a grid on the fixed side, where the array `like` is."""
        matrix, linear = self._matrices(grid)
        shape = self.transform.moving.shape
        return lambda slab: resampling.affine_coordinates(
            matrix, shape, slab, resampling.Vectors(linear, beside(self.v[:, slab], like)), like
        )


_POINT_ITERATIONS = 1000  # points are few, and at a point only the exact answer is of use
_DEVICE_SLAB_VOXELS = 2**20  # some 250 bytes each


def invert(
    transform: Transform,
    tolerance: float | None = None,
    iterations: int = 100,
    method: str = "fixed-point",
    backend: str = "auto",
    device: int = 0,
) -> Inverse:
    """Invert a transform at every voxel of its moving grid.

    Parameters
    ----------
    transform : Transform
        The map fixed -> moving.
    tolerance : float, optional
        In mm, above 0; by default 1e-4 of the smallest spacing of the fixed image.
    iterations : int
        Most iterations.
    method : {"fixed-point", "paper"}
        See :class:`Inverse`.
    backend : {"auto", "numba", "cupy", "numpy"}
        Where the iterations are computed, as for :func:`varreg.solve`: "cupy" is a GPU, "auto" takes it if its self-test
        has passed on this machine.  The two others are the same here.
    device : int
        Which GPU, from 0.

    Returns
    -------
    Inverse
        Also when the tolerance is not reached: look at `converged` and `residual`.

    Examples
    --------
    >>> import numpy as np
    >>> from varreg.geometry.grid import Grid
    >>> from varreg.transforms.transform import Transform
    >>> grid = Grid.with_spacing((8, 8))
    >>> bend = np.zeros((2, 2, 2))
    >>> bend[0, 0] = 1.0
    >>> inverse = Transform(grid, grid, np.eye(3), bend).inverse()
    >>> inverse.converged
    True
    """
    resampling.check_choice(method, METHODS, "Transform.inverse", "method")
    tolerance = default_tolerance(transform) if tolerance is None else tolerance
    _check_limits(tolerance, iterations)
    here = chosen_backend(backend, device, "Transform.inverse").resident(HOST)
    there, shape = transform.beside(here), transform.moving.shape
    v = np.zeros((len(shape), *shape), dtype=np.float32)
    largest, total, used = 0.0, 0.0, 0
    back = np.linalg.inv(transform.affine)
    matrix = voxel_matrix(transform.moving.affine, back, transform.fixed.affine)
    voxels = resampling.SLAB_VOXELS if isinstance(here, np.ndarray) else _DEVICE_SLAB_VOXELS
    for slab in resampling.slabs(shape, voxels) if transform.nodes is not None else ():
        w = resampling.affine_coordinates(matrix, shape, slab, like=here).astype(np.float64)
        flat = w.reshape(len(shape), -1)
        found, residual, count = fixed_point(there, flat, tolerance, iterations, method)
        v[:, slab] = on_host(found).reshape(w.shape)
        largest, total = max(largest, float(residual.max())), total + float(residual.sum())
        used = max(used, count)
    return Inverse(transform, v, largest, total / v[0].size, tolerance, used, method)


def default_tolerance(transform: Transform) -> float:
    """Of the residual of an inverse in mm: a part of a voxel, since images may be of microns."""
    return TOLERANCE * float(transform.fixed.spacing.min())


def residuals(
    transform: Transform, voxels: Float, tolerance: float, iterations: int = 100
) -> Float:
    """abs(v + u(w + v)) in mm at (d, n) voxels of the moving image, (n,): as :func:`invert` leaves it."""
    if transform.nodes is None:
        return np.zeros(voxels.shape[1])
    back = np.linalg.inv(transform.affine)
    w = transform.fixed.world_to_voxel(
        transform_points(back, transform.moving.voxel_to_world(voxels))
    )
    return fixed_point(transform, w, tolerance, iterations, "fixed-point")[1]


def _check_limits(tolerance: Any, iterations: Any) -> None:
    """Refuse a tolerance or a number of iterations that is not positive."""
    if not (isinstance(tolerance, (int, float, np.number)) and 0 < tolerance < np.inf):
        raise InputError(
            f"Transform.inverse: `tolerance` must be a length in mm above 0; got {tolerance!r}."
        )
    if not (isinstance(iterations, (int, np.integer)) and iterations >= 1):
        raise InputError(
            f"Transform.inverse: `iterations` must be a whole number from 1; got {iterations!r}."
        )
