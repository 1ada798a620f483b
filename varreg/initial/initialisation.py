"""The argument `start` of ``solve``: where the affine search begins, or a map to refine."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..backends.arrays import Array
from ..errors import InputError
from ..images.image import Image
from ..stages.arguments import affine_starts
from ..stages.initialisations import NAMES
from ..transforms.transform import Transform
from .input_transform import GivenMap, given_map, is_paths


def chosen_start(
    start: Any, affine: Any, deformable: bool, fixed: Image, moving: Image
) -> tuple[GivenMap | None, tuple[str, ...] | Array]:
    """(map to refine or None, names or matrix for the affine search).

    Raises
    ------
    InputError, GeometryError, FileError
        If the start is none of these, or contradicts `affine` or `deformable`.
    """
    d = fixed.grid.dim
    if not _is_map(start, d):
        return None, affine_starts(start, d)
    given = given_map(start, fixed, moving, argument="start", function="varreg.solve")
    if given.transform.nodes is None:
        return None, given.transform.affine
    if not isinstance(affine, str):
        raise InputError(
            "varreg.solve: `start` deforms and brings its own affine map; leave out `affine`, or pass"
            " a `start` that is affine."
        )
    if not deformable:
        raise InputError(
            "varreg.solve: `start` deforms, but `deformable` is False; pass its affine map alone as"
            " `start`."
        )
    return given, np.eye(d + 1)


def _is_map(start: Any, dimension: int) -> bool:
    """Whether it is more than what the affine search has always started from."""
    if isinstance(start, str):
        return start not in NAMES and os.path.exists(os.path.expanduser(start))
    if isinstance(start, (os.PathLike, Transform)) or is_paths(start):
        return True
    if isinstance(getattr(start, "transform", None), Transform):
        return True
    return start is not None and np.ndim(start) == dimension + 1
