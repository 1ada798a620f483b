"""Synthesis of images with random contrast from label maps, for training without real pairs.

Each tissue class has a random intensity, independent in both images: two contrasts of one anatomy
that have only their edges in common (after Billot et al., SynthSeg,
doi 10.1016/j.media.2023.102789, and Hoffmann et al., SynthMorph, doi 10.1109/TMI.2021.3116879).
Blur, bias field and noise are added by :mod:`learned.data.augmentation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from varreg.errors import InputError

from .random_fields import smooth_noise, uniform

#: FreeSurfer's labels by tissue. Each tissue is a group of classes, and each class a tuple of
#: labels (left, right).
FREESURFER_TISSUES: dict[str, tuple[tuple[int, ...], ...]] = {
    "white matter": ((2, 41), (7, 46), (16,), (28, 60), (85,)),
    "cortex": ((3, 42), (8, 47), (17, 53), (18, 54)),
    "deep grey matter": ((10, 49), (11, 50), (12, 51), (13, 52), (26, 58)),
    "fluid": ((4, 43), (5, 44), (14,), (15,), (24,), (72,), (136, 163), (137, 164)),
    "lesion": ((25, 57),),
    "vessel": ((30, 62),),
}
#: Labels from here on are outside the brain.
FREESURFER_OUTSIDE = 500


@dataclass(frozen=True)
class LabelTable:
    """Meaning of the labels of a label map.

    Attributes
    ----------
    values : tuple of int
        Labels in increasing order; the first is 0, the background.
    classes : tuple of int
        Class of each label, 0 .. n - 1, 0 for the background; labels of one class have the same
        intensity in an image.
    tissues : tuple of int
        Group of each class, 0 .. n - 1; classes of one group tend to have similar intensities.
    brain : tuple of bool
        Whether each label belongs to the brain, and so remains after skull stripping.

    Raises
    ------
    InputError
        If the entries are inconsistent.

    Examples
    --------
    >>> LabelTable((0, 2, 41), (0, 1, 1), (0, 1), (False, True, True)).indices(
    ...     np.array([41, 0, 2])).tolist()
    [2, 0, 1]
    """

    values: tuple[int, ...]
    classes: tuple[int, ...]
    tissues: tuple[int, ...]
    brain: tuple[bool, ...]

    def __post_init__(self) -> None:
        count = len(self.values)
        increasing = all(a < b for a, b in zip(self.values, self.values[1:], strict=False))
        if not 2 <= count <= 256 or self.values[0] != 0 or not increasing:
            raise InputError(
                "LabelTable: `values` must be 2 to 256 increasing labels, beginning with 0; got "
                f"{self.values}."
            )
        if len(self.classes) != count or len(self.brain) != count or self.classes[0] != 0:
            raise InputError(
                f"LabelTable: `classes` and `brain` must have one entry for each of the {count} "
                "`values`, and the class of the background must be 0."
            )
        if sorted(set(self.classes)) != list(range(len(self.tissues))):
            raise InputError(
                "LabelTable: `classes` must contain all numbers from 0 to n - 1 for n entries "
                f"of `tissues`; got {sorted(set(self.classes))} and {len(self.tissues)}."
            )
        if not all(0 <= tissue < len(self.tissues) for tissue in self.tissues):
            raise InputError(
                f"LabelTable: `tissues` must be numbers from 0 to {len(self.tissues) - 1}; got "
                f"{self.tissues}."
            )

    def indices(self, labels: NDArray[Any]) -> NDArray[np.uint8]:
        """Replace every label by its index in `values`.

        Parameters
        ----------
        labels : (*T) int array

        Returns
        -------
        (*T) uint8 array

        Raises
        ------
        InputError
            If a label is not in the table.
        """
        lowest, highest = int(labels.min()), int(labels.max())
        place = np.full(max(self.values[-1], highest) + 1, -1, dtype=np.int16)
        place[list(self.values)] = np.arange(len(self.values))
        missing = {lowest} if lowest < 0 else set(np.unique(labels[place[labels] < 0]).tolist())
        if missing:
            raise InputError(
                f"LabelTable.indices: `labels` contains {sorted(missing)}, not in the table, "
                f"whose labels are {self.values}."
            )
        return place.astype(np.uint8)[labels]


class Contrast(NamedTuple):
    """Intensity and texture of every label in one image.

    Attributes
    ----------
    mean : (K,) float32 tensor
        Intensity in [0, 1]; 0 for the background and stripped labels.
    texture : (K,) float32 tensor
        Standard deviation within the label.
    """

    mean: Tensor
    texture: Tensor


def freesurfer_table(values: Sequence[int]) -> LabelTable:
    """Table of labels in the numbering of FreeSurfer and SynthSeg.

    Parameters
    ----------
    values : sequence of int
        Labels that occur; 0 is added.  An unknown label is a class of its own, outside the brain if it
        is 500 or more.

    Returns
    -------
    LabelTable

    Examples
    --------
    >>> freesurfer_table([2, 41, 3, 507]).classes
    (0, 1, 2, 1, 3)
    """
    known = {
        label: (tissue, members)
        for tissue, classes in FREESURFER_TISSUES.items()
        for members in classes
        for label in members
    }
    ordered = sorted({0, *(int(value) for value in values)})
    numbers: dict[Any, int] = {}
    groups: dict[Any, int] = {}
    classes, tissues = [], []
    for value in ordered:
        tissue, members = known.get(value, (value, value))
        if members not in numbers:
            numbers[members] = len(numbers)
            tissues.append(groups.setdefault(tissue, len(groups)))
        classes.append(numbers[members])
    brain = tuple(0 < value < FREESURFER_OUTSIDE for value in ordered)
    return LabelTable(tuple(ordered), tuple(classes), tuple(tissues), brain)


def random_contrast(
    table: LabelTable, generator: torch.Generator, *, stripped: bool = False
) -> Contrast:
    """Random intensities and textures of the labels.

    Parameters
    ----------
    table : LabelTable
    generator : torch.Generator
    stripped : bool
        Whether labels outside the brain are 0.

    Returns
    -------
    Contrast

    Examples
    --------
    >>> table = freesurfer_table([2, 41])
    >>> mean, _ = random_contrast(table, torch.Generator().manual_seed(0))
    >>> bool(mean[0] == 0), bool(mean[1] == mean[2])
    (True, True)
    """
    classes = torch.tensor(table.classes)
    tissues = torch.tensor(table.tissues)
    own = torch.rand(len(tissues), generator=generator)
    shared = torch.rand(len(tissues), generator=generator)[tissues]
    # from independent intensities of all structures to equal ones within a tissue, as in real images
    share = uniform(0, 1, generator)
    mean = (share * shared + (1 - share) * own)[classes]
    largest = uniform(0, 0.1, generator)
    texture = largest * torch.rand(len(tissues), generator=generator)[classes]
    seen = torch.tensor(table.brain) if stripped else torch.arange(len(classes)) > 0
    return Contrast(mean * seen, texture * seen)


def paint(indices: Tensor, contrast: Contrast, generator: torch.Generator) -> Tensor:
    """Image of a label map with the given contrast.

    Parameters
    ----------
    indices : (*S) uint8 tensor
        Result of :meth:`LabelTable.indices`.
    contrast : Contrast
    generator : torch.Generator
        Generator of the texture, with a correlation length of 1 to 4 voxels.

    Returns
    -------
    (*S) float32 tensor
        In [0, 1].

    Raises
    ------
    InputError
        If an index has no entry.

    Examples
    --------
    >>> contrast = Contrast(torch.tensor([0.0, 0.5]), torch.zeros(2))
    >>> paint(torch.tensor([[0, 1]] * 4, dtype=torch.uint8), contrast, torch.Generator())[0].tolist()
    [0.0, 0.5]
    """
    place = indices.long()
    if int(place.max()) >= len(contrast.mean):
        raise InputError(
            f"paint: `indices` go up to {int(place.max())}, but `contrast` has "
            f"{len(contrast.mean)} entries; create both from one LabelTable."
        )
    grain = smooth_noise(place.shape, uniform(1, 4, generator), 1, generator)[0]
    return torch.addcmul(contrast.mean[place], contrast.texture[place], grain).clamp(0, 1)
