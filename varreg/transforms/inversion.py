"""Inversion of a transform: the fixed-point iteration at every voxel of the moving image, on the host or a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..backends.namespace import HOST, on_host
from ..errors import InputError
from ..geometry import resampling
from ..geometry.displacement import Float
from ..geometry.matrices import transform_points
from ..geometry.resampling import voxel_matrix
from ..options.backend_choice import chosen_backend
from .fixed_point import fixed_point
from .inverse import Inverse

if TYPE_CHECKING:
    from .transform import Transform

METHODS = ("fixed-point", "paper")
#: Default tolerance of the residual of an inverse, in units of the smallest spacing of the fixed image.
TOLERANCE = 1e-4
_DEVICE_SLAB_VOXELS = 2**20  # about 250 bytes each


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
        Maximum number of iterations.
    method : {"fixed-point", "paper"}
        See :class:`varreg.transforms.inverse.Inverse`.
    backend : {"auto", "numba", "cupy", "numpy"}
        Backend of the iterations, as for :func:`varreg.solve`: "cupy" is a GPU, "auto" uses it if its self-test
        has passed on this machine.  The two others are equivalent here.
    device : int
        Index of the GPU, from 0.

    Returns
    -------
    Inverse
        Also if the tolerance is not reached: see `converged` and `residual`.

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
    there, shape = transform.deformation.beside(here), transform.moving.shape
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
    """Default tolerance of the residual of an inverse in mm: relative to the voxel size, as images may be microscopic."""
    return TOLERANCE * float(transform.fixed.spacing.min())


def residuals(
    transform: Transform, voxels: Float, tolerance: float, iterations: int = 100
) -> Float:
    """abs(v + u(w + v)) in mm at (d, n) voxels of the moving image, (n,), with v as computed by :func:`invert`."""
    if transform.nodes is None:
        return np.zeros(voxels.shape[1])
    back = np.linalg.inv(transform.affine)
    w = transform.fixed.world_to_voxel(
        transform_points(back, transform.moving.voxel_to_world(voxels))
    )
    return fixed_point(transform.deformation, w, tolerance, iterations, "fixed-point")[1]


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
