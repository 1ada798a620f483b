"""Figures that are displayed in any notebook."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.figure import Figure

#: Dots per inch of the picture in a notebook; an overview is 15 inches wide.
DPI = 72


class ShownFigure(Figure):
    """A figure created without pyplot, which notebooks would display only after ``%matplotlib inline``."""

    def _repr_png_(self, *_: Any, **__: Any) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=DPI)
        return file.getvalue()
