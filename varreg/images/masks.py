"""Accepted masks of images: the voxels inside, and warnings about unusual masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..optimise.check import Check
from .image import Image
from .loading import loaded
from .mask_places import on_grid

#: Voxels are inside the mask if their value is at least this share of the largest.
LEAST = 0.5
#: Fewest voxels inside the mask; with fewer, a joint histogram is meaningless.
FEWEST = 16
#: Share of the voxels below which the mask may be inverted, i.e. mark the region to exclude.
LITTLE = 0.03
#: Wording of the note about a mask that was resampled onto the image's grid.
RESAMPLED = ", by the nearest voxel of another grid"


@dataclass(frozen=True)
class Mask:
    """The voxels of an image inside its mask.

    Attributes
    ----------
    inside : (*S) bool array or None
        For weights, the voxels with at least half the largest weight; None if all are inside.
    weights : (*S) float32 array or None
        In [0, 1], with maximum 1; None if all voxels inside have equal weight.
    checks : tuple of Check
        Unusual properties of the mask: only checks that did not pass.
    notes : tuple of str
        Share of the voxels inside the mask.
    """

    inside: NDArray[np.bool_] | None
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()
    weights: NDArray[np.float32] | None = None

    @property
    def counts(self) -> NDArray[Any] | None:
        """(*S) the voxels inside the mask, bool, or their weights, float32; None if all have equal weight."""
        return self.inside if self.weights is None else self.weights


def as_mask(
    value: Any, image: Image, *, argument: str, function: str = "varreg.solve"
) -> np.ndarray | None:
    """The voxels inside a mask of any accepted kind; see :func:`read_mask`.

    Examples
    --------
    >>> image = Image.from_array(np.eye(8))
    >>> int(as_mask(np.ones((8, 8)), image, argument="fixed_mask").sum())
    64
    """
    return read_mask(value, image, argument=argument, function=function).inside


def read_mask(value: Any, image: Image, *, argument: str, function: str = "varreg.solve") -> Mask:
    """Read a mask of an image, of any accepted kind.

    Of integer values, those of at least half of the largest are inside.  Fractional values are weights in [0, 1],
    which are divided by the largest, as only their ratios matter.

    Parameters
    ----------
    value : None, Image, array-like, nibabel image, str or PathLike
        On the image's grid; or on any grid if it has its own geometry: each voxel of the image is then assigned the
        nearest voxel of the mask, and is outside the mask where there is none.
    image : Image
        The masked image; its voxels without data are always outside.
    argument, function : str
        Names for the messages.

    Returns
    -------
    Mask

    Raises
    ------
    InputError
        If an array has another shape, no value is positive, fractions are not between 0 and 1, or fewer than 16
        voxels are inside, or weights sum to less than 16.
    GeometryError
        If it does not overlap the image.
    FileError
        If its file cannot be read.

    Examples
    --------
    >>> soft = np.linspace(0, 1, 64).reshape(8, 8)
    >>> mask = read_mask(soft, Image.from_array(np.eye(8)), argument="fixed_mask")
    >>> mask.notes
    ('`fixed_mask` weighs 98.4 % of the voxels, by 0.508 on average.',)
    """
    if value is None:
        return Mask(image.valid)
    mask, has_affine = loaded(value, argument=argument, function=function)
    data, moved = on_grid(mask, image, has_affine, argument, function)
    largest = float(data.max())
    if not largest > 0:
        raise InputError(
            f"{function}: `{argument}` has no positive value (0 voxels inside): its largest "
            f"is {largest:g}. Voxels of at least half the largest value are inside; check "
            "that the mask is not empty."
        )
    if (data != np.rint(data)).any():
        _refuse_beyond(data, argument, function)
        weights = data / np.float32(largest)
        if ((weights > 0) & (weights < 1)).any():
            return _weights(weights, image, moved, argument, function)
    inside = data >= LEAST * largest
    share = float(inside.mean())
    if image.valid is not None:
        inside &= image.valid
    count = int(inside.sum())
    if count < FEWEST:
        raise InputError(
            f"{function}: `{argument}` has {count} voxels inside (at least half of its largest value, {largest:g}); "
            f"at least {FEWEST} are needed. Check that the mask is not empty."
        )
    note = f"`{argument}` contains {100 * share:.3g} % of the voxels{RESAMPLED if moved else ''}."
    odd = (*_between(data, largest, share, argument), *_odd_share(share, argument))
    return Mask(np.asarray(inside), odd, (note,))


def _weights(
    weights: NDArray[np.float32], image: Image, moved: bool, argument: str, function: str
) -> Mask:
    """The mask of weights, normalised to maximum 1."""
    share, mean = float(np.mean(weights > 0)), float(weights[weights > 0].mean())
    if image.valid is not None:
        weights = weights * image.valid
    total = float(weights.sum(dtype=np.float64))
    if total < FEWEST:
        raise InputError(
            f"{function}: the weights of `{argument}` add up to {total:.3g} voxels (in units of the largest); at least "
            f"{FEWEST} are needed. Check that the mask is not empty."
        )
    note = (
        f"`{argument}` weighs {100 * share:.3g} % of the voxels, by {mean:.3g} on average"
        f"{RESAMPLED if moved else ''}."
    )
    odd = _odd_share(share * mean, argument)
    return Mask(weights >= LEAST, odd, (note,), np.ascontiguousarray(weights))


def _refuse_beyond(data: NDArray[np.float32], argument: str, function: str) -> None:
    """Refuse fractional values outside [0, 1]."""
    least, largest = float(data.min()), float(data.max())
    if least < 0 or largest > 1:
        raise InputError(
            f"{function}: `{argument}` holds fractions from {least:g} to {largest:g}; weights are between 0 and 1. Divide "
            "by the largest, clip what resampling overshoots (np.clip(mask, 0, 1)), or pass a binary mask: mask > 0.5."
        )


def _between(
    data: NDArray[np.float32], largest: float, share: float, argument: str
) -> tuple[Check, ...]:
    """Warn about integer values that are neither 0 nor the largest."""
    between = float(np.mean((data != 0) & (data != largest)))
    if not between > 0:
        return ()
    check = Check(
        argument.replace("_", " "), between, 0.0, False,
        f"`{argument}` has values other than 0 and {largest:g} in {100 * between:.3g} % of "
        f"its voxels: those of at least {LEAST * largest:g}, half of the largest, are inside "
        f"({100 * share:.3g} %).",
        "Pass 1 inside the mask and 0 outside, e.g. mask > 0; or weights between 0 and 1.",
    )  # fmt: skip
    return (check,)


def _odd_share(share: float, argument: str) -> tuple[Check, ...]:
    """Warn about masks of few or of all voxels."""
    name = f"{argument.replace('_', ' ')} share"
    if share < LITTLE:
        check = Check(
            name, share, LITTLE, False, (f"`{argument}` contains {100 * share:.2g} % of the "
                                        "voxels."),
            "A mask is 1 inside: invert it (1 - mask) if it marks a region to exclude, as masks of "
            "lesions do.",
        )  # fmt: skip
        return (check,)
    if share == 1:
        check = Check(
            name, 1.0, 1.0, False, f"`{argument}` contains all voxels and excludes nothing.",
            "Check that it is the correct mask, or leave it out.",
        )  # fmt: skip
        return (check,)
    return ()
