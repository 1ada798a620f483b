"""A training step, from the batch to the optimiser, and deferred reading of its figures."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader

from varreg.errors import DivergenceError, InputError

from .blocks import Dropout
from .cascade import Cascade
from .checkpoint import Position, Training
from .config import Config, OptimiserConfig
from .data.datasets import Pair, PairDataset
from .devices import Interruption, gather, ignore_interrupts
from .losses.objective import Losses
from .losses.supervised import Known
from .tensors import trusted_values

READ_EVERY = 16  # steps between readings of the figures on a GPU, since each reading synchronises
NAMES = (*Losses._fields, "gradient", "interrupted")


@dataclass(frozen=True)
class Batches:
    """Batch sampler: (epoch, index) of the pairs of every batch; incomplete batches are dropped.

    Attributes
    ----------
    size, steps : int
        Pairs per batch over all processes, and batches per epoch.
    rank, count : int
        Rank of this process, and number of processes; each has an equal share of every batch.
    first, last, start : int
        First epoch, end (exclusive) of the epochs, and first batch of the first epoch.
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
            places = [(epoch, index) for index in range(begin, self.steps * self.size)]
            for k in range(self.rank * share, len(places), self.size):
                yield places[k : k + share]


def steps_of_epoch(config: Config, pairs: PairDataset, count: int) -> int:
    """Number of full batches per epoch; an InputError if it is 0 or batches cannot be divided among processes."""
    size = config.optimiser.batch_size
    if size > len(pairs):
        raise InputError(
            "learned.train: `optimiser.batch_size` must be at most `data.pairs_per_epoch`, "
            f"{len(pairs)}; got {size}."
        )
    if size % count:
        raise InputError(
            "learned.train: `optimiser.batch_size` is divided among all processes and must be a multiple of "
            f"their number, {count}; got {size}."
        )
    return len(pairs) // size


def loaded(
    pairs: PairDataset, batches: Batches, workers: int, device: torch.device
) -> Iterator[Pair]:
    """Batches on the device; worker processes exist as long as the iterator."""
    loader = DataLoader(
        pairs,
        batch_sampler=batches,  # type: ignore[arg-type]
        num_workers=workers,
        worker_init_fn=ignore_interrupts,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # not the global one, whose state would depend on how often the run was resumed
    )
    for batch in loader:
        moved = {
            name: part.to(device, non_blocking=True)
            for name, part in batch._asdict().items()
            if isinstance(part, Tensor)
        }
        yield batch._replace(**moved)


class Taken(NamedTuple):
    """Step whose figures have not been read yet."""

    position: Position
    subjects: list[str]
    figures: Tensor
    learning_rate: float


