"""HTML report, notebook display, plots and progress bars."""

from .page import write_report

__all__ = ["write_report"]
