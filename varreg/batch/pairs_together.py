"""Number of pairs that a GPU solves together."""

from __future__ import annotations

from typing import Any

from ..errors import InputError
from .pair import as_pair_task

#: Default: enough to amortise kernel launches and synchronisation.
PAIRS_TOGETHER = 16


def pairs_with_room(kernels: Any, pairs: list[Any], most: int) -> int:
    """Number of pairs like the first ones that fit into the free memory of a device.

    Parameters
    ----------
    kernels : backend
    pairs : list
        The first pairs of the batch.
    most : int
        Requested number.

    Returns
    -------
    int
        `most` for a backend without a device, and for files, which are not opened for this purpose.

    Examples
    --------
    >>> pairs_with_room(None, [("moving.nii", "fixed.nii")], 4)
    4
    """
    room_for = getattr(kernels, "room_for", None)
    largest = max(map(_voxels, pairs), default=0)
    return most if room_for is None or not largest else min(most, room_for(largest))


def _voxels(pair: Any) -> int:
    """Number of voxels of the fixed image; 0 if unknown, or if the pair is invalid."""
    try:
        return as_pair_task(pair, 0, "").voxels or 0
    except InputError:
        return 0
