"""Constant of the bound on det(id + grad u), common to all backends."""

from __future__ import annotations

#: In 3D, cells with Bernstein coefficients below this value are bisected along each axis, which reduces the distance of
#: the bound from the minimum to a quarter (blossoms: Farin, Curves and Surfaces for CAGD, 5th ed., ch. 4).
#: Without bisection, descents would be stopped by folds that do not exist.
HALVED_BELOW = 0.25
