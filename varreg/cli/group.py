"""The list of commands in ``varreg --help``."""

from __future__ import annotations

import click


class Group(click.Group):
    """Commands with complete summaries."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the first sentence of each command, wrapped."""
        names = self.list_commands(ctx)
        rows = [(name, self.commands[name].get_short_help_str(limit=1000)) for name in names]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
