r"""Fusion of label maps warped to one image: each voxel is assigned the label of the largest total weight.

"majority"
    Every atlas has the same weight.
"local"
    The weight of an atlas increases with the local similarity of its image to the target.  In a patch around the voxel
    the target's intensities are fitted by a linear function of the atlas's; the residual has the variance
    :math:`1 - r^2` relative to the target's, with the local correlation r, and the weight is :math:`1 / (1 - r^2)`, as for
    votes with independent errors.  (Artaechevarria et al. 2009, *IEEE TMI* 28(8), 1266-1277; Sabuncu et al. 2010,
    doi:10.1109/TMI.2010.2050897.)  Contrasts may differ, as the function is fitted.

Where all atlases agree, no weights are computed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .patches import correlations

METHODS = ("local", "majority")
#: Lower limit of the residual variance, below which noise would determine the weights.
LEAST = 0.01


def fuse(
    target: NDArray[np.float32],
    images: Sequence[NDArray[np.float32]],
    labels: Sequence[NDArray[np.integer]],
    method: str,
    radius: int,
) -> tuple[NDArray[np.integer], NDArray[np.float32]]:
    """The fused labels, and their share of the total weight.

    Parameters
    ----------
    target : (*S) float array
    images : sequence of (*S) float arrays
        Images of the atlases, warped to the target.
    labels : sequence of (*S) integer arrays
        Label maps of the atlases, warped to the target.
    method : {"local", "majority"}
    radius : int
        Radius of the patches, voxels: 2 for 5 x 5 x 5.

    Returns
    -------
    labels : (*S) integer array
        Ties go to the lower label.
    agreement : (*S) float32 array
        Share of the total weight for the fused label, from 0 to 1.

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
    if differ.any():
        votes = np.stack([each[differ] for each in labels]).astype(common)
        weights = np.ones(votes.shape)
        if method == "local":
            near = correlations(target, images, differ, radius)
            weights = 1 / np.maximum(1 - near**2, LEAST)
        fused[differ], agreement[differ] = vote(votes, weights)
    return fused, agreement


def vote(
    votes: NDArray[np.integer], weights: NDArray[np.floating]
) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
    """The label of the largest total weight, and its share; ties to the lower label.

    Parameters
    ----------
    votes : (n, v) integer array
        Labels of n atlases at v voxels.
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
