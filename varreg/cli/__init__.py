"""The command line: ``varreg`` and ``python -m varreg``."""

from .commands import main

__all__ = ["main"]
