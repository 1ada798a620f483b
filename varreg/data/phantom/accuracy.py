"""Accuracy of a registration with known ground truth: distances and overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .anatomy import LABELS


@dataclass(frozen=True)
class ErrorSummary:
    """Distances between a map and the true map, in voxels.

    Attributes
    ----------
    mean, percentile95, largest : float
        Over the voxels of a mask.
    """

    mean: float
    percentile95: float
    largest: float

    @classmethod
    def between(
        cls,
        displacement: NDArray[np.floating],
        truth: NDArray[np.floating],
        mask: NDArray[np.bool_],
    ) -> ErrorSummary:
        """The target registration error of a displacement.

        Parameters
        ----------
        displacement, truth : (d, *S) array
            Voxels.
        mask : (*S) array of bool
            Evaluated voxels.

        Returns
        -------
        ErrorSummary

        Examples
        --------
        >>> import numpy as np
        >>> from varreg.data.phantom.accuracy import ErrorSummary
        >>> truth = np.zeros((2, 4, 4))
        >>> ErrorSummary.between(truth + 3.0, truth, np.ones((4, 4), bool)).mean.__round__(2)
        4.24
        """
        distance = np.linalg.norm(np.asarray(displacement) - truth, axis=0)[mask]
        return cls(
            float(distance.mean()), float(np.percentile(distance, 95)), float(distance.max())
        )

    def __str__(self) -> str:
        return f"{self.mean:.2f} (95 % below {self.percentile95:.2f}, largest {self.largest:.2f})"


def mean_dice(first: NDArray[np.integer], second: NDArray[np.integer]) -> float:
    r"""Dice coefficient :math:`2 |A \cap B| / (|A| + |B|)`, mean over the tissues of the phantom.

    Parameters
    ----------
    first, second : (*S) array of int
        Labels of :data:`varreg.data.phantom.anatomy.LABELS`; tissues absent in both are excluded.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> from varreg.data.phantom.accuracy import mean_dice
    >>> mean_dice(np.array([1, 1, 2]), np.array([1, 2, 2])).__round__(3)
    0.667
    """
    scores = []
    for label in set(LABELS.values()) - {0}:
        one, other = first == label, second == label
        size = int(one.sum()) + int(other.sum())
        if size:
            scores.append(2 * int((one & other).sum()) / size)
    return float(np.mean(scores)) if scores else 1.0
