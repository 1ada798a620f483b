r"""Volume term: the penalty on changes of volume, which also prevents folding.

.. math:: V(u) = \operatorname{mean} \tfrac18 (J^2 + J^{-2} - 2), \qquad J = \det(\mathrm{id} + \nabla u),

over the corners of all cells, at which the edges of a multilinear map are extreme: cells between the nodes, and
cells cut by the border, beyond which the displacement is continued by an even (zero mean) or an odd (zero
boundary) reflection.  To second order the term is :math:`\tfrac12 (\log J)^2`: halving a volume is penalised as
strongly as doubling it.  It grows without bound towards J = 0, which keeps the descent away from folds before the
bound on det(id + grad u) rejects a step, and is a convex function of J, hence polyconvex in the gradient, as the
existence theorems of elasticity require (Ball 1977, doi 10.1007/BF00279992).  Below J = 0.05 it is replaced by its
second-order Taylor polynomial, so that it is defined for maps that fold, too.
"""

from __future__ import annotations

from types import ModuleType

from ..backends.arrays import Array
from ..backends.later import Later
from ..geometry.folding import extended


class VolumeTerm:
    """Volume term on one displacement grid.

    Parameters
    ----------
    spacing : (d,) array
        Node spacing in mm.
    constraint : {"zero-mean", "zero-boundary"}
    kernels : module
        The backend.
    threads : int
    """

    def __init__(self, spacing: Array, constraint: str, kernels: ModuleType, threads: int) -> None:
        self.spacing, self.kernels, self.threads = spacing, kernels, threads
        self.sign = 1.0 if constraint == "zero-mean" else -1.0

    def value(self, field: Array) -> float:
        r"""V(u), dimensionless, of u at the nodes, (d, \*m) mm."""
        return self.value_later(self.wider(field)).result()

    def gradient(self, field: Array) -> Array:
        r"""dV/du, (d, \*m) per mm."""
        return self.gradient_later(self.wider(field)).result()

    def value_later(self, wider: Array) -> Later[float]:
        r"""V(u), not waited for, from the extension of u by :meth:`wider`."""
        found: Later[float] = self.kernels.later(self.kernels.volume, wider, self.spacing, self.threads)  # fmt: skip
        return found

    def gradient_later(self, wider: Array) -> Later[Array]:
        r"""dV/du, not waited for, from the extension of u by :meth:`wider`."""
        place = wider, self.spacing, self.threads
        return self.kernels.later(self.kernels.volume_gradient, *place).then(self._folded_back)

    def wider(self, field: Array) -> Array:
        r"""Extension of u at the nodes, (d, \*m) mm, by one node beyond each face, (d, .. m + 2 ..)."""
        field = extended(field)
        if self.sign < 0:
            for axis in range(1, field.ndim):
                for face in (0, -1):
                    field[_at(axis, face)] *= self.sign
        return field

    def _folded_back(self, gradient: Array) -> Array:
        """Transpose of :meth:`wider`."""
        for axis in range(1, gradient.ndim):
            inner = gradient[_at(axis, slice(1, -1))].copy()
            inner[_at(axis, 0)] += self.sign * gradient[_at(axis, 0)]
            inner[_at(axis, -1)] += self.sign * gradient[_at(axis, -1)]
            gradient = inner
        return gradient


def _at(axis: int, place: int | slice) -> tuple[int | slice, ...]:
    return (*(slice(None),) * axis, place)