class Steps:
    """Steps of a training.

    Parameters
    ----------
    config : Config
    fabric : lightning_fabric.Fabric
    model : Cascade
        Trained network; its generators are replaced by those of the steps.
    """

    def __init__(self, config: Config, fabric: Fabric, model: Cascade) -> None:
        self.config, self.fabric, self.model = config, fabric, model
        self.unread: list[Taken] = []
        self.checked: nn.Module | None = None
        self.masks, self.noise = torch.Generator(fabric.device), torch.Generator()
        for module in model.modules():
            if isinstance(module, Dropout):
                module.generator = self.masks
            elif isinstance(getattr(module, "generator", None), torch.Generator):
                module.generator = self.noise  # type: ignore[assignment]

    def take(
        self,
        module: nn.Module,
        training: Training,
        batch: Pair,
        position: Position,
        rate: float,
        interruption: Interruption,
    ) -> None:
        """Run one step of Adam, without reading figures, which would synchronise with a GPU.

        Parameters
        ----------
        module : nn.Module
            Loss of a stage, see :mod:`learned.stages`, after ``fabric.setup_module``.
        training : Training
            Model, optimiser and state.
        batch : Pair
            This process's share of the batch.
        position, rate : Position, float
            Position before the step, and learning rate.
        interruption : Interruption
            Evaluated last, so that signals during the step are included.
        """
        self._seed(position)
        training.optimiser.zero_grad()
        # Fabric's mixed precision would also round the images
        half = self.config.train.precision == "bfloat16"
        looks = trusted_values() if self.checked is module else nullcontext()
        with torch.autocast(self.fabric.device.type, torch.bfloat16, enabled=half), looks:
            labels = batch.moving_labels, batch.fixed_labels
            some = labels if labels[0].numel() else None
            known = Known(batch.truth, batch.visible, batch.known, some)
            losses: Losses = module(batch.moving, batch.fixed, known)
        self.checked = module  # values are validated only in the first step of a stage
        self.fabric.backward(losses.total + auxiliary(self.model))
        group = training.optimiser.param_groups[0]
        largest = self.config.optimiser.gradient_clipping or math.inf
        gradient = nn.utils.clip_grad_norm_(group["params"], largest)
        group["lr"] = rate
        training.optimiser.step()
        training.average(self.config.optimiser.averaging)
        stop = torch.full_like(gradient, float(interruption.signal != 0))
        figures = torch.stack([n.detach().double() for n in (*losses, gradient, stop)])
        place = dataclasses.replace(position, step=position.step + 1)
        self.unread.append(Taken(place, list(batch.subject), figures, rate))

    @property
    def are_due(self) -> bool:
        """Whether the figures should be read: after several steps, on a CPU after each."""
        return self.fabric.device.type == "cpu" or len(self.unread) >= READ_EVERY

    def read(self) -> Iterator[tuple[Position, dict[str, float]]]:
        """Figures of the steps since the last reading, means over all processes.

        They are the terms of the loss, "gradient" (its norm before clipping), "interrupted" (above 0 if any
        process has received a signal) and "learning_rate".

        Raises
        ------
        DivergenceError
            At the first step with a loss or gradient that is not finite.
        """
        taken, self.unread = self.unread, []
        rows = torch.stack([step.figures for step in taken])
        if self.fabric.world_size > 1:
            rows = self.fabric.all_reduce(rows, reduce_op="mean")  # type: ignore[assignment]
        for step, row in zip(taken, rows.tolist(), strict=True):
            values = dict(zip(NAMES, row, strict=True))
            if not (math.isfinite(values["total"]) and math.isfinite(values["gradient"])):
                raise self._diverged(step, values)
            yield step.position, {**values, "learning_rate": step.learning_rate}

    def _seed(self, position: Position) -> None:
        """Seed all generators by step and process."""
        place = (self.config.train.seed, position.step, self.fabric.global_rank)
        seed = int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0] >> 1)
        torch.manual_seed(seed)  # used by networks of other packages
        self.masks.manual_seed(seed)
        self.noise.manual_seed(seed)

    def _diverged(self, step: Taken, values: Mapping[str, float]) -> DivergenceError:
        """Error for a loss or gradient that is not finite, with the subjects of the batch."""
        subjects = [name for part in gather(self.fabric, step.subjects) for name in part]
        place = step.position
        return DivergenceError(
            f"learned.train: the loss is {values['total']:g} and its gradient {values['gradient']:g} in "
            f"stage {place.stage!r}, epoch {place.epoch + 1}, step {place.step}, with the subjects "
            f"{', '.join(subjects)}. The last checkpoint is unaffected. "
            "Try a smaller `optimiser.learning_rate` or `optimiser.gradient_clipping`, and check the "
            "images of these subjects."
        )


def learning_rate(config: OptimiserConfig, step: int, steps: int) -> float:
    """Learning rate at a `step`, counted from 0, of a stage with `steps` steps.

    Examples
    --------
    >>> config = OptimiserConfig(learning_rate=1, schedule="cosine", warm_up=2)
    >>> [round(learning_rate(config, k, 6), 3) for k in range(6)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
    """
    if step < config.warm_up:
        return config.learning_rate * (step + 1) / config.warm_up
    if config.schedule == "constant":
        return config.learning_rate
    passed = (step - config.warm_up) / max(steps - config.warm_up, 1)
    cosine = 0.5 * (1 + math.cos(math.pi * min(passed, 1.0)))
    return config.learning_rate * (config.last_rate + (1 - config.last_rate) * cosine)


def auxiliary(cascade: Cascade) -> Tensor | float:
    """Sum of additional losses of the networks, see :mod:`learned.baselines`."""
    added = [getattr(net, "auxiliary", None) for net in cascade.dt_nets]
    return sum((extra for extra in added if isinstance(extra, Tensor)), 0.0)
