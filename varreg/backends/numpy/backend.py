"""NumPy backend: the functions of :mod:`varreg.backends.numba.backend`, optimised for readability.

Every formula of docs/theory.md is implemented independently of the Numba kernels, so that the two
derivations verify each other.  Slow; `threads` is ignored.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..cpu import later, resident
from . import volume as volumes
from .evaluation import backproject_table, information_gradient, joint_histogram, mutual_information
from .folding import cell_bounds
from .information import information, smooth_table, smooth_table_transposed
from .sampling import average_axis, read_linear
from .warping import backproject, warp
from .windows import windowed_histogram, windowed_slope

__all__ = [
    "average_axis", "backproject", "backproject_table", "determinant_bound", "information", "information_gradient",
    "joint_histogram", "later", "mutual_information", "read_linear", "resident", "smooth_table", "smooth_table_transposed",
    "volume", "volume_gradient", "warp",
    "windowed_histogram", "windowed_slope",
]  # fmt: skip
NAME = "numpy"


def determinant_bound(field: Array, spacing: Array, threads: int) -> tuple[float, tuple[int, ...]]:
    """Lower bound of det(id + grad u) over all cells, and the cell that attains it.

    Field (d, *m) and spacing (d,) in the same unit.
    """
    bound = cell_bounds(field, spacing)
    cell = np.unravel_index(int(np.argmin(bound)), bound.shape)
    return float(bound[cell]), tuple(int(i) for i in cell)


def volume(field: Array, spacing: Array, threads: int) -> float:
    """Volume term of a field (d, *m); spacing (d,) in the same unit."""
    return volumes.volume(field, spacing)


def volume_gradient(field: Array, spacing: Array, threads: int) -> Array:
    """Derivative of :func:`volume` with respect to the field, (d, *m)."""
    return volumes.volume_gradient(field, spacing)
