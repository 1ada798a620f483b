"""The command ``varreg completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from .exit_codes import Command

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_VARREG_COMPLETE"


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in SHELL.

    bash: varreg completion bash > ~/.local/share/bash-completion/completions/varreg;
    zsh: varreg completion zsh > a file in your $fpath named _varreg;
    fish: varreg completion fish > ~/.config/fish/completions/varreg.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    root = ctx.find_root().command
    click.echo(kind(root, {}, "varreg", VARIABLE).source())
