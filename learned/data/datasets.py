"""Reproducible dataset of random image pairs with the map between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from varreg.errors import InputError

from ..config import LossConfig
from ..spatial import compose, view_weight
from .augmentation import WarpedScene, acquire, random_flips, warp_labels, warp_scene
from .random_fields import seeded_generator, uniform
from .random_maps import POSE, WarpRanges, random_map
from .sources import Scene, Source

_LEAST_VISIBLE = 0.25  # share of the foreground whose counterpart must be in view
_TRIES = 10

Position = tuple[int, int]


class Pair(NamedTuple):
    """Pair of images with its known map and labels; in a batch all fields have a leading axis N.

    Attributes
    ----------
    moving, fixed : (1, *S) float32 tensor
        In [0, 1].
    truth : (d, *S) float32 tensor
        Displacement fixed -> moving, voxels; meaningless if `known` is false.
    affine : (d, d + 1) float32 tensor
        Affine part A of the true map x -> A(x + v(x)), on centred coordinates.
    visible : (1, *S) bool tensor
        Voxels of the fixed foreground whose counterpart is in view; errors are evaluated there.
    subject : str
    known : () bool tensor
        Whether the images coincided before the random map, so that `truth` is the map between them.
    moving_labels, fixed_labels : (1, *S) uint8 tensor
        Label maps with the same label for the same structure, 0 for background; empty if not requested.
    """

    moving: Tensor
    fixed: Tensor
    truth: Tensor
    affine: Tensor
    visible: Tensor
    subject: str
    known: Tensor = torch.tensor(True)
    moving_labels: Tensor = torch.zeros(0, dtype=torch.uint8)
    fixed_labels: Tensor = torch.zeros(0, dtype=torch.uint8)


class PairDataset(Dataset[Pair]):
    """Random pairs that depend only on (seed, epoch, index).

    They do not depend on earlier accesses or on the number of processes, so a resumed run continues
    with the same pairs.  Index by ``(epoch, index)``; a single number is an index in epoch 0.

    Parameters
    ----------
    sources : sequence of (Source, float)
        Sources with the same shape, and their relative frequencies.
    length : int
        Number of pairs in an epoch.
    seed : int
        At least 0.
    warp : WarpRanges
        Ranges of the map between the two images.
    pose : WarpRanges
        Ranges of the map applied to both images, in addition to random flips.
    labels : bool
        Whether pairs have label maps; for sources without labels they are 0.

    Raises
    ------
    InputError
        If there is no source, the shapes differ, or a share is not above 0.

    Examples
    --------
    >>> from learned.data.painted_sources import PhantomSource
    >>> dataset = PairDataset([(PhantomSource(range(4), (48, 48)), 1.0)], length=8, seed=0)
    >>> dataset[0, 3].truth.shape
    torch.Size([2, 48, 48])
    """

    def __init__(
        self,
        sources: Sequence[tuple[Source, float]],
        *,
        length: int,
        seed: int,
        warp: WarpRanges | None = None,
        pose: WarpRanges = POSE,
        labels: bool = False,
    ) -> None:
        shapes = {source.shape for source, _ in sources}
        if len(shapes) != 1:
            raise InputError(
                "PairDataset: `sources` must be one or more sources with the same shape; got "
                f"{len(sources)} with the shapes {sorted(shapes)}."
            )
        shares = np.array([share for _, share in sources], dtype=np.float64)
        if not (np.isfinite(shares).all() and (shares > 0).all()):
            raise InputError(
                f"PairDataset: every share of `sources` must be a number above 0; got {shares}. Omit "
                "sources that are not used."
            )
        if length < 1:
            raise InputError(f"PairDataset: `length` must be at least 1; got {length}.")
        seeded_generator(seed)
        self.sources = tuple(source for source, _ in sources)
        self.shape = shapes.pop()
        self.length, self.seed, self.pose = length, seed, pose
        self.warp, self.labels = WarpRanges() if warp is None else warp, labels
        self._limits = np.cumsum(shares / shares.sum())

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subject ids of all sources, for :func:`learned.data.subjects.check_disjoint`."""
        return tuple(sorted({name for source in self.sources for name in source.subjects}))

    @property
    def known(self) -> frozenset[bool]:
        """Possible values of :attr:`Pair.known`; without random motion no map is considered known."""
        kinds = {kind for source in self.sources for kind in source.coincide}
        return frozenset(kind and self.warp.moves for kind in kinds)

    @property
    def has_labels(self) -> bool:
        """Whether some pairs have label maps."""
        return self.labels and any(source.has_labels for source in self.sources)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, position: int | Position) -> Pair:
        """Pair at (epoch, index), or at an index of epoch 0.

        Raises
        ------
        InputError
            If no pair with enough common foreground is found.
        IndexError
            If the index is out of range.
        """
        epoch, index = position if isinstance(position, tuple) else (0, position)
        if not 0 <= index < self.length:
            raise IndexError(f"PairDataset: index {index} is not in [0, {self.length}).")
        generator = seeded_generator(self.seed, epoch, index)
        for _ in range(_TRIES):
            pair = self._drawn(generator)
            if pair is not None:
                return pair
        raise InputError(
            f"PairDataset: none of {_TRIES} random pairs had {_LEAST_VISIBLE:.0%} of the foreground in "
            "view of both images; narrow `warp` and `pose`."
        )

    def _drawn(self, generator: torch.Generator) -> Pair | None:
        """Random pair, or None if too little of the foreground is in view of both images."""
        which = int(np.searchsorted(self._limits, uniform(0, 1, generator), side="right"))
        source = self.sources[min(which, len(self.sources) - 1)]
        scene = source.draw(generator)
        truth = random_map(self.shape, self.warp, generator)
        warped, labels = _warped(scene, truth.displacement, self.pose, generator, self.labels)
        visible = _visible(warped)
        if not visible.any() or visible.sum() < _LEAST_VISIBLE * scene.foreground.sum():
            return None
        moving, fixed = (
            acquire(image[0, 0].clamp(0, 1), source.intensities, generator)[None]
            for image in (warped.moving, warped.fixed)
        )
        known = torch.tensor(scene.coincide and self.warp.moves)
        return Pair(
            moving, fixed, truth.displacement[0], truth.affine[0], visible[0], scene.subject,
            known, *labels,
        )  # fmt: skip


