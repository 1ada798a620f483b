"""What the backends share of the bound on det(id + grad u)."""

from __future__ import annotations

#: In three dimensions a cell whose Bernstein coefficients fall below this is cut in halves along each axis, which brings
#: its bound four times as near to its smallest value (the blossom of Farin, Curves and Surfaces for CAGD, 5th ed., ch. 4).
#: Without it descents stop at folds that are not there.
HALVED_BELOW = 0.25
