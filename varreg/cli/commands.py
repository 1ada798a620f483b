"""The command line with all commands.

Exit codes are those of :class:`varreg.cli.exit_codes.Command`.  Results are written to stdout, all other text
to stderr.
"""

from __future__ import annotations

import click

from .._version import __version__
from .apply import apply
from .bids import bids
from .certify import certify
from .completion import completion
from .convert import convert
from .demo import demo
from .doctor import doctor
from .group import Group
from .info import info
from .label import label
from .plan import plan
from .register import register
from .report import report
from .selftest import selftest
from .series import series
from .template import template

#: Commands in the order of ``varreg --help``.
COMMANDS = (
    register, apply, convert, series, info, demo, report, bids, plan, template, label, certify, doctor, selftest, completion,
)  # fmt: skip


@click.group(
    cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="varreg")
def main() -> None:
    """Register two images of different contrast: map each point of FIXED to MOVING.

    Start with `varreg demo`, which needs no files.
    """


for command in COMMANDS:
    main.add_command(command)
