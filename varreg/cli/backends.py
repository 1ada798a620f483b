"""Options for the backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

device = click.option(
    "--device", type=click.IntRange(min=0), default=0, help="Number of the GPU. [default: 0]"
)


def backend_options(command: Decorated) -> Decorated:
    """Add ``--backend`` and ``--device`` to a command."""
    command = device(command)
    return click.option(
        "--backend",
        default="auto",
        show_default=True,
        help=(
            "Backend: numba (CPU), cupy (GPU) or numpy; auto uses a GPU whose self-test has passed."
        ),
    )(command)
