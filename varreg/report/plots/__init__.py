"""Figures of a registration (matplotlib)."""

from .overview import overview

__all__ = ["overview"]
