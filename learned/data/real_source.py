"""Source of pairs of different contrasts of real heads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from varreg.errors import InputError

from .cuts import Cutter
from .intensity import IntensityRanges
from .slices import FOREGROUND
from .sources import Scene, checked_subjects
from .volumes import Volume


class RealSource:
    """Two different contrasts of a real head.

    Parameters
    ----------
    volumes : sequence of Volume
        Each with at least two contrasts.
    shape : tuple of int
        (*S): two numbers for slices, three for patches.
    axes, least_share
        As for :class:`learned.data.cuts.Cutter`.
    intensities : IntensityRanges

    Raises
    ------
    InputError
        If there is no volume, a subject comes twice, or one has a single contrast.

    Examples
    --------
    >>> volume = Volume("a", ("T1", "T2"), np.ones((2, 8, 8, 8), np.float32))
    >>> RealSource([volume], (8, 8)).draw(torch.Generator().manual_seed(0)).subject
    'a'
    """

    def __init__(
        self,
        volumes: Sequence[Volume],
        shape: tuple[int, ...],
        *,
        axes: tuple[int, ...] = (2,),
        least_share: float = 0.3,
        intensities: IntensityRanges | None = None,
    ) -> None:
        self.subjects = checked_subjects([volume.subject for volume in volumes], "RealSource")
        for volume in volumes:
            if len(volume.images) < 2:
                raise InputError(
                    f"RealSource: {volume.subject!r} of `volumes` has {len(volume.images)} contrast; "
                    "a pair needs two."
                )
        self.volumes = tuple(volumes)
        self.shape = tuple(shape)
        self.intensities = IntensityRanges() if intensities is None else intensities
        seen = [np.asarray((volume.images > FOREGROUND).any(0)) for volume in volumes]
        self._cutter = Cutter(seen, self.shape, axes, least_share)

    def draw(self, generator: torch.Generator) -> Scene:
        """Two contrasts of one slice or patch, in random order."""
        cut = self._cutter.draw(generator)
        volume = self.volumes[cut.volume]
        first, second = torch.randperm(len(volume.images), generator=generator)[:2].tolist()
        moving, fixed = (torch.from_numpy(cut.of(volume.images[k])) for k in (first, second))
        foreground = torch.from_numpy(cut.of(self._cutter.foregrounds[cut.volume]))
        return Scene(moving, fixed, foreground, volume.subject)
