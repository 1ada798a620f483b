"""The command line, which computes nothing itself."""

from .commands import main

__all__ = ["main"]
