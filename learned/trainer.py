"""Training of a cascade, from a configuration to the best weights and their figures."""

from __future__ import annotations

from tqdm.contrib.logging import logging_redirect_tqdm

from .config import Config
from .distributed import processes
from .reproducible import reproducible
from .run_folder import RunFolder
from .training_run import Trained, TrainingRun


def train(
    config: Config, *, resume: bool = False, progress: bool | None = None, tensorboard: bool = True
) -> Trained:
    """Train a cascade, or go on.

    Parameters
    ----------
    config : Config
        ``train.output`` is the folder, see :mod:`learned.run_folder`.
    resume : bool
        Go on with the run in the folder, if there is one.
    progress : bool or None
        Show a progress bar; None does on a terminal.
    tensorboard : bool
        Write logs for TensorBoard.

    Returns
    -------
    Trained

    Raises
    ------
    FileError
        If the folder is not empty and `resume` is not set, or something cannot be read or written.
    InputError
        If data and configuration do not go together.
    DivergenceError
        If the loss or its gradient is not finite; the last checkpoint is from before.
    KeyboardInterrupt
        After Ctrl-C, when a checkpoint has been written; the message says how to go on.
    """
    with (
        processes(config.train.devices) as ours,
        reproducible(config.train.threads, ours.device, config.train.seed),
        logging_redirect_tqdm(),
    ):
        folder = RunFolder(config.train.output)
        ours.first(lambda: folder.check(config, resume))
        return TrainingRun(config, ours, folder, resume, progress, tensorboard).run()
