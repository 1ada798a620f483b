"""Anatomical labels at the sides of a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..images.image import Image
from .plots.planes import Plane

#: Labels of the negative and positive end of the RAS+ axes.
ENDS = ("LR", "PA", "IS")


def sides(image: Image, plane: Plane) -> tuple[str, str]:
    """Labels at the left and right of a picture: "L" and "R", "P" and "A", "I" and "S".

    Parameters
    ----------
    image : Image
    plane : Plane
        Plane of this image.

    Returns
    -------
    left, right : str
        Empty if unknown: for arrays without geometry, and for pictures.

    Examples
    --------
    >>> from varreg.report.plots.planes import middle_planes
    >>> volume = Image.from_array(np.ones((4, 4, 4)), affine=np.diag([-1.0, 1, 1, 1]))
    >>> sides(volume, middle_planes((4, 4, 4), volume.grid.affine)[0])
    ('L', 'R')
    """
    across = _across(image, plane)
    if across is None:
        return "", ""
    axis = int(np.abs(across).argmax())
    ends = ENDS[axis] if across[axis] > 0 else ENDS[axis][::-1]
    return ends[0], ends[1]


def _across(image: Image, plane: Plane) -> NDArray[np.floating] | None:
    """World vector of a step to the right in the picture."""
    if not image.placed or (image.grid.dim == 2 and image.frame is None):
        return None
    right = plane.in_plane[1]
    step = image.grid.affine[:-1, right] * (-1 if plane.flipped[1] else 1)
    return step if image.frame is None else image.frame[:3, :2] @ step
