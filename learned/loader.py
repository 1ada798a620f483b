"""The batches of a stage of the training, and this process's share of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from varreg.errors import InputError

from .config import Config, LossConfig
from .data.datasets import EpochSampler, Pair, PairDataset
from .interruption import ignore_interrupts


@dataclass(frozen=True)
class Batches:
    """Places of the pairs of every batch, epoch after epoch; what is left of an epoch is not used.

    Attributes
    ----------
    size, steps : int
        Pairs of a batch, of all processes together, and batches of an epoch.
    rank, count : int
        Of this process and of all; each takes as many pairs of every batch, in the order of the ranks.
    first, last, start : int
        The first epoch, the first that is not wanted, and the first batch of the first one.
    """

    size: int
    steps: int
    rank: int
    count: int
    first: int
    last: int
    start: int

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        share = self.size // self.count
        for epoch in range(self.first, self.last):
            begin = self.start * self.size if epoch == self.first else 0
            places = list(EpochSampler(self.steps * self.size, epoch, begin))
            for k in range(self.rank * share, len(places), self.size):
                yield places[k : k + share]


def steps_of_epoch(config: Config, pairs: PairDataset, count: int) -> int:
    """Full batches of an epoch.

    Raises
    ------
    InputError
        If there is none, or the processes cannot share one equally.
    """
    size = config.optimiser.batch_size
    if size > len(pairs):
        raise InputError(
            "learned.train: `optimiser.batch_size` must be at most `data.pairs_per_epoch`, "
            f"{len(pairs)}; got {size}."
        )
    if size % count:
        raise InputError(
            "learned.train: `optimiser.batch_size` is shared by all processes and must be a multiple of "
            f"their number, {count}; got {size}."
        )
    return len(pairs) // size


def check_terms(loss: LossConfig, pairs: PairDataset) -> None:
    """Refuse a loss that has nothing to say of pairs that may come.

    Raises
    ------
    InputError
    """
    energy = max(loss.mutual_information, loss.smoothness, loss.background, loss.consistency)
    if loss.known_map and True not in pairs.known:
        raise InputError(
            "learned.train: `loss.known_map` needs pairs made by random maps, but there are none: every motion "
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
            "learned.train: `loss.dice` needs label maps, but no source has any. Name them in the manifest, or "
            "set it to 0."
        )


def loaded(
    pairs: PairDataset, batches: Batches, workers: int, device: torch.device
) -> Iterator[Pair]:
    """The batches on the device; worker processes last as long as the iterator."""
    loader = DataLoader(
        pairs,
        batch_sampler=batches,  # type: ignore[arg-type]
        num_workers=workers,
        worker_init_fn=ignore_interrupts,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # not the global one: how often one resumes must not show
    )
    for batch in loader:
        moved = {
            name: part.to(device, non_blocking=True)
            for name, part in batch._asdict().items()
            if isinstance(part, Tensor)
        }
        yield batch._replace(**moved)
