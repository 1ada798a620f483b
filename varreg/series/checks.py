"""Checks of an aligned image series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..optimise.check import Check

if TYPE_CHECKING:
    from .aligned import AlignedSeries

#: Framewise displacement (mm) above which Power et al. (2012) exclude a volume.
DISPLACED = 0.5
#: Motion relative to the reference (mm, root mean square over the head) above which distortion and field of view change.
FAR = 3.0
#: Fraction of the head in view below which a volume is truncated.
IN_VIEW = 0.95
#: A volume shares too little with the reference if its similarity is lower than the median by this number of robust
#: standard deviations, and by this share.
DEVIATIONS, LESS = 6.0, 0.15
#: Motion of both neighbours (mm) from which a volume without motion is suspicious.
NEIGHBOURS = 0.5
#: Largest number of volumes listed in a message.
NAMED = 6


def checks_of(result: AlignedSeries) -> tuple[Check, ...]:
    """All checks of an aligned series, passed or failed."""
    return (_jumps(result), _far(result), _unlike(result), _kept(result), _out_of_view(result))


def _jumps(result: AlignedSeries) -> Check:
    displacement = np.nan_to_num(result.framewise_displacement)
    large = np.nonzero(displacement > DISPLACED)[0]
    largest = float(displacement.max())
    return Check(
        "framewise displacement", largest, DISPLACED, not len(large),
        f"The framewise displacement is more than {DISPLACED:g} mm at {named(large, result.count)}: {largest:.2g} mm at "
        f"most, volume {int(displacement.argmax())}.",
        "Exclude these volumes from the model (framewise_displacement in the confounds lists them): alignment does not "
        "correct the effects of motion on the signal.",
    )  # fmt: skip


def _far(result: AlignedSeries) -> Check:
    motion = result.motion
    far = np.nonzero(motion > FAR)[0]
    return Check(
        "motion", float(motion.max()), FAR, not len(far),
        f"The head is more than {FAR:g} mm from the reference at {named(far, result.count)}: {motion.max():.3g} mm at most, "
        f"volume {int(motion.argmax())}.",
        "Inspect these volumes: distortion does not move with the head, and slices may have left the field of view.",
    )  # fmt: skip


def _unlike(result: AlignedSeries) -> Check:
    similarity = -result.energies
    middle = float(np.median(similarity))
    deviation = 1.4826 * float(np.median(np.abs(similarity - middle)))
    least = middle - max(DEVIATIONS * deviation, LESS * abs(middle))
    low = np.nonzero(similarity < least)[0]
    return Check(
        "similarity", float(similarity.min()), least, not len(low),
        f"The similarity to the reference is much lower than usual at {named(low, result.count)}.",
        "Inspect these volumes for artefacts or a failed alignment.",
    )  # fmt: skip


def _kept(result: AlignedSeries) -> Check:
    """Volumes for which no motion had lower energy than the identity, although their neighbours moved."""
    motion = result.motion
    around = np.minimum(motion[np.r_[1, : len(motion) - 1]], motion[np.r_[1 : len(motion), -2]])
    kept = (result.energies >= result.start_energies) & (around > NEIGHBOURS)
    if isinstance(result.reference, int):
        kept[result.reference] = False
    which = np.nonzero(kept)[0]
    return Check(
        "energy", float(len(which)), 0.0, not len(which),
        f"No motion was found at {named(which, result.count)}, although the neighbouring volumes moved.",
        "Inspect these volumes; a mask of the head may help.",
    )  # fmt: skip


def _out_of_view(result: AlignedSeries) -> Check:
    least = float(result.in_view.min())
    out = np.nonzero(result.in_view < IN_VIEW)[0]
    return Check(
        "view", least, IN_VIEW, not len(out),
        f"A part of the head has left the field of view at {named(out, result.count)}: {100 * (1 - least):.2g} % at most.",
        "The missing part is filled with background; exclude the volumes, or this part of the head.",
    )  # fmt: skip


def named(numbers: NDArray[np.integer], count: int) -> str:
    """List of volume numbers in words.

    Examples
    --------
    >>> named(np.array([3]), 20), named(np.arange(9), 20)
    ('volume 3', '9 of 20 volumes (0, 1, 2, 3, 4, 5, ...)')
    """
    if len(numbers) == 1:
        return f"volume {int(numbers[0])}"
    shown = ", ".join(str(int(n)) for n in numbers[:NAMED])
    return f"{len(numbers)} of {count} volumes ({shown}{', ...' if len(numbers) > NAMED else ''})"
