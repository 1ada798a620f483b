"""How many pairs a GPU solves together."""

from __future__ import annotations

from typing import Any

from ..errors import InputError
from .pair import as_pair_task

#: By default: enough to share the cost of a launch, and of waiting for it.
PAIRS_TOGETHER = 16


def pairs_with_room(kernels: Any, pairs: list[Any], most: int) -> int:
    """How many pairs like the first ones fit into the free memory of a device.

    Parameters
    ----------
    kernels : backend
    pairs : list
        The first pairs of the batch.
    most : int
        How many are wanted.

    Returns
    -------
    int
        `most` for a backend without a device, and for files, which are not opened just to know.

    Examples
    --------
    >>> pairs_with_room(None, [("moving.nii", "fixed.nii")], 4)
    4
    """
    room_for = getattr(kernels, "room_for", None)
    largest = max(map(_voxels, pairs), default=0)
    return most if room_for is None or not largest else min(most, room_for(largest))


def _voxels(pair: Any) -> int:
    """Of the fixed image; 0 if that is not known, or if the pair will not be solved."""
    try:
        return as_pair_task(pair, 0, "").voxels or 0
    except InputError:
        return 0
