"""The command line of the training: ``python -m learned.train``, or the same by ``torchrun``.

Exit codes are those of :class:`varreg.cli.exit_codes.Command`.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click
from jsonargparse import Namespace

from varreg.cli.exit_codes import Command

from .arguments import from_arguments
from .config import Config, preset, with_changes


@click.command(
    cls=Command,
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def main(arguments: tuple[str, ...]) -> None:
    """Train the cascade: AT-Net, then the DT-Nets behind it."""
    config, others = from_arguments(arguments, _base)
    if others.output is not None:
        config = with_changes(config, [f"train.output={others.output}"])
    quiet = others.quiet
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, format="%(message)s")
    from .trainer import train

    trained = train(
        config,
        resume=others.resume,
        progress=False if quiet else None,
        tensorboard=not others.no_tensorboard,
    )
    if not quiet and _is_first():
        click.echo(_report(trained))


def _base(given: Namespace) -> Config:
    """Of a run that goes on, what it was started with is the default."""
    from .run_folder import CONFIG, RunFolder

    if given.get("preset"):
        return preset(given["preset"])
    folder = RunFolder(given.get("output") or given.get("train.output") or "run")
    if given.get("resume") and given.get("config") is None and (folder.path / CONFIG).is_file():
        return folder.config()
    return preset("laptop") if given.get("config") is None else Config()


def _report(trained: Any) -> str:
    """The figures of the best weights as a table."""
    from .validation import MEASURES

    table = trained.test or trained.validation or {}
    part = "test" if trained.test else "validation"
    lines = [
        f"{part:<12}{'error':>10}{'MI':>10}{'folds':>10}",
        f"{'':<12}{'voxels':>10}{'nats':>10}",
    ]
    for row, figures in table.items():
        lines.append(f"{row:<12}" + "".join(f"{figures[m]:>10.4f}" for m in MEASURES))
    return "\n".join([*lines, "", f"The weights: {Path(trained.model)}"])


def _is_first() -> bool:
    from .distributed import our_rank

    return our_rank() == 0


if __name__ == "__main__":
    main()
