"""The command line of the training: ``python -m learned.train``, or the same by ``torchrun``.

Exit codes are those of :class:`varreg.cli.exit_codes.Command`.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click

from varreg.cli.exit_codes import Command

from .config import PRESETS, Config, from_file, preset, with_changes


@click.command(
    cls=Command,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--preset",
    "name",
    type=click.Choice(list(PRESETS)),
    help="smoke: a minute, to see that everything works; laptop: a useful model in an hour on two "
    "cores; paper: Table 1 of the paper. [default: laptop]",
)
@click.option("--config", "file", type=click.Path(), help="A .toml or .json file instead.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one field, e.g. optimiser.learning_rate=1e-4; may be given again.",
)
@click.option("-o", "--output", type=click.Path(), help="Folder of the run. [default: run]")
@click.option("--resume", is_flag=True, help="Go on with the run in the folder, if there is one.")
@click.option("--no-tensorboard", is_flag=True, help="Write no logs for TensorBoard.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar and no report.")
def main(
    name: str | None,
    file: str | None,
    changes: tuple[str, ...],
    output: str | None,
    resume: bool,
    no_tensorboard: bool,
    quiet: bool,
) -> None:
    """Train the cascade: AT-Net, then the DT-Nets behind it.

    An interrupted or killed run goes on by --output and --resume, and ends as if nothing had been.
    On several devices: torchrun --nproc-per-node N -m learned.train ...
    """
    if name is not None and file is not None:
        raise click.UsageError(
            "--preset and --config exclude each other; a file may name a preset."
        )
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, format="%(message)s")
    config = _configuration(name, file, changes, output, resume)
    from .trainer import train

    trained = train(
        config, resume=resume, progress=False if quiet else None, tensorboard=not no_tensorboard
    )
    if not quiet and _is_first():
        click.echo(_report(trained))


def _configuration(
    name: str | None, file: str | None, changes: tuple[str, ...], output: str | None, resume: bool
) -> Config:
    """What the command line says; of a run that goes on, what it was started with is the default."""
    added = [*changes, *([] if output is None else [f"train.output={output}"])]
    if file is not None:
        return with_changes(from_file(file), added)
    if name is None and resume:
        from .run_folder import CONFIG, RunFolder

        folder = RunFolder(with_changes(preset("laptop"), added).train.output)
        if (folder.path / CONFIG).is_file():
            return with_changes(folder.config(), added)
    return with_changes(preset(name or "laptop"), added)


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
