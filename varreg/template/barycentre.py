r"""The mean of affine maps: their exponential barycentre.

The arithmetic mean of rotation matrices has a scale below 1.  The mean :math:`M` here is that of the group: the solution of

.. math:: \sum_i \log(A_i M^{-1}) = 0

(Pennec and Arsigny 2013, *Exponential barycenters of the canonical Cartan connection and invariant means on Lie groups*,
doi:10.1007/978-3-642-30232-9_7; Arsigny et al. 2009, doi:10.1007/s10851-008-0135-9).  It is bi-invariant: the mean
of :math:`B A_i C` is :math:`B M C`, so that it depends neither on the origin of the world nor on the first
reference image.  The mean of rigid maps is rigid, of scalings the geometric mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..energy.lie_algebra import exponential
from ..errors import GeometryError
from ..geometry.displacement import Float

#: Distance from the identity within which the series of the logarithm needs few terms, and their number.
NEAR, TERMS = 0.1, 9
#: Maximum number of fixed-point iterations, which converge quadratically near the mean; and tolerance.
STEPS, ENOUGH = 50, 1e-12


def mean_affine(maps: Sequence[Float], names: Sequence[str] = ()) -> Float:
    """The exponential barycentre of homogeneous matrices.

    Parameters
    ----------
    maps : sequence of (d + 1, d + 1) arrays
        With a positive determinant, like all maps between two worlds.
    names : sequence of str, optional
        Names of the participants, for the message.

    Returns
    -------
    (d + 1, d + 1) array

    Raises
    ------
    GeometryError
        If two maps differ by a rotation of half a turn or more: their mean is undefined.

    Examples
    --------
    >>> mean_affine([np.diag([2.0, 1.0, 1.0]), np.diag([8.0, 1.0, 1.0])]).diagonal().round(9).tolist()
    [4.0, 1.0, 1.0]
    """
    mean = np.array(maps[0], np.float64)
    for _ in range(STEPS):
        logs = [_logarithm(affine, mean, k, names) for k, affine in enumerate(maps)]
        step = np.mean(logs, axis=0)
        mean = exponential(step) @ mean
        if np.abs(step).max() <= ENOUGH * max(1.0, float(np.abs(mean).max())):
            break
    mean[-1] = np.eye(len(mean))[-1]
    return mean


def _logarithm(affine: Float, mean: Float, number: int, names: Sequence[str]) -> Float:
    between = affine @ np.linalg.inv(mean)
    if np.array_equal(between, np.eye(len(between))):
        return np.zeros_like(between)
    turned = np.linalg.eigvals(between[:-1, :-1])
    # on the negative axis, where the principal logarithm is undefined, with a small margin
    if (np.abs(np.angle(turned)) > np.radians(179)).any():
        who = names[number] if names else f"map {number}"
        raise GeometryError(
            f"varreg.build_template: {who} is turned by half a turn against the mean of the others, so that there is no mean "
            "orientation; correct its header, or leave it out."
        )
    return logarithm(between)


def logarithm(matrix: Float) -> Float:
    """The principal logarithm: repeated square roots until the matrix is near the identity, then the series of artanh.

    SciPy's ``logm`` is equivalent, but uses a parallel library that takes a hundred times as long for matrices of this size.

    Parameters
    ----------
    matrix : (n, n) array
        Without eigenvalues on the negative axis.

    Examples
    --------
    >>> logarithm(np.diag([np.e, 1.0])).round(12).tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    identity, doublings = np.eye(len(matrix)), 0
    while np.abs(matrix - identity).sum(axis=0).max() > NEAR and doublings < 60:
        matrix, doublings = _square_root(matrix), doublings + 1
    ratio = (matrix - identity) @ np.linalg.inv(matrix + identity)
    square, power, total = ratio @ ratio, ratio, np.zeros_like(ratio)
    for k in range(TERMS):
        total = total + power / (2 * k + 1)
        power = power @ square
    return np.asarray(2.0 ** (doublings + 1) * total)


def _square_root(matrix: Float) -> Float:
    """Principal square root by the product Denman-Beavers iteration (Higham 2008, *Functions of Matrices*, ch. 6)."""
    root, rest, identity = matrix, matrix, np.eye(len(matrix))
    for _ in range(50):
        back = np.linalg.inv(rest)
        root = root @ (identity + back) / 2
        rest = (identity + (rest + back) / 2) / 2
        if np.abs(rest - identity).max() < 1e-14:
            break
    return root
