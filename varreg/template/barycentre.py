r"""The mean of affine maps: their exponential barycentre.

The arithmetic mean of matrices shrinks what rotates.  The mean :math:`M` here is that of the group: the solution of

.. math:: \sum_i \log(A_i M^{-1}) = 0

(Pennec and Arsigny 2013, *Exponential barycenters of the canonical Cartan connection and invariant means on Lie groups*,
doi:10.1007/978-3-642-30232-9_7; Arsigny et al. 2009, doi:10.1007/s10851-008-0135-9).  It is invariant from both sides: the mean
of :math:`B A_i C` is :math:`B M C`, so that neither the origin of the world nor the image that all are brought to first
matters.  Of rigid maps it is rigid, of scalings the geometric mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import expm, logm

from ..errors import GeometryError
from ..geometry.displacement import Float

#: Steps of the fixed point, which converges quadratically near the mean; and the change that is none.
STEPS, ENOUGH = 50, 1e-12


def mean_affine(maps: Sequence[Float], names: Sequence[str] = ()) -> Float:
    """The exponential barycentre of homogeneous matrices.

    Parameters
    ----------
    maps : sequence of (d + 1, d + 1) arrays
        With a positive determinant, as all of one world's maps to another have.
    names : sequence of str, optional
        Whose maps they are, for the message.

    Returns
    -------
    (d + 1, d + 1) array

    Raises
    ------
    GeometryError
        If two maps are half a turn or more apart: there is no mean then.

    Examples
    --------
    >>> mean_affine([np.diag([2.0, 1.0, 1.0]), np.diag([8.0, 1.0, 1.0])]).diagonal().round(9).tolist()
    [4.0, 1.0, 1.0]
    """
    mean = np.array(maps[0], np.float64)
    for _ in range(STEPS):
        logs = [_logarithm(affine, mean, k, names) for k, affine in enumerate(maps)]
        step = np.mean(logs, axis=0)
        mean = expm(step) @ mean
        if np.abs(step).max() <= ENOUGH * max(1.0, float(np.abs(mean).max())):
            break
    mean[-1] = np.eye(len(mean))[-1]
    return mean


def _logarithm(affine: Float, mean: Float, number: int, names: Sequence[str]) -> Float:
    between = affine @ np.linalg.inv(mean)
    if np.array_equal(between, np.eye(len(between))):
        return np.zeros_like(between)
    turned = np.linalg.eigvals(between[:-1, :-1])
    # on the negative axis, where the principal logarithm ends, and a little before it
    if (np.abs(np.angle(turned)) > np.radians(179)).any():
        who = names[number] if names else f"map {number}"
        raise GeometryError(
            f"varreg.build_template: {who} is turned by half a turn against the mean of the others, so that there is no mean "
            "orientation; correct its header, or leave it out."
        )
    return np.real(logm(between))
