"""Training of a cascade: ``python -m learned.train``, also by ``torchrun``, or :func:`train`.

The exit codes of the command are those of :class:`varreg.cli.exit_codes.Command`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import torch
from jsonargparse import Namespace
from tqdm.contrib.logging import logging_redirect_tqdm

from varreg.cli.exit_codes import Command

from .arguments import from_arguments
from .config import Config, preset, with_changes
from .devices import make_fabric, our_rank, reproducible
from .run_folder import CONFIG, RunFolder

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from .cascade import Cascade
    from .training_run import Trained


def train(
    config: Config,
    *,
    resume: bool = False,
    progress: bool | None = None,
    tensorboard: bool = True,
    networks: Callable[[Cascade], None] | None = None,
    described: Mapping[str, Any] | None = None,
    training: Dataset[Any] | None = None,
    validation: Dataset[Any] | None = None,
    test: Dataset[Any] | None = None,
) -> Trained:
    """Train a cascade, or resume its training.

    Parameters
    ----------
    config : Config
        Configuration; ``train.output`` is the output folder, see :mod:`learned.run_folder`.
    resume : bool
        Whether to resume the run in the folder, if there is one.
    progress : bool or None
        Whether to show a progress bar; by default only on a terminal.
    tensorboard : bool
        Whether to write TensorBoard logs.
    networks : callable or None
        Function that modifies the new cascade in place before training, e.g. replaces its networks.
    described : mapping or None
        Description of these modifications for the model card, in addition to ``model``.
    training, validation, test : torch.utils.data.Dataset or None
        Datasets of dictionaries (:mod:`learned.data.dict_source`) instead of ``data.source``;
        an epoch is ``data.pairs_per_epoch`` items drawn at random, and each pair is warped by a random map
        and flipped according to ``data``.

    Returns
    -------
    Trained

    Raises
    ------
    FileError
        If the folder is not empty and `resume` is not set, or a file cannot be read or written.
    InputError
        If data and configuration are inconsistent.
    DivergenceError
        If the loss or its gradient is not finite; the last checkpoint is unaffected.
    KeyboardInterrupt
        After Ctrl-C, once a checkpoint is written; the message says how to resume.
    """
    from .training_run import TrainingRun

    parts = None
    if training is not None:
        from .data.dict_source import dataset_parts

        config = with_changes(config, ["data.source=dataset"])
        parts = dataset_parts(config, training, validation, test)
    fabric = make_fabric(config.train)
    try:
        with reproducible(config.train.threads, fabric.device), logging_redirect_tqdm():
            return TrainingRun(
                config,
                fabric,
                resume=resume,
                progress=progress,
                tensorboard=tensorboard,
                networks=networks,
                described=described,
                parts=parts,
            ).run()
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


@click.command(
    cls=Command,
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def main(arguments: tuple[str, ...]) -> None:
    """Train the cascade: first AT-Net, then the DT-Nets with AT-Net frozen."""
    config, others = from_arguments(arguments, _base)
    if others.output is not None:
        config = with_changes(config, [f"train.output={others.output}"])
    quiet = others.quiet
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, format="%(message)s")
    trained = train(
        config,
        resume=others.resume,
        progress=False if quiet else None,
        tensorboard=not others.no_tensorboard,
    )
    if not quiet and our_rank() == 0:
        click.echo(_report(trained))


def _base(given: Namespace) -> Config:
    """Configuration changed by the arguments: a preset, that of the run to be resumed, or the default."""
    if given.get("preset"):
        return preset(given["preset"])
    folder = RunFolder(given.get("output") or given.get("train.output") or "run")
    if given.get("resume") and given.get("config") is None and (folder.path / CONFIG).is_file():
        return folder.config()
    return preset("laptop") if given.get("config") is None else Config()


def _report(trained: Any) -> str:
    """Table of the figures of the best weights."""
    from .validation import MEASURES

    table = trained.test or trained.validation or {}
    part = "test" if trained.test else "validation"
    shown = [m for m in MEASURES if any(m in row for row in table.values())]
    lines = [
        f"{part:<12}" + "".join(f"{MEASURES[m][0]:>10}" for m in shown),
        f"{'':<12}" + "".join(f"{MEASURES[m][1]:>10}" for m in shown),
    ]
    for row, figures in table.items():
        lines.append(f"{row:<12}" + "".join(f"{figures[m]:>10.4f}" for m in shown))
    return "\n".join([*lines, "", f"Weights: {Path(trained.model)}"])


if __name__ == "__main__":
    main()
