r"""The volume term: what it costs to change volumes, and what keeps a map from folding.

.. math:: V(u) = \operatorname{mean} \tfrac18 (J^2 + J^{-2} - 2), \qquad J = \det(\mathrm{id} + \nabla u),

over the corners of the cells between the nodes, where a multilinear map has its extreme edges.  To
second order it is :math:`\tfrac12 (\log J)^2`: halving a volume costs as much as doubling it.  It grows
without bound towards J = 0, so that descents turn away from folds before the bound on det(id + grad u)
stops them, and is a convex function of J, hence polyconvex in the gradient, the condition of the existence
theorems of elasticity (Ball 1977, doi 10.1007/BF00279992).  Below J = 0.05 it is continued by its parabola: it has a
value for maps that fold, too.
"""

from __future__ import annotations

from types import ModuleType

from ..backends.arrays import Array


class VolumeTerm:
    """The volume term on one displacement grid.

    Parameters
    ----------
    spacing : (d,) array
        Node spacing in mm.
    kernels : module
        The backend.
    threads : int
    """

    def __init__(self, spacing: Array, kernels: ModuleType, threads: int) -> None:
        self.spacing, self.kernels, self.threads = spacing, kernels, threads

    def value(self, field: Array) -> float:
        r"""V(u), no unit, of u at the nodes, (d, \*m) mm."""
        return float(self.kernels.volume(field, self.spacing, self.threads))

    def gradient(self, field: Array) -> Array:
        r"""dV/du, (d, \*m) per mm."""
        gradient: Array = self.kernels.volume_gradient(field, self.spacing, self.threads)
        return gradient
