"""One training run of a cascade: two stages, steps, validations, checkpoints, and an end.

All that changes is in the position, the tensors and the states that a checkpoint holds, and a pair
depends on nothing but its place in the training.  So a run that is killed and resumed ends with the
bits of one that was not.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from varreg.errors import InputError
from varreg.options.options import Options

from .batches import Batches
from .checkpoint import Checkpoint
from .config import Config
from .data.datasets import Pair
from .data.parts import has_motion, make_parts, training_pairs
from .distributed import Processes
from .divergence import loss_diverged, validation_diverged
from .export import export
from .interruption import Interruption, heed_signals
from .losses.mutual_information import MutualInformation
from .new_cascade import card_of, new_cascade
from .optimiser import keep_layout, make_training
from .position import Position
from .reports import Reports
from .run_folder import RunFolder
from .stages import AFFINE, DEFORMABLE, STAGES, prepare_stage, stage_epochs
from .step import is_finite, take_step
from .training_state import Training
from .validation import Table, evaluate, register, value_of
from .weights import load_weights

PICTURES = 4  # pairs in a picture


class Trained(NamedTuple):
    """What a training leaves.

    Attributes
    ----------
    model : Path
        File of the best weights.
    validation, test : Table or None
        Their figures; without epochs or test pairs there are none.
    """

    model: Path
    validation: Table | None
    test: Table | None


class TrainingRun:
    """One training, from where it stands to its end; see :func:`learned.trainer.train`.

    Parameters
    ----------
    config : Config
    ours : Processes
    folder : RunFolder
        Opened once data and configuration are known to go together: what is refused leaves no folder behind.
    resume : bool
    progress, tensorboard
        As for :func:`learned.trainer.train`.
    """

    def __init__(
        self,
        config: Config,
        ours: Processes,
        folder: RunFolder,
        resume: bool = False,
        progress: bool | None = None,
        tensorboard: bool = True,
    ) -> None:
        self.config, self.ours, self.folder = config, ours, folder
        self.interruption = Interruption()
        self.parts = make_parts(config)
        self.batches = Batches(config, self.parts.train, ours)
        self.steps = self.batches.steps
        self.has_truth = has_motion(config.data)
        if config.loss.known_map and not self.has_truth:
            raise InputError(
                "learned.train: `loss.known_map` needs pairs made by random maps, but every motion of "
                "`data` is 0; set it to 0 or allow some motion."
            )
        self.generator = torch.Generator().manual_seed(config.train.seed)
        self.model = new_cascade(config, self.generator, ours)
        if not resume and not any(stage_epochs(name, config) for name in STAGES):
            raise InputError("learned.train: nothing is to be trained; raise `optimiser.epochs`.")
        ours.first(lambda: folder.open(config, resume))
        self.checkpoints = folder.checkpoints()
        self.checkpoint = self.checkpoints.read_last(ours)
        self.position = Position(AFFINE) if self.checkpoint is None else self.checkpoint.position
        self.reports = Reports(
            folder,
            self.position,
            sum(stage_epochs(name, config) for name in STAGES) * self.steps,
            speaks=ours.is_first,
            progress=progress,
            tensorboard=tensorboard,
        )

    def run(self) -> Trained:
        """Train from where the run stands to its end."""
        try:
            with heed_signals() as self.interruption:
                for name in STAGES[STAGES.index(self.position.stage) :]:
                    if stage_epochs(name, self.config):
                        self._run_stage(name)
                return self._finish()
        finally:
            self.reports.close()

    def _run_stage(self, name: str) -> None:
        """One stage, from its start or from a checkpoint of it."""
        config = self.config.optimiser
        loss = prepare_stage(name, self.model, self.config)
        training = make_training(
            self.model, config, stage_epochs(name, self.config) * self.steps, self.generator
        )
        if self.checkpoint is not None and self.checkpoint.position.stage == name:
            self.checkpoint.restore(training, self.config)
            keep_layout(training.optimiser)
        else:
            self._load_best()
            best = self.position.best
            self.position = Position(name, step=self.position.step, best=best)
            self._save(training)  # from here on the best of the stage before is not needed
        self.checkpoint = None
        module = self.ours.share_of(loss)
        before = config.affine_epochs if name == DEFORMABLE else 0
        batches = self._batches(name)
        while not self._is_over(name):
            place = before + self.position.epoch, self.position.step % self.steps
            for batch in batches.of_epoch(*place):
                self._advance(name, training, self._step(module, training, batch))

    def _batches(self, name: str) -> Batches:
        """What a stage trains on: AT-Net on pairs made as coarse as it sees them."""
        coarser = self.config.model.affine_scale
        if name == DEFORMABLE or coarser == 1:
            return self.batches
        return Batches(self.config, training_pairs(self.config, coarser), self.ours)

    def _advance(self, name: str, training: Training, values: dict[str, float]) -> None:
        """What follows a step: reports, and where they are due a validation and a checkpoint."""
        step, epoch = self.position.step + 1, self.position.epoch
        stopped = bool(values.pop("interrupted"))
        self.reports.step(dataclasses.replace(self.position, step=step), values)
        ends_epoch = step % self.steps == 0
        self.position = dataclasses.replace(self.position, step=step, epoch=epoch + ends_epoch)
        every = self.config.train.validation_every
        is_due = self.position.epoch % every == 0 or self.position.epoch == stage_epochs(
            name, self.config
        )
        is_best = self._validate(name) if ends_epoch and is_due else None
        if is_best is not None or step % self.config.train.checkpoint_every == 0 or stopped:
            self._save(training, bool(is_best))
        if stopped:
            self.interruption.end(
                f"the checkpoint of step {step} is written; go on by: python -m learned.train "
                f"--output {self.config.train.output} --resume"
            )

    def _step(self, module: nn.Module, training: Training, batch: Pair) -> dict[str, float]:
        values = take_step(
            module,
            training,
            batch,
            self.ours,
            in_half=self.config.train.precision == "bfloat16",
            largest_gradient=self.config.optimiser.gradient_clipping,
            interruption=self.interruption,
        )
        if not is_finite(values):
            subjects = [name for part in self.ours.gather(list(batch.subject)) for name in part]
            raise loss_diverged(values, subjects, self.position, self.checkpoints.last)
        return values

    def _validate(self, name: str) -> bool:
        """Judge the cascade; export it if it is the best so far."""
        # before the second stage its networks move nothing
        cascade = self.model if name == DEFORMABLE else self.model.affine_only()
        pairs, device = self.parts.validation, self.ours.device
        table = evaluate(cascade, pairs, self._similarity(), self.ours)
        value = value_of(table, self.has_truth)
        if not math.isfinite(value):
            raise validation_diverged(value, self.position)
        self.position, is_best = self.position.after_validation(value)
        if self.ours.is_first:
            shown = range(min(PICTURES, len(pairs)))
            registered = [register(cascade, pairs[0, k], device) for k in shown]
            self.reports.validation(self.position, table, is_best, registered)
            if is_best:
                self._export(self.position, table)
        return is_best

    def _finish(self) -> Trained:
        """Test the best weights, once, and export them."""
        best = self._load_best()
        line = self.ours.first(self.reports.best)
        if best is None or line is None:
            raise InputError("learned.train: nothing was trained; raise `optimiser.epochs`.")
        test = None
        if self.parts.test is not None:
            test = evaluate(self.model, self.parts.test, self._similarity(), self.ours)
            self.reports.entry("test", self.position, test)
        if self.ours.is_first:
            self._export(best.position, line["figures"], test)
        return Trained(self.folder.model, line["figures"], test)

    def _export(self, position: Position, validation: Table, test: Table | None = None) -> None:
        export(
            self.folder.model,
            self.model,
            self.config,
            self.parts,
            position,
            hours=self.reports.hours,
            validation=validation,
            test=test,
            affine_from=card_of(self.config.train.affine_from),
            stages_from=card_of(self.config.train.stages_from),
        )

    def _similarity(self) -> MutualInformation:
        return MutualInformation(Options.preset(self.config.loss.estimator))

    def _is_over(self, name: str) -> bool:
        patience = self.config.train.patience
        waited_long = patience is not None and self.position.waited >= patience
        return waited_long or self.position.epoch >= stage_epochs(name, self.config)

    def _save(self, training: Training, is_best: bool = False) -> None:
        if self.ours.is_first:
            self.checkpoints.save(training, self.config, self.position, is_best=is_best)

    def _load_best(self) -> Checkpoint | None:
        """Put the best weights so far into the model, if there are any."""
        checkpoint = self.checkpoints.read_best(self.ours)
        if checkpoint is not None:
            load_weights(self.model, checkpoint.weights)
        return checkpoint
