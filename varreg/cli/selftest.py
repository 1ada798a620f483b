"""The command ``varreg selftest``."""

from __future__ import annotations

import click

from .backends import device
from .common_options import force
from .exit_codes import DEFECT, Command


@click.command(cls=Command)
@click.option(
    "--backend",
    type=click.Choice(["cupy"]),
    default="cupy",
    show_default=True,
    help="Backend to test.",
)
@device
@click.option("-o", "--output", type=click.Path(), help="Also write the report into this file.")
@force
@click.pass_context
def selftest(
    ctx: click.Context, backend: str, device: int, output: str | None, force: bool
) -> None:
    """Compare a GPU with the CPU on fifty-four cases, twice each, and print a report to paste.

    If all pass, --backend auto takes the GPU from then on, as long as device, driver, CuPy and kernels stay the
    same.  Exit code 70 if one does not.
    """
    from ..backends.cupy.selection import identity, remember
    from ..io.files import atomic_path
    from ..options.backend_choice import chosen_backend
    from ..selftest.report import heading, line, verdict
    from ..selftest.running import run

    kernels = chosen_backend(backend, device, "varreg selftest")
    lines: list[str] = []

    def say(text: str) -> None:
        lines.append(text)
        click.echo(text)

    say(heading(str(identity(device))))
    outcomes = run(kernels, device, observe=lambda outcome: say(line(outcome)))
    say(verdict(outcomes))
    passed = all(outcome.passed for outcome in outcomes)
    if passed:
        say(f"Remembered in {remember(device)}: --backend auto takes this GPU from now on.")
    if output is not None:
        with atomic_path(output, overwrite=force) as file:
            file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if not passed:
        ctx.exit(DEFECT)
