r"""Diffusion gradient directions (b-vectors), which rotate with the head.

In FSL's convention they are along the array axes, in units of mm, and the first
component is reversed if the determinant of the image's affine is positive: FSL's images are radiological
(FDT user guide, "What conventions do the bvecs use?").  With D the directions of the axes in world and S the sign
change, a direction g is D S g in the scanner.  If the head of a volume is rotated by R relative to the reference, the
direction with respect to the tissue is :math:`R^T D S g` in the world of the reference (Leemans and Jones 2009, doi
10.1002/mrm.21890).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends.arrays import Array
from ..errors import FileError, InputError
from ..geometry.grid import Grid
from .motion import rotation_of


def read_bvectors(value: Any, count: int, function: str) -> Array:
    """Directions as (3, n), one per volume.

    Parameters
    ----------
    value : path or (3, n) or (n, 3) array
        A text file of 3 rows of n numbers, or n rows of 3; 3 x 3 are rows of components.  Zero without weighting.
    count : int
        n, number of volumes.
    function : str
        For the messages.

    Raises
    ------
    FileError, InputError
        If the number of directions differs from that of volumes, or values are not numbers.

    Examples
    --------
    >>> read_bvectors([[1, 0, 0], [0, 1, 0]], 2, "varreg.align_series").tolist()
    [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    """
    prefix = f"{function}: `bvecs`"
    try:
        if isinstance(value, (str, os.PathLike)):
            prefix += f" is {os.fsdecode(value)!r}, which"
            lines = Path(os.fsdecode(value)).expanduser().read_text(encoding="utf-8").splitlines()
            value = [line.replace(",", " ").split() for line in lines if line.strip()]
        vectors = np.array(value, dtype=np.float64)
    except (OSError, ValueError, TypeError) as error:
        raise FileError(
            f"{prefix} cannot be read ({error}); give 3 rows of {count} numbers, as FSL has them."
        ) from error
    if vectors.ndim != 2 or 3 not in vectors.shape:
        raise InputError(
            f"{prefix} has shape {vectors.shape}; give 3 rows of {count} numbers, as FSL has them."
        )
    vectors = vectors if vectors.shape[0] == 3 else vectors.T
    if vectors.shape[1] != count:
        raise InputError(
            f"{prefix} has {vectors.shape[1]} directions, and the series has {count} volumes; give those of this series, "
            "one for each volume (zeros where there is no weighting)."
        )
    if not np.isfinite(vectors).all():
        raise InputError(f"{prefix} holds NaN or infinity; give zeros where there is no weighting.")
    return vectors


def write_bvectors(path: Path, vectors: Array) -> None:
    """Write directions in FSL's format: 3 rows."""
    rows = (" ".join(f"{value:.10g}" for value in row) for row in vectors + 0.0)
    path.write_text("\n".join(rows) + "\n", encoding="ascii")


def rotated(vectors: Array, affines: NDArray[Any], grid: Grid, target: Grid | None = None) -> Array:
    """Directions along the axes of volumes resampled onto a reference.

    Parameters
    ----------
    vectors : (3, n) array
        FSL's convention, along the axes of the series.
    affines : (n, 4, 4) array
        Reference world -> volume world (mm), whose rotations are used.
    grid : Grid
        Grid of the series.
    target : Grid, optional
        Grid of the reference, if different.

    Returns
    -------
    (3, n) array
        Of unchanged lengths.

    Examples
    --------
    >>> quarter = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    >>> grid = Grid((8, 8, 8), np.diag([-1.0, 1, 1, 1]))  # the first axis to the left, as FSL has it
    >>> (rotated(np.eye(3)[:, :1], quarter[None], grid) + 0.0).round(6).tolist()  # what was to the left ...
    [[0.0], [1.0], [0.0]]
    """
    start, end = scanner_axes(grid), scanner_axes(grid if target is None else target)
    turns = rotation_of(np.asarray(affines)[:, :3, :3])
    return np.einsum("ji,nkj,kl,ln->in", end, turns, start, vectors)


def scanner_axes(grid: Grid) -> Array:
    """D S, (3, 3): FSL's directions -> world; orthonormal, even if the header has shear."""
    axes = rotation_of(grid.direction)
    if np.linalg.det(axes) > 0:
        axes = axes * np.array([-1.0, 1.0, 1.0])
    return axes
