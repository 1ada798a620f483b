"""The command line, a thin layer without computations."""

from .commands import main

__all__ = ["main"]
