"""Training run of a cascade: its stages and steps, validation, checkpoints and test.

The whole state consists of the tensors and the position in a checkpoint: pairs, learning rates and dropout
masks are determined by the seed and the position.  Therefore a run that is killed and resumed ends bitwise
equal to an uninterrupted one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import nn

from varreg.errors import DivergenceError, InputError
from varreg.options.options import Options

from .cascade import Cascade
from .checkpoint import Checkpoint, Position, Training, means_of, read_checkpoint
from .config import Config
from .data.datasets import Pair, check_terms
from .data.parts import Parts, make_parts, training_pairs
from .devices import Interruption, first, heed_signals
from .losses.mutual_information import MutualInformation
from .reports import Reports
from .run_folder import RunFolder
from .stages import AFFINE, DEFORMABLE, STAGES, prepare_stage, stage_epochs
from .step import Batches, Steps, learning_rate, loaded, steps_of_epoch
from .transfer import card, new_cascade
from .validation import Table, evaluate, register, value_of
from .weights import load_weights, save_model

PICTURES = 4  # pairs per picture


class Trained(NamedTuple):
    """Result of a training.

    Attributes
    ----------
    model : Path
        Model file with the best weights.
    validation, test : Table or None
        Their figures; None without epochs or test pairs.
    """

    model: Path
    validation: Table | None
    test: Table | None


class TrainingRun:
    """New or resumed training, see :func:`learned.train.train`."""

    def __init__(
        self,
        config: Config,
        fabric: Fabric,
        *,
        resume: bool = False,
        progress: bool | None = None,
        tensorboard: bool = True,
        networks: Callable[[Cascade], None] | None = None,
        described: Mapping[str, Any] | None = None,
        parts: Parts | None = None,
    ) -> None:
        self.config, self.fabric, self.described = config, fabric, dict(described or {})
        self.folder = folder = RunFolder(config.train.output)
        first(fabric, lambda: folder.check(config, resume))
        self.interruption = Interruption()
        self.similarity = MutualInformation(Options.preset(config.loss.estimator))
        self.parts = make_parts(config) if parts is None else parts
        check_terms(config.loss, self.parts.train)
        self.steps = steps_of_epoch(config, self.parts.train, fabric.world_size)
        self.model = new_cascade(config, torch.Generator().manual_seed(config.train.seed))
        if networks is not None:
            networks(self.model)
        self.model.to(fabric.device)
        self.taken = Steps(config, fabric, self.model)
        if not resume and not any(stage_epochs(name, config) for name in STAGES):
            raise InputError("learned.train: there is nothing to train; raise `optimiser.epochs`.")
        # only now, so that invalid arguments leave no folder behind
        first(fabric, lambda: folder.open(config, resume))
        self.checkpoint = self._read(lambda: folder.last)
        self.position = Position(AFFINE) if self.checkpoint is None else self.checkpoint.position
        self.reports = Reports(
            folder,
            self.position,
            sum(stage_epochs(name, config) for name in STAGES) * self.steps,
            speaks=fabric.is_global_zero,
            progress=progress,
            tensorboard=tensorboard,
        )

    def run(self) -> Trained:
        """Train from the current position to the end."""
        try:
            with heed_signals() as self.interruption:
                for name in STAGES[STAGES.index(self.position.stage) :]:
                    if stage_epochs(name, self.config):
                        self._run_stage(name)
                return self._finish()
        finally:
            self.reports.close()

    def _run_stage(self, name: str) -> None:
        """Train a stage, from its start or from a checkpoint of it."""
        config, epochs = self.config.optimiser, stage_epochs(name, self.config)
        resumes = self.checkpoint is not None and self.checkpoint.position.stage == name
        if not resumes:
            self._load_best()
        loss = prepare_stage(name, self.model, self.config).to(self.fabric.device)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        adam = torch.optim.Adam(trained, lr=config.learning_rate)
        state = {
            **dict(loss.named_buffers(recurse=False)),
            **means_of(self.model, config.averaging),
        }
        training = Training(self.model, adam, state)
        if self.checkpoint is not None and resumes:
            self.checkpoint.restore(training, self.config)
        else:
            self.position = Position(name, step=self.position.step, best=self.position.best)
            self._save(
                training
            )  # from here on the best checkpoint of the previous stage is not needed
        self.checkpoint = None
        module: nn.Module = self.fabric.setup_module(loss)
        for batch in self._batches(name):
            if self._is_over():
                break
            begun = self.position.epoch * self.steps + self.position.step % self.steps
            rate = learning_rate(config, begun, epochs * self.steps)
            self.taken.take(module, training, batch, self.position, rate, self.interruption)
            self._after_step(name, training)

    def _after_step(self, name: str, training: Training) -> None:
        """Report figures, validate and save a checkpoint, if due."""
        step, epoch, often = self.position.step + 1, self.position.epoch, self.config.train
        ends_epoch, saved = step % self.steps == 0, step % often.checkpoint_every == 0
        stopped = False
        if ends_epoch or saved or self.taken.are_due:
            for place, values in self.taken.read():
                stopped = bool(values.pop("interrupted")) or stopped
                self.reports.step(place, values)
        self.position = dataclasses.replace(self.position, step=step, epoch=epoch + ends_epoch)
        epoch, last = self.position.epoch, stage_epochs(name, self.config)
        judged = ends_epoch and (epoch == last or epoch % often.validation_every == 0)
        is_best = judged and self._validate(name, training)
        if judged or saved or stopped:
            self._save(training, is_best)
        if stopped:
            self.interruption.end(
                f"the checkpoint of step {step} is saved; resume by: python -m learned.train "
                f"--output {self.config.train.output} --resume"
            )

    def _batches(self, name: str) -> Iterator[Pair]:
        """Remaining batches of a stage; those of AT-Net are generated at its resolution."""
        config, coarser = self.config, self.config.model.affine_scale
        is_coarse = name == AFFINE and coarser != 1
        pairs = training_pairs(config, coarser) if is_coarse else self.parts.train
        before = config.optimiser.affine_epochs if name == DEFORMABLE else 0
        batches = Batches(
            config.optimiser.batch_size,
            self.steps,
            self.fabric.global_rank,
            self.fabric.world_size,
            before + self.position.epoch,
            before + stage_epochs(name, config),
            self.position.step % self.steps,
        )
        return loaded(pairs, batches, config.data.workers, self.fabric.device)

    def _validate(self, name: str, training: Training) -> bool:
        """Validate the cascade, and export it if it is the best so far."""
        # before the deformable stage its networks predict zero displacement
        cascade = self.model if name == DEFORMABLE else self.model.affine_only()
        pairs, place = self.parts.validation, self.position
        with training.averaged():  # the averaged weights are validated and exported
            table = evaluate(cascade, pairs, self.similarity, self.fabric)
            value = value_of(table)
            if not math.isfinite(value):
                raise DivergenceError(
                    f"learned.train: the validation after epoch {place.epoch} of stage {place.stage!r} "
                    f"gave {value}; the last checkpoint is unaffected. Try a smaller "
                    "`optimiser.learning_rate`."
                )
            self.position, is_best = place.after_validation(value)
            if self.fabric.is_global_zero:
                shown = (pairs[0, k] for k in range(min(PICTURES, len(pairs))))
                registered = [register(cascade, pair, self.fabric.device) for pair in shown]
                self.reports.validation(self.position, table, is_best, registered)
                if is_best:
                    self._export(self.position, table)
        return is_best

    def _finish(self) -> Trained:
        """Test the best weights and export them."""
        best = self._load_best()
        line = first(self.fabric, self.reports.best)
        if best is None or line is None:
            raise InputError("learned.train: nothing was trained; raise `optimiser.epochs`.")
        test = None
        if self.parts.test is not None:
            test = evaluate(self.model, self.parts.test, self.similarity, self.fabric)
            self.reports.entry("test", self.position, test)
        if self.fabric.is_global_zero:
            self._export(best.position, line["figures"], test)
        return Trained(self.folder.model, line["figures"], test)

    def _export(self, position: Position, validation: Table, test: Table | None = None) -> None:
        hours = self.reports.hours
        model_card = card(
            self.config, self.parts, position, hours=hours, validation=validation, test=test
        )
        model_card["architecture"].update(self.described)
        save_model(self.folder.model, self.model, model_card, overwrite=True)

    def _is_over(self) -> bool:
        return self.position.waited >= (self.config.train.patience or math.inf)

    def _save(self, training: Training, is_best: bool = False) -> None:
        if self.fabric.is_global_zero:
            self.folder.save(training, self.config, self.position, is_best=is_best)

    def _read(self, which: Callable[[], Path | None]) -> Checkpoint | None:
        """Read a checkpoint located by the first process, in all processes before any writes another."""
        path = first(self.fabric, which)
        checkpoint = None if path is None else read_checkpoint(path)
        self.fabric.barrier()
        return checkpoint

    def _load_best(self) -> Checkpoint | None:
        """Load the best weights so far into the model, if there are any."""
        checkpoint = self._read(lambda: self.folder.best)
        if checkpoint is not None:
            load_weights(self.model, checkpoint.weights)
        return checkpoint
