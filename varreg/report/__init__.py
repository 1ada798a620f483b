"""The page, the notebook view, plots and progress bars."""

from .page import write_report

__all__ = ["write_report"]
