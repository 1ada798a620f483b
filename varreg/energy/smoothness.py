r"""Smoothness term, and the coordinates in which it is half a squared norm.

On a displacement grid of n nodes with spacing h the discrete term is

.. math:: R(u) = \frac1n \sum_{c} \langle u_c, (L + \ell^{2m-2} L^m) u_c\rangle,

with L the negative finite-difference Laplacian: forward differences, no flux through the border (zero
mean) or u = 0 on it (zero boundary).  L is diagonal in the orthonormal cosine (DCT-II) or sine
(DST-II) basis with eigenvalues :math:`\Lambda = \sum_k (2 - 2\cos\theta_k) / h_k^2`.  In the
coordinates :math:`z = \sqrt{2\mu\rho/n}\,\hat u`, :math:`\rho = \Lambda + \ell^{2m-2}\Lambda^m`,

.. math:: \mu R(u) = \tfrac12 |z|^2 ,

so that the Euclidean gradient in z is the Sobolev gradient in u.  With axis weights :math:`w_c` the components are
:math:`u_c = w_c\,S z_c`, and displacement along axis c is penalised :math:`1 / w_c^2` times as strongly,

.. math:: R(u) = \frac1n \sum_c \frac1{w_c^2} \langle u_c, (L + \ell^{2m-2} L^m) u_c\rangle,

and a component of weight 0 vanishes for every z.  The mean (:math:`\Lambda = 0`) is
not a degree of freedom and stays zero.  Source: sections 2.3.1 and 2.3.3 of doi 10.3390/math14122131.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from scipy import fft

from ..backends.arrays import Array
from ..backends.later import Later
from ..backends.namespace import beside, scipy_for
from ..backends.vectors import inner_products

#: Transforms of fewer coefficients, over all components, take less time than starting a thread.
LEAST_COEFFICIENTS_FOR_THREADS = 50_000
#: 2D grids of up to this many nodes per axis are transformed by matrix products, without the overhead
#: of scipy.fft; products this small are not multithreaded, so that the result does not depend on threads.
MOST_FOR_MATRICES = 48


class Smoothness:
    """The smoothness term on one displacement grid.

    Parameters
    ----------
    shape : tuple of int
        (*m), nodes of the grid.
    spacing : (d,) array
        Node spacing in mm.
    weight : float
        mu.
    length : float
        Length scale ell in mm.
    constraint : {"zero-mean", "zero-boundary"}
    threads : int
        Threads of the transforms; the result does not depend on their number.
    order : int
        Order m of the derivatives in the term with the length scale.
    axes : sequence of float, optional
        Axis weights w, from 0 to 1; by default all 1.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        spacing: Array,
        weight: float,
        length: float,
        constraint: str,
        threads: int = 1,
        order: int = 3,
        axes: Sequence[float] | None = None,
    ) -> None:
        self.shape, self.constraint, self.threads = shape, constraint, threads
        symbol = laplacian_symbol(shape, spacing, constraint)
        symbol = symbol + length ** (2 * order - 2) * symbol**order
        self.weight = weight
        self.scale = np.sqrt(2 * weight * symbol / np.prod(shape))  # z = scale * coefficients
        self.inverse_scale = np.divide(1.0, self.scale, out=np.zeros(shape), where=self.scale > 0)
        #: Squared scale of each mode, for an axis weight of 1.
        self.symbol = np.square(self.scale)
        if axes is not None:
            each = np.reshape(axes, (-1,) + (1,) * len(shape)).astype(float)
            inverse = np.divide(1.0, each, out=np.zeros_like(each), where=each > 0)
            self.scale, self.inverse_scale = inverse * self.scale, each * self.inverse_scale
        self._on_device: dict[str, Array] = {}

    def to_field(self, z: Array) -> Array:
        """Displacement u = S z at the nodes, (d, *m) mm, from coordinates z, (d, *m)."""
        return self.backward(z * self._beside(z, "inverse_scale"))

    def to_coordinates(self, field: Array) -> Array:
        """Coordinates z of u at the nodes, (d, *m); the mean is dropped under the zero-mean constraint."""
        return self.forward(field) * self._beside(field, "scale")

    def pull_gradient(self, gradient: Array) -> Array:
        """Pullback of the gradient, dE/dz from dE/du: the transpose of :meth:`to_field`."""
        return self.forward(gradient) * self._beside(gradient, "inverse_scale")

    def value(self, z: Array) -> float:
        """R(u), dimensionless; mu R(u) is half the squared norm of z."""
        return self.value_later(z).result()

    def value_later(self, z: Array) -> Later[float]:
        """R(u) as a :class:`varreg.backends.later.Later`."""
        return inner_products([(z, z)]).then(lambda found: 0.5 * found[0] / self.weight)

    def transfer(self, z: Array, other: Smoothness) -> Array:
        """Coordinates of the field on another grid of the same field of view; common frequencies are kept."""
        if self.shape == other.shape:
            return z * (self.inverse_scale * other.scale)
        coefficients = z * self.inverse_scale
        out = np.zeros((z.shape[0], *other.shape))
        low = tuple(slice(min(a, b)) for a, b in zip(self.shape, other.shape, strict=True))
        factor = np.sqrt(np.prod(other.shape) / np.prod(self.shape))
        out[(slice(None), *low)] = coefficients[(slice(None), *low)] * factor
        return out * other.scale

    def forward(self, field: Array) -> Array:
        """Orthonormal coefficients of a field at the nodes, (d, *m)."""
        return self._each("dctn" if self.constraint == "zero-mean" else "dstn", field)

    def backward(self, coefficients: Array) -> Array:
        """Field at the nodes, (d, *m), from its coefficients: inverse and transpose of :meth:`forward`."""
        return self._each("idctn" if self.constraint == "zero-mean" else "idstn", coefficients)

    def _beside(self, values: Array, name: str) -> Array:
        """`scale` or `inverse_scale` on the device of the values."""
        if isinstance(values, np.ndarray):
            return getattr(self, name)
        if name not in self._on_device:
            self._on_device[name] = beside(getattr(self, name), values)
        return self._on_device[name]

    def _each(self, name: str, values: Array) -> Array:
        if not isinstance(values, np.ndarray):
            axes = tuple(range(1, values.ndim))
            return getattr(scipy_for(values, "fft"), name)(values, axes=axes, norm="ortho")
        transform = getattr(fft, name)
        if len(self.shape) == 2 and max(self.shape) <= MOST_FOR_MATRICES:
            first, second = (_matrix(transform, nodes) for nodes in self.shape)
            return first @ values @ second.T
        axes = tuple(range(1, values.ndim))
        workers = self.threads if values.size > LEAST_COEFFICIENTS_FOR_THREADS else 1
        return transform(values, axes=axes, norm="ortho", workers=workers)


@lru_cache(maxsize=16)
def _matrix(transform: Callable[..., Array], nodes: int) -> Array:
    """Matrix of a transform along one axis, (nodes, nodes)."""
    return transform(np.eye(nodes), axes=(0,), norm="ortho")


def laplacian_symbol(shape: tuple[int, ...], spacing: Array, constraint: str) -> Array:
    """Eigenvalues of the negative discrete Laplacian, (*m), in 1 / mm^2."""
    first = 0 if constraint == "zero-mean" else 1
    symbol = np.zeros(shape)
    for axis, (nodes, step) in enumerate(zip(shape, spacing, strict=True)):
        angle = np.pi * (np.arange(nodes) + first) / nodes
        along = [1] * len(shape)
        along[axis] = nodes
        symbol = symbol + ((2 - 2 * np.cos(angle)) / step**2).reshape(along)
    return symbol
