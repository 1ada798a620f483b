"""Images with known ground truth: a brain in two contrasts, and a pair related by a known map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .anatomy import Float, brain_labels
from .random_map import random_invertible_map, sample, smooth_field, voxel_grid

# Typical intensities, in the order of LABELS: background, fluid, cortex, white matter, deep grey,
# ventricle, lesion.
T1 = (0.0, 0.14, 0.52, 0.86, 0.64, 0.12, 0.46)
T2 = (0.0, 0.96, 0.58, 0.34, 0.46, 1.00, 0.84)
BLUR = 0.6  # voxels


@dataclass(frozen=True)
class Phantom:
    """An anatomy, with two images of it.

    Attributes
    ----------
    labels : (*S) array, uint8
        Tissue of every voxel, see :data:`varreg.data.phantom.anatomy.LABELS`.
    t1, t2 : (*S) array, float32
        The contrasts, about in [0, 1]; exactly 0 outside the head.
    """

    labels: NDArray[np.uint8]
    t1: Float
    t2: Float


@dataclass(frozen=True)
class DeformedPair:
    """A T1-like fixed image, a T2-like moving image and the map between them.

    Attributes
    ----------
    fixed, moving : (*S) array, float32
        The images, on one grid.
    displacement : (d, *S) array, float32
        The true displacement, in voxels: ``moving`` at x + displacement(x) shows the tissue of ``fixed`` at x.
    mask : (*S) array, bool
        Voxels of the fixed head whose counterpart lies inside the moving image.
    labels_fixed, labels_moving : (*S) array, uint8
        Tissue of every voxel of either image, see :data:`varreg.data.phantom.anatomy.LABELS`.
    """

    fixed: Float
    moving: Float
    displacement: NDArray[np.float32]
    mask: NDArray[np.bool_]
    labels_fixed: NDArray[np.uint8]
    labels_moving: NDArray[np.uint8]


def brain_phantom(
    shape: tuple[int, ...],
    rng: np.random.Generator,
    *,
    blur: float = BLUR,
    bias: float = 0.08,
    noise: float = 0.02,
) -> Phantom:
    """A random brain-like anatomy, imaged in a T1-like and a T2-like contrast.

    Parameters
    ----------
    shape : tuple of int
        (n, m) or (n, m, k), at least 32 per axis; see :func:`varreg.data.phantom.anatomy.brain_labels` for the
        direction of the axes.
    rng : numpy.random.Generator
        Random generator.
    blur : float
        Standard deviation of the point spread function, in voxels.
    bias : float
        Standard deviation of the logarithm of the bias field, one field per contrast.
    noise : float
        Standard deviation of the noise in each channel of the (complex) signal; Rician in effect.

    Returns
    -------
    Phantom

    Raises
    ------
    varreg.errors.InputError
        If the shape is not 2D or 3D, or an axis is too short.

    Examples
    --------
    >>> import numpy as np
    >>> from varreg.data.phantom.pairs import brain_phantom
    >>> phantom = brain_phantom((64, 64), np.random.default_rng(0))
    >>> bool(phantom.t2[phantom.labels == 5].mean() > phantom.t1[phantom.labels == 5].mean())
    True
    """
    check_shape(shape, "brain_phantom")
    labels = brain_labels(shape, rng)
    t1, t2 = (
        acquire(contrast(labels, table, blur), labels > 0, bias, noise, rng) for table in (T1, T2)
    )
    return Phantom(labels, t1, t2)


def deformed_pair(
    shape: tuple[int, ...],
    rng: np.random.Generator,
    *,
    affine: bool = True,
    displacement_rms: float | None = None,
    correlation_length: float | None = None,
    bias: float = 0.08,
    noise: float = 0.02,
) -> DeformedPair:
    """A T1-like image and a T2-like image of the same brain, related by a random invertible map.

    The moving image shows the brain at psi(y), with psi(y) = A(y + v(y)); the true map psi^-1 is
    computed by fixed-point iteration, to rounding.

    Parameters
    ----------
    shape : tuple of int
        (n, m) or (n, m, k), at least 32 per axis.
    rng : numpy.random.Generator
        Random generator.
    affine : bool
        Whether A is a mild affine map (up to 6 degrees, 5 % scale, 3 % shift) or the identity.
    displacement_rms : float, optional
        Root mean square of v over the central part, in voxels; by default 3 voxels in 224.
    correlation_length : float, optional
        Correlation length of v (standard deviation of the Gaussian that smooths it), in voxels; by default
        22 voxels in 224.
    bias, noise : float
        As for :func:`brain_phantom`.

    Returns
    -------
    DeformedPair

    Raises
    ------
    varreg.errors.InputError
        If the shape is invalid, or v is so rough that the map would fold.

    Examples
    --------
    >>> import numpy as np
    >>> from varreg.data.phantom.pairs import deformed_pair
    >>> deformed_pair((64, 64), np.random.default_rng(0)).displacement.shape
    (2, 64, 64)
    """
    check_shape(shape, "deformed_pair")
    extent = float(np.mean(shape))
    rms = 3.0 / 224 * extent if displacement_rms is None else displacement_rms
    length = 22.0 / 224 * extent if correlation_length is None else correlation_length
    labels = brain_labels(shape, rng)
    psi, displacement = random_invertible_map(shape, rng, rms, length, affine)

    fixed = acquire(contrast(labels, T1, BLUR), labels > 0, bias, noise, rng)
    labels_moving = sample(labels, psi, order=0).astype(np.uint8)
    anatomy = sample(contrast(labels, T2, BLUR), psi).astype(np.float32)
    moving = acquire(anatomy, labels_moving > 0, bias, noise, rng)

    target = voxel_grid(shape) + displacement
    last = np.reshape(shape, (-1,) + (1,) * len(shape)) - 1
    inside = np.all((target >= 0) & (target <= last), axis=0)
    return DeformedPair(fixed, moving, displacement, (labels > 0) & inside, labels, labels_moving)


def check_shape(shape: tuple[int, ...], function: str) -> None:
    if len(shape) not in (2, 3) or any(int(n) != n or n < 32 for n in shape):
        raise InputError(
            f"{function}: `shape` must be two or three whole numbers, each at least 32 (a folded "
            f"cortex needs that many voxels); got {shape!r}."
        )


def contrast(labels: NDArray[np.uint8], table: tuple[float, ...], blur: float) -> Float:
    """Noise-free image: one intensity per tissue, convolved with the point spread function."""
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(np.asarray(table, dtype=np.float32)[labels], blur)


def acquire(
    image: Float, head: NDArray[np.bool_], bias: float, noise: float, rng: np.random.Generator
) -> Float:
    """Simulated acquisition: bias field and noise; then skull stripping."""
    shading = smooth_field(image.shape, 1.0, 0.2 * float(np.mean(image.shape)), rng)[0]
    real = image * np.exp(np.float32(bias) * shading)
    real += np.float32(noise) * rng.standard_normal(image.shape, dtype=np.float32)
    imaginary = np.float32(noise) * rng.standard_normal(image.shape, dtype=np.float32)
    return np.where(head, np.hypot(real, imaginary), np.float32(0))
