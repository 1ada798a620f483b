"""One page that shows a registration: words, pictures and numbers in a single HTML file."""

from .page import write_report

__all__ = ["write_report"]
