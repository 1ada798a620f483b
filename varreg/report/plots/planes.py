"""Middle planes of a volume, in anatomical orientation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NAMES = ("Sagittal", "Coronal", "Axial")
POSITIONS = (0.4, 0.5, 0.5)  # sagittal plane beside the interhemispheric fissure


@dataclass(frozen=True)
class Plane:
    """A plane of an array as a picture with rows downwards.

    Attributes
    ----------
    name : str
        "Axial", "Coronal", "Sagittal"; empty for a 2D image.
    axis : int or None
        The array axis perpendicular to the plane; None in 2D.
    index : int
        Position along this axis, in voxels.
    in_plane : (int, int)
        The array axes of the rows and the columns of the picture.
    flipped : (bool, bool)
        Whether each of them is reversed.
    aspect : float
        Ratio of height to width of a voxel.
    """

    name: str
    axis: int | None
    index: int
    in_plane: tuple[int, int]
    flipped: tuple[bool, bool]
    aspect: float

    def cut(self, array: NDArray[np.floating]) -> NDArray[np.floating]:
        """The picture, (rows, columns), of an (*S) array.

        Parameters
        ----------
        array : (*S) array
            A scalar at every voxel.

        Returns
        -------
        (rows, columns) array, a view

        Examples
        --------
        >>> import numpy as np
        >>> from varreg.report.plots.planes import middle_planes
        >>> plane = middle_planes((4, 5, 6), np.eye(4))[0]
        >>> plane.cut(np.zeros((4, 5, 6))).shape
        (5, 4)
        """
        picture = array if self.axis is None else np.take(array, self.index, axis=self.axis)
        if self.in_plane[0] > self.in_plane[1]:
            picture = picture.T
        steps = tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)
        return picture[steps]


def middle_planes(shape: tuple[int, ...], affine: NDArray[np.floating]) -> list[Plane]:
    """The planes through the centre of a grid: axial, coronal, sagittal; in 2D the image itself.

    Volumes are displayed with superior or anterior upwards and right on the right.

    Parameters
    ----------
    shape : tuple of int
        (*S).
    affine : (d+1, d+1) array
        Voxel -> world (RAS+ mm).

    Returns
    -------
    list of Plane

    Examples
    --------
    >>> import numpy as np
    >>> from varreg.report.plots.planes import middle_planes
    >>> [plane.name for plane in middle_planes((4, 5, 6), np.eye(4))]
    ['Axial', 'Coronal', 'Sagittal']
    """
    spacing = np.linalg.norm(np.asarray(affine)[:-1, :-1], axis=0)
    if len(shape) == 2:
        return [Plane("", None, 0, (0, 1), (False, False), float(spacing[0] / spacing[1]))]
    axis_of, reversed_ = _anatomical_axes(affine)
    planes = []
    for world, down, right in ((2, 1, 0), (1, 2, 0), (0, 2, 1)):
        cut, rows, columns = axis_of[world], axis_of[down], axis_of[right]
        index = int(shape[cut] * POSITIONS[world])
        planes.append(
            Plane(
                NAMES[world],
                cut,
                shape[cut] - 1 - index if reversed_[world] else index,
                (rows, columns),
                # Rows run downwards, anterior and superior point upwards.
                (not reversed_[down], reversed_[right]),
                float(spacing[rows] / spacing[columns]),
            )
        )
    return planes


def _anatomical_axes(affine: NDArray[np.floating]) -> tuple[list[int], list[bool]]:
    """For right, anterior, superior: the nearest array axis, and whether it is reversed."""
    from nibabel.orientations import io_orientation

    orientation = io_orientation(affine)  # one row per array axis: world axis, direction
    worlds = [int(world) for world in orientation[:, 0]]
    axes = [worlds.index(world) for world in range(3)]
    return axes, [bool(orientation[axis, 1] < 0) for axis in axes]
