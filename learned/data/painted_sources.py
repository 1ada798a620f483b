"""Sources of pairs with random contrasts synthesised from label maps of real heads or from phantoms.

Phantoms are heads of simple shapes, and mosaics of random smooth regions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from varreg.data.phantom.anatomy import LABELS as BRAIN
from varreg.data.phantom.anatomy import brain_labels
from varreg.errors import InputError

from .augmentation import PAINTED, IntensityRanges
from .cuts import Cutter, fit, two_people
from .random_fields import seeded_generator, smooth_noise, uniform
from .sources import Scene, check_people, checked_subjects
from .synthesis import LabelTable, freesurfer_table, paint, random_contrast

SKULL = len(BRAIN)
SCALP = SKULL + 1
LABELS = {**BRAIN, "skull": SKULL, "scalp": SCALP}
#: Number of labels of a mosaic; their values follow those of a head.
MOSAIC = 12
_TOTAL = len(LABELS) + MOSAIC
_CLASSES = tuple(range(_TOTAL))
TABLE = LabelTable(
    values=_CLASSES,
    classes=_CLASSES,
    # ventricles look like fluid, deep grey matter like cortex; each other label is its own tissue
    tissues=tuple({BRAIN["ventricle"]: BRAIN["fluid"], BRAIN["deep grey"]: BRAIN["cortex"]}
                  .get(label, label) for label in _CLASSES),
    brain=tuple(label not in (BRAIN["background"], SKULL, SCALP) for label in _CLASSES),
)  # fmt: skip
_SMALLEST = 32  # voxels along an axis, to resolve a folded cortex
_KEPT_PHANTOMS = 256  # label maps cached in a process, one byte per voxel


def head_labels(shape: Sequence[int], generator: torch.Generator) -> NDArray[np.uint8]:
    """Brain of random size (:func:`varreg.data.phantom.anatomy.brain_labels`) with skull and scalp.

    The shape is (n, m) or (n, m, k), at least 32 along each axis; labels are those in `LABELS`, uint8.

    Examples
    --------
    >>> labels = head_labels((48, 48), torch.Generator().manual_seed(0))
    >>> int(labels.max()) == LABELS["scalp"]
    True
    """
    from scipy.ndimage import distance_transform_edt

    _check_shape(shape, "head_labels")
    seed = int(torch.randint(2**62, (), generator=generator))
    size = tuple(max(_SMALLEST, int(n * uniform(0.78, 0.98, generator))) for n in shape)
    brain = brain_labels(size, np.random.default_rng(seed))
    labels = fit(brain, tuple(shape), tuple((n - 1) / 2 for n in size))
    depth = distance_transform_edt(labels == 0) / min(shape)
    # the thickness of skull and scalp varies
    inner, outer = (
        0.5
        + 0.5 * torch.sigmoid(smooth_noise(shape, max(shape) / 4, 2, generator)).double().numpy()
    )
    skull = 0.04 * inner
    labels[(depth > 0) & (depth <= skull)] = SKULL
    labels[(depth > skull) & (depth <= skull + 0.05 * outer)] = SCALP
    return labels


def mosaic_labels(shape: Sequence[int], generator: torch.Generator) -> NDArray[np.uint8]:
    """Mosaic of random smooth regions in a random round outline (SynthMorph, doi 10.1109/TMI.2021.3116879).

    Every voxel has the label whose smooth noise is largest there, and 0 outside; heads have other labels.

    Examples
    --------
    >>> labels = mosaic_labels((48, 48), torch.Generator().manual_seed(0))
    >>> bool(labels[labels > 0].min() >= len(LABELS))
    True
    """
    _check_shape(shape, "mosaic_labels")
    spacing = max(shape) * uniform(0.06, 0.2, generator)
    regions = smooth_noise(shape, spacing, MOSAIC, generator).argmax(0)
    labels = (regions + len(LABELS)).to(torch.uint8).numpy()
    axes = [(2 * np.arange(n) + 1) / n - 1 for n in shape]
    radii = [uniform(0.7, 0.95, generator) for _ in shape]
    grids = np.meshgrid(*(x / r for x, r in zip(axes, radii, strict=True)), indexing="ij")
    outline = smooth_noise(shape, max(shape) / 3, 1, generator)[0].numpy()
    labels[sum(grid**2 for grid in grids) + 0.15 * outline > 1] = 0
    return labels


def _check_shape(shape: Sequence[int], function: str) -> None:
    if len(shape) not in (2, 3) or min(shape) < _SMALLEST:
        raise InputError(
            f"{function}: `shape` must be two or three numbers of voxels, each at least "
            f"{_SMALLEST}; got {tuple(shape)}."
        )


class LabelSource:
    """Source of pairs of random contrasts, synthesised from label maps of real heads.

    Parameters
    ----------
    maps : mapping of str to (n, m, k) int arrays
        Label map of each subject id.
    shape, axes, least_share, intensities
        As for :class:`learned.data.sources.RealSource`.
    table : LabelTable, optional
        Meaning of the labels; by default that of FreeSurfer.
    stripped : float
        Probability that both images are skull-stripped.
    people, atlas
        As for :class:`learned.data.sources.RealSource`.

    Raises
    ------
    InputError
        If there is no label map, a map is empty, a label is not in the table, or pairs of two people
        are requested for a single person.

    Examples
    --------
    >>> head = np.full((8, 8, 8), 3)
    >>> head[2:5] = 2
    >>> LabelSource({"a": head}, (8, 8)).draw(torch.Generator().manual_seed(0)).fixed.shape
    torch.Size([8, 8])
    """

    def __init__(
        self,
        maps: Mapping[str, NDArray[Any]],
        shape: tuple[int, ...],
        *,
        axes: tuple[int, ...] = (2,),
        least_share: float = 0.3,
        intensities: IntensityRanges = PAINTED,
        table: LabelTable | None = None,
        stripped: float = 0.5,
        people: float = 0.0,
        atlas: str | None = None,
    ) -> None:
        self.owners, self.people, self.atlas = list(maps), people, atlas
        self.subjects = check_people(self.owners, people, atlas, "LabelSource")
        self.coincide = frozenset([True] * (people < 1) + [False] * (people > 0))
        self.has_labels = True
        self._alone = [k for k, owner in enumerate(self.owners) if owner != atlas]
        self.shape, self.intensities, self.stripped = tuple(shape), intensities, stripped
        if table is None:
            present = {int(value) for labels in maps.values() for value in np.unique(labels)}
            table = freesurfer_table(sorted(present))
        self.table = table
        self._indices = [table.indices(labels) for labels in maps.values()]
        # slices are chosen by the brain, if labelled, so that stripped images have enough foreground too
        brain = np.array(table.brain)
        shown = brain if all(brain[i].any() for i in self._indices) else np.array(table.values) > 0
        self._cutter = Cutter(
            [np.take(shown, i) for i in self._indices], self.shape, axes, least_share
        )

    def draw(self, generator: torch.Generator) -> Scene:
        """Two contrasts of one slice or patch, of the same head or of two heads."""
        if self.people and uniform(0, 1, generator) < self.people:
            cuts = two_people(self._cutter, self.owners, self.atlas, generator)
        else:
            cuts = (self._cutter.draw(generator, self._alone),) * 2
        names = dict.fromkeys(self.owners[cut.volume] for cut in cuts)
        moving, fixed = (torch.from_numpy(cut.of(self._indices[cut.volume])) for cut in cuts)
        scene = _painted(moving, fixed, self.table, self.stripped, generator, " -> ".join(names))
        return scene._replace(coincide=cuts[0] == cuts[1])


class PhantomSource:
    """Source of pairs of random contrasts of a phantom head or mosaic; it requires no data.

    Parameters
    ----------
    anatomies : sequence of int
        Non-negative numbers of the anatomies; different numbers are different people.
    shape : tuple of int
        (*S), each at least 32.
    intensities : IntensityRanges
    stripped : float
        Probability that both images are skull-stripped.
    mosaics : float
        Fraction of the anatomies that are mosaics.

    Examples
    --------
    >>> source = PhantomSource(range(4), (48, 48))
    >>> source.draw(torch.Generator().manual_seed(0)).subject
    'phantom-0'
    """

    def __init__(
        self,
        anatomies: Sequence[int],
        shape: tuple[int, ...],
        *,
        intensities: IntensityRanges = PAINTED,
        stripped: float = 0.5,
        mosaics: float = 0.3,
    ) -> None:
        names = [f"phantom-{number}" for number in anatomies]
        self.subjects = checked_subjects(names, "PhantomSource")
        self.anatomies, self.shape = tuple(anatomies), tuple(shape)
        self.intensities, self.stripped, self.mosaics = intensities, stripped, mosaics
        self.coincide, self.has_labels = frozenset([True]), True

    def draw(self, generator: torch.Generator) -> Scene:
        """Two contrasts of one anatomy."""
        place = int(torch.randint(len(self.anatomies), (), generator=generator))
        labels = _phantom(self.anatomies[place], self.shape, self.mosaics)
        indices = torch.from_numpy(labels.copy())
        return _painted(indices, indices, TABLE, self.stripped, generator, self.subjects[place])


@lru_cache(maxsize=_KEPT_PHANTOMS)
def _phantom(number: int, shape: tuple[int, ...], mosaics: float) -> NDArray[np.uint8]:
    """Label map of an anatomy; cached, because a head takes longer than the rest of a pair."""
    generator = seeded_generator(number)
    make = mosaic_labels if uniform(0, 1, generator) < mosaics else head_labels
    return make(shape, generator)


def _painted(
    moving: Tensor,
    fixed: Tensor,
    table: LabelTable,
    stripped: float,
    generator: torch.Generator,
    subject: str,
) -> Scene:
    """Images synthesised from two label maps, both skull-stripped or neither."""
    only_brain = uniform(0, 1, generator) < stripped
    images = [
        paint(indices, random_contrast(table, generator, stripped=only_brain), generator)
        for indices in (moving, fixed)
    ]
    shown = torch.tensor(table.brain) if only_brain else torch.tensor(table.values) > 0
    labels = [indices * shown[indices.long()] for indices in (moving, fixed)]
    return Scene(images[0], images[1], labels[1] > 0, subject, labels=(labels[0], labels[1]))
