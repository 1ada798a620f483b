"""Sources of pairs: each draws two images of one anatomy that coincide, or of two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from varreg.errors import InputError

from .intensity import IntensityRanges
from .splits import check_disjoint


class Scene(NamedTuple):
    """Two images of one anatomy that coincide voxel by voxel, or of two anatomies.

    Attributes
    ----------
    moving, fixed : (*S) float32 tensor
        In [0, 1], without what :func:`learned.data.intensity.acquire` adds.
    foreground : (*S) bool tensor
        Where the fixed image has something to align.
    subject : str
        Of two anatomies "moving -> fixed".
    coincide : bool
        Whether a map between them is known: the identity.
    labels : (moving, fixed) uint8 tensors (*S), or None
        The same numbers for the same structures, 0 for none.
    """

    moving: Tensor
    fixed: Tensor
    foreground: Tensor
    subject: str
    coincide: bool = True
    labels: tuple[Tensor, Tensor] | None = None


class Source(Protocol):
    """Draws scenes; all that is random comes from the generator.

    Attributes
    ----------
    subjects : tuple of str
        Ids of all whose anatomy may be drawn, to be checked against other parts of a split; not that of
        an atlas, which all parts share.
    shape : tuple of int
        (*S) of every scene.
    intensities : IntensityRanges
        What a scan adds to an image of this source.
    coincide : frozenset of bool
        What :attr:`Scene.coincide` of its scenes may be.
    has_labels : bool
        Whether some of its scenes have labels.
    """

    subjects: tuple[str, ...]
    shape: tuple[int, ...]
    intensities: IntensityRanges
    coincide: frozenset[bool]
    has_labels: bool

    def draw(self, generator: torch.Generator) -> Scene:
        """One scene."""
        ...


def checked_subjects(names: list[str], function: str) -> tuple[str, ...]:
    """The ids, at least one, each once."""
    if not names:
        raise InputError(f"{function}: there are no subjects; give at least one.")
    check_disjoint({function: names})
    return tuple(names)


def numbered_labels(maps: Sequence[NDArray[Any] | None]) -> list[NDArray[np.uint8] | None]:
    """Label maps with the labels that occur in any of them numbered, so that a byte holds each.

    Raises
    ------
    InputError
        If there are more than 255 labels besides 0.

    Examples
    --------
    >>> numbered_labels([np.array([0, 1001]), None, np.array([7, 1001])])[2].tolist()
    [1, 2]
    """
    values = sorted(
        {0}.union(*(np.unique(labels).tolist() for labels in maps if labels is not None))
    )
    if len(values) > 256:
        raise InputError(
            f"numbered_labels: there are {len(values) - 1} different labels; at most 255 can be compared. "
            "Join or leave out some."
        )
    return [None if m is None else np.searchsorted(values, m).astype(np.uint8) for m in maps]
