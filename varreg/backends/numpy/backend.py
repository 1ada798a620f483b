"""The NumPy backend: the same functions as :mod:`varreg.backends.numba.backend`, written to be read.

Every formula is written down once more, from docs/theory.md and in another way than in the Numba
kernels, so that two derivations check each other.  Slow; `threads` is accepted and ignored.
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
    """Lower bound of det(id + grad u) over every point, and the cell where it is found.

    field (d, *m), spacing (d,) in the same unit.
    """
    bound = cell_bounds(field, spacing)
    cell = np.unravel_index(int(np.argmin(bound)), bound.shape)
    return float(bound[cell]), tuple(int(i) for i in cell)


def volume(field: Array, spacing: Array, threads: int) -> float:
    """The volume term of a field (d, *m); spacing (d,) in the same unit."""
    return volumes.volume(field, spacing)


def volume_gradient(field: Array, spacing: Array, threads: int) -> Array:
    """Its derivative by the field, (d, *m)."""
    return volumes.volume_gradient(field, spacing)
