"""Random slices and patches of volumes with enough foreground for registration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from varreg.errors import InputError

#: Voxels above this intensity (in [0, 1]), or with a label other than 0, are foreground.
FOREGROUND = 0.05
_TRIES = 20  # random patches drawn before the one with most foreground is used


def fit(array: NDArray[Any], shape: tuple[int, ...], centre: tuple[float, ...]) -> NDArray[Any]:
    """Crop (..., *T) to (..., *S), or pad with zeros, so that the voxel `centre` is in the middle; a copy.

    Examples
    --------
    >>> fit(np.arange(5), (3,), (2.0,)).tolist(), fit(np.arange(2), (4,), (0.5,)).tolist()
    ([1, 2, 3], [0, 0, 1, 0])
    """
    dim = len(shape)
    if not 0 < dim <= array.ndim or len(centre) != dim or min(shape) < 1:
        raise InputError(
            f"fit: `shape` {shape} and `centre` {centre} must have one positive number per spatial "
            f"axis of `array`, whose shape is {array.shape}."
        )
    result = np.zeros(array.shape[: array.ndim - dim] + tuple(shape), dtype=array.dtype)
    source: list[Any] = [...]
    target: list[Any] = [...]
    for n, wanted, middle in zip(array.shape[-dim:], shape, centre, strict=True):
        start = int(np.ceil(middle - (wanted - 1) / 2 - 0.5))
        low, high = max(start, 0), min(start + wanted, n)
        high = max(low, high)
        source.append(slice(low, high))
        target.append(slice(low - start, high - start))
    result[tuple(target)] = array[tuple(source)]
    return result


def content_centre(foreground: NDArray[np.bool_]) -> tuple[float, ...]:
    """Centre of the bounding box of the foreground, in voxels; centre of the array if there is none.

    Examples
    --------
    >>> content_centre(np.eye(8, dtype=bool)[:, 2:5])
    (3.0, 1.0)
    """
    centre = []
    for axis, n in enumerate(foreground.shape):
        others = tuple(other for other in range(foreground.ndim) if other != axis)
        inside = np.flatnonzero(foreground.any(axis=others))
        centre.append(float(inside[0] + inside[-1]) / 2 if inside.size else (n - 1) / 2)
    return tuple(centre)


def full_slices(foreground: NDArray[np.bool_], axis: int, least_share: float) -> NDArray[np.intp]:
    """Positions of the non-empty slices with at least `least_share` of the largest foreground of a slice.

    Examples
    --------
    >>> volume = np.zeros((4, 4, 5), bool)
    >>> volume[..., 2] = True
    >>> full_slices(volume, 2, 0.3).tolist()
    [2]
    """
    if foreground.ndim != 3 or axis not in (0, 1, 2) or not 0 <= least_share <= 1:
        raise InputError(
            "full_slices: `foreground` must be 3D, `axis` 0, 1 or 2 and `least_share` in [0, 1]; "
            f"got shape {foreground.shape}, {axis!r} and {least_share!r}."
        )
    counts = foreground.sum(axis=tuple(other for other in range(3) if other != axis))
    return np.flatnonzero((counts > 0) & (counts >= least_share * counts.max()))


def random_patch_centre(
    foreground: NDArray[np.bool_],
    shape: tuple[int, ...],
    least_share: float,
    generator: torch.Generator,
) -> tuple[float, ...]:
    """Centre (voxel) of a random patch with enough foreground, or of the fullest of 20 patches with less.

    Along an axis where the patch is longer than the volume, the foreground is centred.

    Examples
    --------
    >>> full = np.ones((9, 9, 9), bool)
    >>> random_patch_centre(full, (9, 9, 16), 0.5, torch.Generator())
    (4.0, 4.0, 4.0)
    """
    best, middle = -1.0, content_centre(foreground)
    for _ in range(_TRIES):
        draws = torch.rand(len(shape), generator=generator, dtype=torch.float64).tolist()
        centre = tuple(
            (wanted - 1) / 2 + int(draw * (n - wanted + 1)) if wanted < n else point
            for n, wanted, draw, point in zip(foreground.shape, shape, draws, middle, strict=True)
        )
        share = float(fit(foreground, shape, centre).mean())
        if share > best:
            best, chosen = share, centre
        if share >= least_share:
            break
    return chosen


class Cut(NamedTuple):
    """Location of a slice or a patch.

    Attributes
    ----------
    volume : int
        Index of the volume.
    axis : int or None
        Axis perpendicular to the slice; None for a patch.
    position : int
        Position of the slice along the axis.
    centre : tuple of float
        Voxel of the slice, or of the volume, in the middle of the result.
    shape : tuple of int
        (*S), shape of the result in voxels.
    """

    volume: int
    axis: int | None
    position: int
    centre: tuple[float, ...]
    shape: tuple[int, ...]

    def of(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Slice or patch (..., *S) of an array (..., n, m, k); a copy."""
        if self.axis is not None:
            volume = np.take(volume, self.position, axis=self.axis - 3)
        return fit(volume, self.shape, self.centre)


class Cutter:
    """Random slices or patches with enough foreground; all volumes are equally likely.

    Parameters
    ----------
    foregrounds : sequence of (n, m, k) bool arrays
        One for each volume.
    shape : tuple of int
        (*S): two numbers for slices, three for patches.
    axes : tuple of int
        Axes perpendicular to the slices, equally likely; not used for patches.
    least_share : float
        Least share of foreground, see :func:`full_slices` and :func:`random_patch_centre`.

    Raises
    ------
    InputError
        If a volume has no foreground, or `shape` or `axes` is invalid.

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
                    f"Cutter: volume {number} of shape {foreground.shape} cannot be used: it "
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
        """Random slice or patch of a random volume, `among` these indices if given."""
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
        """Slice or patch of another volume at the corresponding position.

        Its centre has the same offset from the centre of mass of the foreground, which is robust against a
        visible neck.  A slice has the same relative position among the slices with enough foreground.
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
    """Corresponding slices or patches, moving and fixed, of two different subjects.

    `owners` are the subjects of the volumes; the atlas, if there is one, is always the moving image.
    """
    fixed = cutter.draw(generator, [k for k, owner in enumerate(owners) if owner != atlas])
    mine = owners[fixed.volume]
    others = [k for k, owner in enumerate(owners) if owner != mine and atlas in (None, owner)]
    return cutter.counterpart(fixed, others[below(len(others), generator)]), fixed


def below(count: int, generator: torch.Generator) -> int:
    """Random integer from 0 to count - 1."""
    return int(torch.randint(count, (), generator=generator))


def _centre_of_mass(foreground: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Centre of mass, voxels."""
    sums = (foreground.sum(tuple({0, 1, 2} - {axis})) for axis in range(3))
    return np.array([np.average(np.arange(len(counts)), weights=counts) for counts in sums])
