"""Fixed and moving grid of a transform, from images, files or grids."""

from __future__ import annotations

from typing import Any

from ..errors import InputError
from ..geometry.displacement import Float
from ..geometry.grid import Grid
from .frames import frame_of_map, in_frame
from .loading import geometry, warn_of


def grid_pair(fixed: Any, moving: Any, function: str) -> tuple[Grid, Grid, Float | None]:
    """The grids of two images, and their common frame if they are slices of volumes.

    Parameters
    ----------
    fixed, moving : see `geometry`
        Both 2D or both 3D.
    function : str
        Name for the messages.

    Returns
    -------
    fixed, moving : Grid
    frame : (4, 4) array or None
        As in :class:`varreg.Transform`.

    Raises
    ------
    InputError, GeometryError, FileError
        As `geometry`; or if the dimensions differ or slices are not parallel.

    Examples
    --------
    >>> import numpy as np
    >>> grid_pair(np.ones((8, 9)), np.ones((8, 8)), "varreg.read_transform")[2] is None
    True
    """
    for name, value in (("fixed", fixed), ("moving", moving)):
        if value is None:
            raise InputError(
                f"{function}: `{name}` is missing; give the image that the transform was made for: a path, an "
                "array or a Grid."
            )
    target = geometry(fixed, "fixed", function)
    source = geometry(moving, "moving", function)
    warn_of((*target.checks, *source.checks))
    if target.grid.dim != source.grid.dim:
        raise InputError(
            f"{function}: `fixed` is {target.grid.dim}D and `moving` is {source.grid.dim}D; both must "
            "be 2D or both 3D."
        )
    planes = f"{function}: `fixed` and `moving` are slices whose planes"
    remedy = "pass arrays without geometry if they do correspond."
    placed = in_frame(source, target.frame, planes, remedy)
    return target.grid, placed.grid, frame_of_map(target, source)