def check_terms(loss: LossConfig, pairs: PairDataset) -> None:
    """Check that the loss has a term for every kind of pair.

    Raises
    ------
    InputError
        If it has none for some pairs, or a term requires maps or labels that no pair has.
    """
    energy = max(loss.mutual_information, loss.smoothness, loss.background, loss.consistency)
    if loss.known_map and True not in pairs.known:
        raise InputError(
            "learned.train: `loss.known_map` requires pairs with a known random map, but there are none: all motion "
            "in `data` is 0, or no two images coincide. Set it to 0, allow some motion, or add such images."
        )
    if False in pairs.known and not max(energy, loss.dice):
        raise InputError(
            "learned.train: some pairs (different people, images that do not coincide, no motion) have no known "
            "map, but `loss.known_map` is the only term of the loss. Set `loss.mutual_information` and "
            "`loss.smoothness`, or `loss.dice`."
        )
    if loss.dice and not pairs.has_labels:
        raise InputError(
            "learned.train: `loss.dice` requires label maps, but no source has any. List them in the manifest, or "
            "set it to 0."
        )


def _warped(
    scene: Scene, truth: Tensor, pose: WarpRanges, generator: torch.Generator, labels: bool
) -> tuple[WarpedScene, tuple[Tensor, Tensor] | tuple[()]]:
    """Both images in a random pose, each with the foreground as second channel, and the label maps."""
    channels = [scene.moving, scene.fixed, scene.foreground.float()]
    if labels:
        none = torch.zeros_like(scene.moving)
        channels += [none, none] if scene.labels is None else [m.float() for m in scene.labels]
    stack = random_flips(torch.stack(channels), generator)[:, None]
    shared = random_map(stack.shape[2:], pose, generator).displacement
    warped = warp_scene(
        torch.stack([stack[0], stack[2]], 1), torch.stack([stack[1], stack[2]], 1), shared, truth
    )
    if not labels:
        return warped, ()
    moving = warp_labels(stack[3][None], shared)
    fixed = warp_labels(stack[4][None], compose(shared, truth))
    return warped, (moving[0].to(torch.uint8), fixed[0].to(torch.uint8))


def _visible(warped: WarpedScene) -> Tensor:
    """Foreground of the fixed image whose counterpart is in view of the moving image, (1, 1, *S)."""
    seen = view_weight(warped.truth, warped.moving.shape[2:]) == 1
    return seen & (warped.fixed[:, 1:] > 0.5)
