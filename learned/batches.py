"""The batches of an epoch, and this process's share of them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader

from varreg.errors import InputError

from .config import Config
from .data.datasets import EpochSampler, Pair, PairDataset
from .distributed import Processes
from .interruption import ignore_interrupts


class Batches:
    """Batches of the training pairs; all are full, what is left of an epoch is not used.

    Parameters
    ----------
    config : Config
    pairs : PairDataset
    ours : Processes
        Each takes as many pairs of every batch, in the order of the ranks.

    Attributes
    ----------
    steps : int
        Batches of an epoch.

    Raises
    ------
    InputError
        If an epoch has no full batch, or the processes cannot share one equally.
    """

    def __init__(self, config: Config, pairs: PairDataset, ours: Processes) -> None:
        self.size, self.workers = config.optimiser.batch_size, config.data.workers
        self.pairs, self.ours = pairs, ours
        if self.size > len(pairs):
            raise InputError(
                "learned.train: `optimiser.batch_size` must be at most `data.pairs_per_epoch`, "
                f"{len(pairs)}; got {self.size}."
            )
        if self.size % ours.count:
            raise InputError(
                "learned.train: `optimiser.batch_size` is of all processes together, so "
                f"{ours.count} must divide it; got {self.size}."
            )
        self.steps = len(pairs) // self.size

    def of_epoch(self, epoch: int, start: int = 0) -> Iterator[Pair]:
        """Our share of the batches of an epoch.

        Parameters
        ----------
        epoch : int
        start : int
            The first batch, to go on in the middle.
        """
        places = list(EpochSampler(self.steps * self.size, epoch, start * self.size))
        share = self.size // self.ours.count
        first = self.ours.rank * share
        mine = [places[k + first : k + first + share] for k in range(0, len(places), self.size)]
        loader = DataLoader(
            self.pairs,
            batch_sampler=mine,
            num_workers=self.workers,
            worker_init_fn=ignore_interrupts,
            generator=torch.Generator(),  # not the global one: how often one resumes must not show
        )
        return iter(loader)
