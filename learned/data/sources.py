"""Sources of pairs: each draws two images of one anatomy that coincide."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from varreg.errors import InputError

from .intensity import IntensityRanges
from .splits import check_disjoint


class Scene(NamedTuple):
    """Two images of one anatomy that coincide voxel by voxel.

    Attributes
    ----------
    moving, fixed : (*S) float32 tensor
        In [0, 1], without what :func:`learned.data.intensity.acquire` adds.
    foreground : (*S) bool tensor
        Where there is something to align.
    subject : str
    """

    moving: Tensor
    fixed: Tensor
    foreground: Tensor
    subject: str


class Source(Protocol):
    """Draws scenes; all that is random comes from the generator.

    Attributes
    ----------
    subjects : tuple of str
        Ids of all whose anatomy may be drawn, to be checked against other parts of a split.
    shape : tuple of int
        (*S) of every scene.
    intensities : IntensityRanges
        What a scan adds to an image of this source.
    """

    subjects: tuple[str, ...]
    shape: tuple[int, ...]
    intensities: IntensityRanges

    def draw(self, generator: torch.Generator) -> Scene:
        """One scene."""
        ...


def checked_subjects(names: list[str], function: str) -> tuple[str, ...]:
    """The ids, at least one, each once."""
    if not names:
        raise InputError(f"{function}: there are no subjects; give at least one.")
    check_disjoint({function: names})
    return tuple(names)
