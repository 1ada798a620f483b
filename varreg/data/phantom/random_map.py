"""Random smooth invertible maps with known inverse, the ground truth of the phantom pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError

Float = NDArray[np.floating]
FIXED_POINT_STEPS = 100
FIXED_POINT_TOLERANCE = 1e-4  # voxels


def random_invertible_map(
    shape: tuple[int, ...],
    rng: np.random.Generator,
    displacement_rms: float,
    correlation_length: float,
    affine: bool,
) -> tuple[Float, NDArray[np.float32]]:
    """A map psi(y) = A(y + v(y)) of the voxel grid, and the displacement of its inverse.

    Parameters
    ----------
    shape : tuple of int
        (*S), the grid.
    rng : numpy.random.Generator
        Random generator of A and v.
    displacement_rms : float
        Root mean square of v over the central part of the grid, in voxels.
    correlation_length : float
        Standard deviation of the Gaussian that smooths v, in voxels.
    affine : bool
        Whether A is a mild affine map about the centre, or the identity.

    Returns
    -------
    psi : (d, *S) array, float64
        Voxel coordinates psi(y).
    displacement : (d, *S) array, float32
        psi^-1(x) - x in voxels.

    Raises
    ------
    varreg.errors.InputError
        If v is so rough that psi might fold.

    Examples
    --------
    >>> import numpy as np
    >>> from varreg.data.phantom.random_map import random_invertible_map
    >>> psi, displacement = random_invertible_map((64, 64), np.random.default_rng(0), 1, 8, False)
    >>> psi.shape, displacement.dtype.name
    ((2, 64, 64), 'float32')
    """
    dim = len(shape)
    field = smooth_field(shape, displacement_rms, correlation_length, rng)
    _refuse_folds(field)
    matrix, shift = _mild_affine(shape, rng) if affine else (np.eye(dim), np.zeros(dim))
    column = (dim,) + (1,) * dim
    shift = shift.reshape(column)
    centre = (np.reshape(shape, column) - 1) / 2
    grid = voxel_grid(shape).astype(np.float64)

    psi = np.tensordot(matrix, grid + field - centre, 1) + centre + shift
    target = np.tensordot(np.linalg.inv(matrix), grid - shift - centre, 1) + centre
    point = target.copy()
    for _ in range(FIXED_POINT_STEPS):  # y = A^-1 x - v(y) contracts, as v is smooth
        last, point = point, target - np.stack([sample(component, point) for component in field])
        if np.abs(point - last).max() < FIXED_POINT_TOLERANCE:
            break
    return psi, (point - grid).astype(np.float32)


def smooth_field(
    shape: tuple[int, ...],
    displacement_rms: float,
    correlation_length: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """A random smooth vector field: white noise smoothed by a Gaussian, then scaled.

    Parameters
    ----------
    shape, displacement_rms, correlation_length, rng
        As for :func:`random_invertible_map`.

    Returns
    -------
    (d, *S) array, float32, in voxels

    Examples
    --------
    >>> import numpy as np
    >>> from varreg.data.phantom.random_map import smooth_field
    >>> smooth_field((32, 48), 1.0, 6.0, np.random.default_rng(0)).shape
    (2, 32, 48)
    """
    from scipy.ndimage import gaussian_filter

    noise = rng.standard_normal((len(shape), *shape), dtype=np.float32)
    field = np.stack([gaussian_filter(c, correlation_length, mode="reflect") for c in noise])
    centre = (slice(None), *(slice(n // 5, n - n // 5) for n in shape))
    rms = np.sqrt((field[centre] ** 2).sum(axis=0).mean())
    return field * np.float32(displacement_rms / rms)


def voxel_grid(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Voxel coordinates of every voxel, 'ij' order.

    Parameters
    ----------
    shape : tuple of int
        (*S).

    Returns
    -------
    (d, *S) array, float32

    Examples
    --------
    >>> from varreg.data.phantom.pairs import voxel_grid
    >>> voxel_grid((2, 3))[1].tolist()
    [[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]
    """
    return np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij"))


def sample(image: NDArray[Any], points: Float, order: int = 1) -> Float:
    """The image at voxel coordinates; border values are continued constantly.

    Parameters
    ----------
    image : (*S) array
        Any numbers; for labels use ``order=0``.
    points : (d, ...) array
        Voxel coordinates.
    order : int
        Degree of the spline: 0 nearest, 1 linear.

    Returns
    -------
    (...) array, float64

    Examples
    --------
    >>> import numpy as np
    >>> from varreg.data.phantom.random_map import sample
    >>> sample(np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([[0.5], [0.5]])).tolist()
    [1.5]
    """
    from scipy.ndimage import map_coordinates

    return map_coordinates(image, points, output=np.float64, order=order, mode="nearest")


def _mild_affine(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Float, Float]:
    """(d, d) linear part and (d,) translation in voxels, applied about the centre."""
    dim = len(shape)
    linear = np.diag(1 + rng.uniform(-0.05, 0.05, dim))
    for i in range(dim):
        for j in range(i + 1, dim):
            angle = np.deg2rad(rng.uniform(-6, 6))
            turn = np.eye(dim)
            turn[i, i] = turn[j, j] = np.cos(angle)
            turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
            linear = turn @ linear
    return linear, rng.uniform(-0.03, 0.03, dim) * np.asarray(shape)


def _refuse_folds(field: NDArray[np.float32]) -> None:
    """Refuse v unless all its slopes are below 1, so that id + v is invertible."""
    slopes = np.stack([slope for component in field for slope in np.gradient(component)])
    largest = float(np.linalg.norm(slopes, axis=0).max())
    if not largest < 0.9:
        raise InputError(
            f"deformed_pair: the random map might fold (its displacement changes by {largest:.2f} "
            "voxels per voxel); lower `displacement_rms` or raise `correlation_length`."
        )
