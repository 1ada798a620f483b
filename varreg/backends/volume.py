"""Constant of the volume term, common to all backends."""

from __future__ import annotations

#: Below this determinant the term is replaced by its second-order Taylor polynomial, so that it is finite for folds.
SMALLEST = 0.05
