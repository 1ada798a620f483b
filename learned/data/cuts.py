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
        self._masses = [_centre_of_mass(foreground) for foreground in foregrounds]
        self._slices = (
            [[full_slices(f, axis, least_share) for axis in axes] for f in foregrounds]
            if len(shape) == 2
            else []
        )

    def draw(self, generator: torch.Generator, among: Sequence[int] | None = None) -> Cut:
        """One slice or patch of one volume.

        Parameters
        ----------
        generator : torch.Generator
        among : sequence of int, optional
            Numbers of the volumes that may be drawn; None is all.

        Returns
        -------
        Cut
        """
        among = range(len(self.foregrounds)) if among is None else among
        volume = among[below(len(among), generator)]
        if len(self.shape) == 3:
            centre = random_patch_centre(
                self.foregrounds[volume], self.shape, self.least_share, generator
            )
            return Cut(volume, None, 0, centre, self.shape)
        which = below(len(self.axes), generator)
        places = self._slices[volume][which]
        axis = self.axes[which]
        middle = self._centres[volume]
        centre = middle[:axis] + middle[axis + 1 :]
        return Cut(volume, axis, int(places[below(len(places), generator)]), centre, self.shape)

    def counterpart(self, cut: Cut, volume: int) -> Cut:
        """Where a slice or patch of one volume is to be sought in another.

        It lies as far from the centre of mass of the foreground, which a neck hardly moves.  A slice is the
        one with as large a share of the full slices before it.

        Parameters
        ----------
        cut : Cut
        volume : int
            Number of the other one.

        Returns
        -------
        Cut
        """
        away = self._masses[volume] - self._masses[cut.volume]
        if cut.axis is None:
            return cut._replace(volume=volume, centre=tuple((cut.centre + away).tolist()))
        here, there = (self._slices[v][self.axes.index(cut.axis)] for v in (cut.volume, volume))
        before = np.searchsorted(here, cut.position) / max(len(here) - 1, 1)
        position = int(there[round(before * (len(there) - 1))])
        centre = tuple((cut.centre + np.delete(away, cut.axis)).tolist())
        return cut._replace(volume=volume, position=position, centre=centre)


def two_people(
    cutter: Cutter, owners: Sequence[str], atlas: str | None, generator: torch.Generator
) -> tuple[Cut, Cut]:
    """Slices or patches of two different subjects that should show the same.

    Parameters
    ----------
    cutter : Cutter
    owners : sequence of str
        The subject of each of its volumes.
    atlas : str or None
        The subject that is always the moving one.
    generator : torch.Generator

    Returns
    -------
    moving, fixed : Cut
    """
    fixed = cutter.draw(generator, [k for k, owner in enumerate(owners) if owner != atlas])
    mine = owners[fixed.volume]
    others = [k for k, owner in enumerate(owners) if owner != mine and atlas in (None, owner)]
    return cutter.counterpart(fixed, others[below(len(others), generator)]), fixed


def check_people(
    owners: Sequence[str], share: float, atlas: str | None, function: str
) -> tuple[str, ...]:
    """The subjects but for the atlas, if pairs of two of them can be drawn where they are wanted.

    Raises
    ------
    InputError
        If there is nobody, or only one person where a share of the pairs are of two.
    """
    names = tuple(dict.fromkeys(owner for owner in owners if owner != atlas))
    if not names:
        raise InputError(f"{function}: there are no subjects; give at least one.")
    if share and atlas is None and len(names) < 2:
        raise InputError(
            f"{function}: {names[0]!r} is the only subject, but pairs of different people are requested; every part "
            "(training, validation, test) needs two people or an atlas. Name more of them in "
            "`data.validation_subjects`, or set `data.test_pairs` to 0."
        )
    return names


def below(count: int, generator: torch.Generator) -> int:
    """A number from 0 to count - 1."""
    return int(torch.randint(count, (), generator=generator))


def _centre_of_mass(foreground: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Voxel, one number for each axis."""
    sums = (foreground.sum(tuple({0, 1, 2} - {axis})) for axis in range(3))
    return np.array([np.average(np.arange(len(counts)), weights=counts) for counts in sums])
