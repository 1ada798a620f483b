r"""Fusion of label maps that were brought onto one image: each voxel takes the label of the largest weight.

"majority"
    Every atlas has the same weight.
"local"
    An atlas has the more weight the better its image explains the target near the voxel.  In a patch around it the target's
    intensities are fitted by a linear function of the atlas's; the residual has the variance
    :math:`s_i = 1 - r_i^2` in units of the target's, with the local correlation r.  The weight is
    :math:`s_i^{-\beta}` (Artaechevarria et al. 2009, doi:10.1109/TMI.2009.2014372; Sabuncu et al. 2010,
    doi:10.1109/TMI.2010.2050897).  Contrasts may differ, for the function is fitted.
"joint"
    Atlases that make the same error must not outvote the others.  With the correlations of the residuals,
    :math:`M_{ij} = 1 - r_i^2 - r_j^2 + r_i r_j r_{ij}`, the weights :math:`w = M^{-1} 1 / (1^\top M^{-1} 1)` minimise the expected
    error of the vote (joint label fusion, Wang et al. 2013, doi:10.1109/TPAMI.2012.143, with a fitted function in the
    place of the difference of intensities).

Where all atlases agree there is nothing to weigh, and nothing is computed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .patches import Correlations

METHODS = ("joint", "local", "majority")
#: Power of the residuals' products, and what is added to their diagonal relative to its mean.
POWER, RIDGE = 2.0, 0.1
#: Residual variance that counts as perfect: below it, noise decides.
LEAST = 0.01
#: Voxels whose matrices are held at a time.
AT_ONCE = 100_000


def fuse(
    target: NDArray[np.float32],
    images: Sequence[NDArray[np.float32]],
    labels: Sequence[NDArray[np.integer]],
    method: str,
    radius: int,
) -> tuple[NDArray[np.integer], NDArray[np.float32]]:
    """The fused labels, and the share of the weight that voted for them.

    Parameters
    ----------
    target : (*S) float array
    images : sequence of (*S) float arrays
        Of the atlases, brought onto the target.
    labels : sequence of (*S) integer arrays
        Likewise.
    method : {"joint", "local", "majority"}
    radius : int
        Of the patches, voxels: 2 are 5 x 5 x 5.

    Returns
    -------
    labels : (*S) integer array
        Ties go to the lower label.
    agreement : (*S) float32 array
        From 0 to 1.

    Examples
    --------
    >>> image = np.arange(25, dtype=np.float32).reshape(5, 5)
    >>> votes = [np.full((5, 5), vote) for vote in (1, 2, 2)]
    >>> fused, agreement = fuse(image, [image] * 3, votes, "majority", 1)
    >>> int(fused[0, 0]), round(float(agreement[0, 0]), 3)
    (2, 0.667)
    """
    common = np.result_type(*labels)
    fused = labels[0].astype(common)
    agreement = np.ones(target.shape, np.float32)
    differ = np.zeros(target.shape, bool)
    for each in labels[1:]:
        differ |= each != labels[0]
    where = np.argwhere(differ)
    if not len(where):
        return fused, agreement
    near = None if method == "majority" else Correlations(target, images, where, radius)
    for start in range(0, len(where), AT_ONCE):
        part = slice(start, min(start + AT_ONCE, len(where)))
        index = tuple(where[part].T)
        votes = np.stack([each[index] for each in labels]).astype(common)
        weights = np.ones(votes.shape) if near is None else _weights(near, part, method)
        fused[index], agreement[index] = vote(votes, weights)
    return fused, agreement


def vote(
    votes: NDArray[np.integer], weights: NDArray[np.floating]
) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
    """The label of the largest total weight, and its share; ties to the lower label.

    Parameters
    ----------
    votes : (n, v) integer array
        Of n atlases at v voxels.
    weights : (n, v) array

    Examples
    --------
    >>> label, share = vote(np.array([[5], [3]]), np.array([[1.0], [1.0]]))
    >>> int(label[0]), float(share[0])
    (3, 0.5)
    """
    best, most = votes[0], np.full(votes.shape[1], -np.inf)
    for label in votes:
        total = np.where(votes == label, weights, 0).sum(axis=0)
        better = (total > most + 1e-9) | ((total > most - 1e-9) & (label < best))
        best, most = np.where(better, label, best), np.where(better, total, most)
    return best, np.clip(most / weights.sum(axis=0), 0, 1)


def _weights(near: Correlations, part: slice, method: str) -> NDArray[np.floating]:
    """Weights (n, v) of the atlases at some voxels."""
    with_target = near.with_target[:, part].astype(np.float64)
    residual = np.maximum(1 - with_target**2, LEAST)
    if method == "local":
        return np.asarray(residual**-POWER)
    n = len(with_target)
    matrix = np.empty((with_target.shape[1], n, n))
    for i in range(n):
        matrix[:, i, i] = residual[i] ** POWER
        for j in range(i):
            r, s, between = with_target[i], with_target[j], near.between[i, j][part]
            product = 1 - r**2 - s**2 + r * s * between
            matrix[:, i, j] = matrix[:, j, i] = np.maximum(product, 0) ** POWER
    return _least_error(matrix)


def _least_error(matrix: NDArray[np.floating]) -> NDArray[np.floating]:
    """w = M^-1 1 / (1^T M^-1 1) for each (v, n, n) matrix, as (n, v)."""
    n = matrix.shape[1]
    ridge = RIDGE * np.trace(matrix, axis1=1, axis2=2) / n
    matrix = matrix + ridge[:, None, None] * np.eye(n)
    solution = np.linalg.solve(matrix, np.ones((len(matrix), n, 1)))[..., 0]
    return np.asarray((solution / solution.sum(axis=1, keepdims=True)).T)
