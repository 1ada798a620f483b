"""Drawing slices or patches out of several volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from varreg.errors import InputError

from .slices import content_centre, fit, full_slices, random_patch_centre


class Cut(NamedTuple):
    """Where in which volume a slice or a patch lies.

    Attributes
    ----------
    volume : int
        Its number.
    axis : int or None
        Across the slice; None for a patch.
    position : int
        Of the slice along the axis.
    centre : tuple of float
        Voxel of the slice, or of the volume, that comes to the middle.
    shape : tuple of int
        (*S), voxels of the result.
    """

    volume: int
    axis: int | None
    position: int
    centre: tuple[float, ...]
    shape: tuple[int, ...]

    def of(self, volume: NDArray[Any]) -> NDArray[Any]:
        """The slice or patch of a (..., n, m, k) array, (..., *S); a copy."""
        if self.axis is not None:
            volume = np.take(volume, self.position, axis=self.axis - 3)
        return fit(volume, self.shape, self.centre)


class Cutter:
    """Draws slices or patches with enough foreground; every volume is as likely as every other.

    Parameters
    ----------
    foregrounds : sequence of (n, m, k) bool arrays
        One for each volume.
    shape : tuple of int
        (*S): two numbers for slices, three for patches.
    axes : tuple of int
        Axes across which slices are taken, all alike; patches do not look at it.
    least_share : float
        Of the foreground: see :func:`full_slices` and :func:`random_patch_centre`.

    Raises
    ------
    InputError
        If a volume has no foreground, or `shape` or `axes` makes no sense.

    Examples
    --------
    >>> cutter = Cutter([np.ones((6, 6, 6), bool)], (4, 4), (2,), 0.3)
    >>> cutter.draw(torch.Generator().manual_seed(0)).of(np.zeros((3, 6, 6, 6))).shape
    (3, 4, 4)
    """

    def __init__(
        self,
        foregrounds: Sequence[NDArray[np.bool_]],
        shape: tuple[int, ...],
        axes: tuple[int, ...] = (2,),
        least_share: float = 0.3,
    ) -> None:
        if len(shape) not in (2, 3) or min(shape) < 4 or not axes:
            raise InputError(
                "Cutter: `shape` must be two or three numbers of at least 4 voxels and `axes` must "
                f"not be empty; got {shape} and {axes}."
            )
        for number, foreground in enumerate(foregrounds):
            if foreground.ndim != 3 or not foreground.any():
                raise InputError(
                    f"Cutter: volume {number} of shape {foreground.shape} has nothing to show: it "
                    "must be 3D with some foreground."
                )
        self.foregrounds, self.shape, self.axes = tuple(foregrounds), tuple(shape), tuple(axes)
        self.least_share = least_share
        self._centres = [content_centre(foreground) for foreground in foregrounds]
        self._slices = (
            [[full_slices(f, axis, least_share) for axis in axes] for f in foregrounds]
            if len(shape) == 2
            else []
        )

    def draw(self, generator: torch.Generator) -> Cut:
        """One slice or patch of one volume.

        Parameters
        ----------
        generator : torch.Generator

        Returns
        -------
        Cut
        """
        volume = _below(len(self.foregrounds), generator)
        if len(self.shape) == 3:
            centre = random_patch_centre(
                self.foregrounds[volume], self.shape, self.least_share, generator
            )
            return Cut(volume, None, 0, centre, self.shape)
        which = _below(len(self.axes), generator)
        places = self._slices[volume][which]
        axis = self.axes[which]
        middle = self._centres[volume]
        centre = middle[:axis] + middle[axis + 1 :]
        return Cut(volume, axis, int(places[_below(len(places), generator)]), centre, self.shape)


def _below(count: int, generator: torch.Generator) -> int:
    """A number from 0 to count - 1."""
    return int(torch.randint(count, (), generator=generator))
