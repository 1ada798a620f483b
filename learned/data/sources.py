"""Interface of the sources of pairs, and the source of real images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from varreg.errors import InputError

from .augmentation import IntensityRanges
from .cuts import FOREGROUND, Cut, Cutter, below, two_people
from .random_fields import uniform
from .subjects import check_disjoint
from .volumes import Volume

#: Index of a volume, and of an image in it.
Place = tuple[int, int]


class Scene(NamedTuple):
    """Two images of one anatomy that coincide voxel by voxel, or of two anatomies.

    Attributes
    ----------
    moving, fixed : (*S) float32 tensor
        In [0, 1], before :func:`learned.data.augmentation.acquire`.
    foreground : (*S) bool tensor
        Foreground of the fixed image.
    subject : str
        Id of the subject; for two subjects "moving -> fixed".
    coincide : bool
        Whether the images coincide, so that the map between them is known to be the identity.
    labels : (moving, fixed) uint8 tensors (*S), or None
        Label maps with the same label for the same structure, 0 for background.
    """

    moving: Tensor
    fixed: Tensor
    foreground: Tensor
    subject: str
    coincide: bool = True
    labels: tuple[Tensor, Tensor] | None = None


class Source(Protocol):
    """Source of random scenes; all randomness comes from the generator.

    Attributes
    ----------
    subjects : tuple of str
        Ids of the subjects that may be drawn, for the check that the parts of a split are disjoint; without
        the atlas, which is common to all parts.
    shape : tuple of int
        (*S) of every scene.
    intensities : IntensityRanges
        Random intensity changes of the images of this source.
    coincide : frozenset of bool
        Possible values of :attr:`Scene.coincide`.
    has_labels : bool
        Whether some of its scenes have labels.
    """

    subjects: tuple[str, ...]
    shape: tuple[int, ...]
    intensities: IntensityRanges
    coincide: frozenset[bool]
    has_labels: bool

    def draw(self, generator: torch.Generator) -> Scene:
        """Random scene."""
        ...


def checked_subjects(names: list[str], function: str) -> tuple[str, ...]:
    """Subject ids, checked: at least one, without duplicates."""
    if not names:
        raise InputError(f"{function}: there are no subjects; give at least one.")
    check_disjoint({function: names})
    return tuple(names)


def check_people(
    owners: Sequence[str], share: float, atlas: str | None, function: str
) -> tuple[str, ...]:
    """Subjects other than the atlas, checked: pairs of two people can be drawn if requested.

    Raises
    ------
    InputError
        If there are no subjects, or only one although a `share` of the pairs are of two people.
    """
    names = tuple(dict.fromkeys(owner for owner in owners if owner != atlas))
    if not names:
        raise InputError(f"{function}: there are no subjects; give at least one.")
    if share and atlas is None and len(names) < 2:
        raise InputError(
            f"{function}: {names[0]!r} is the only subject, but pairs of different people are requested; every part "
            "(training, validation, test) requires two people or an atlas. Name more of them in "
            "`data.validation_subjects`, or set `data.test_pairs` to 0."
        )
    return names


def numbered_labels(maps: Sequence[NDArray[Any] | None]) -> list[NDArray[np.uint8] | None]:
    """Label maps with their labels renumbered consecutively and consistently, as uint8.

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
            f"numbered_labels: there are {len(values) - 1} different labels; at most 255 are supported. "
            "Merge or remove some."
        )
    return [None if m is None else np.searchsorted(values, m).astype(np.uint8) for m in maps]


class RealSource:
    """Source of pairs of real images: two of one head, or one each of two heads.

    Parameters
    ----------
    volumes : sequence of Volume
        The images of one volume coincide; different volumes of one subject are not aligned.
    shape : tuple of int
        (*S): two numbers for slices, three for patches.
    axes, least_share
        As for :class:`learned.data.cuts.Cutter`.
    intensities : IntensityRanges
    people : float
        Fraction of the pairs that are of two different subjects.
    atlas : str, optional
        Subject that is the moving image of all these pairs, and in no other pair.

    Raises
    ------
    InputError
        If there are no subjects, or the requested pairs cannot be drawn.

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
        people: float = 0.0,
        atlas: str | None = None,
    ) -> None:
        self.owners = [volume.subject for volume in volumes]
        self.subjects = check_people(self.owners, people, atlas, "RealSource")
        self.volumes, self.people, self.atlas = tuple(volumes), people, atlas
        self.shape = tuple(shape)
        self.intensities = IntensityRanges() if intensities is None else intensities
        seen = [np.asarray((volume.images > FOREGROUND).any(0)) for volume in volumes]
        self._cutter = Cutter(seen, self.shape, axes, least_share)
        self._labels = numbered_labels([volume.labels for volume in volumes])
        self.has_labels = any(labels is not None for labels in self._labels)
        self._images: dict[str, list[Place]] = {name: [] for name in self.owners}
        for number, volume in enumerate(volumes):
            self._images[volume.subject] += [(number, k) for k in range(len(volume.images))]
        single = [name for name in self.subjects if len(self._images[name]) < 2]
        if single and (not people or (people < 1 and len(single) == len(self.subjects))):
            raise InputError(
                f"RealSource: {single[0]!r} of `volumes` has 1 contrast; a pair of one head requires two. Add "
                "a contrast, remove the subject, or raise `data.people`."
            )
        self._paired = [
            k for k, o in enumerate(self.owners) if o in self.subjects and o not in single
        ]
        self.coincide = self._kinds()

    def draw(self, generator: torch.Generator) -> Scene:
        """Two images of one slice or patch, in random order, of the same head or of two heads."""
        if self.people and uniform(0, 1, generator) < self.people:
            moving, fixed = two_people(self._cutter, self.owners, self.atlas, generator)
            places = [
                below(len(self.volumes[cut.volume].images), generator) for cut in (moving, fixed)
            ]
            return self._scene(moving, fixed, *places)
        cut = self._cutter.draw(generator, self._paired)
        images = self._images[self.owners[cut.volume]]
        order = [images[k] for k in torch.randperm(len(images), generator=generator).tolist()]
        here = next(place for place in (*order[1:], order[0]) if place[0] == cut.volume)
        there = next(place for place in order if place != here)
        other = cut if there[0] == here[0] else self._cutter.counterpart(cut, there[0])
        return self._scene(other, cut, there[1], here[1])

    def _scene(self, moving: Cut, fixed: Cut, there: int, here: int) -> Scene:
        """Scene of image `there` of the moving volume and image `here` of the fixed volume."""
        images = [
            torch.from_numpy(cut.of(self.volumes[cut.volume].images[k]))
            for cut, k in ((moving, there), (fixed, here))
        ]
        foreground = torch.from_numpy(fixed.of(self._cutter.foregrounds[fixed.volume]))
        names = list(dict.fromkeys(self.owners[cut.volume] for cut in (moving, fixed)))
        known = [self._labels[cut.volume] for cut in (moving, fixed)]
        labels = None
        if known[0] is not None and known[1] is not None:
            labels = torch.from_numpy(moving.of(known[0])), torch.from_numpy(fixed.of(known[1]))
        return Scene(images[0], images[1], foreground, " -> ".join(names), moving == fixed, labels)

    def _kinds(self) -> frozenset[bool]:
        """Possible values of :attr:`Scene.coincide`."""
        numbers = [k for k in self._paired if self.people < 1]
        coincide = any(len(self.volumes[k].images) > 1 for k in numbers)
        apart = self.people > 0 or len({self.owners[k] for k in numbers}) < len(numbers)
        return frozenset([True] * coincide + [False] * apart)
