"""What the backends share of the volume term."""

from __future__ import annotations

#: Below this determinant the term is continued by its parabola, so that it is finite wherever a map folds.
SMALLEST = 0.05
