r"""Background suppression: where the fixed image is dark, so shall the warped one be.

.. math:: B(F, M_w) = \frac1N \sum_i m_i\,(F_i - M_{w,i})^2, \qquad m_i = 1 \text{ if } F_i < \gamma
          \text{ and } 0 \text{ else},

the term beside mutual information in the loss J_L of the paper (section 2.2.3 of doi
10.3390/math14122131), with the mean over all voxels that its parent takes.  It supposes that what is
dark in one contrast is dark in the other: true of air, not of cerebrospinal fluid.
"""

from __future__ import annotations

import torch
from torch import Tensor

from varreg.errors import InputError

from .arguments import check_finite, check_images, check_range, single_or_double

NAME = "learned.losses.background_suppression"


def background_suppression(
    warped: Tensor, fixed: Tensor, threshold: float = 0.1, mask: Tensor | None = None
) -> Tensor:
    """Mean square of what the warped image has where the fixed one is background.

    Parameters
    ----------
    warped, fixed : (N, 1, *S) tensors
        In [0, 1].
    threshold : float
        gamma, in [0, 1]: darker voxels of the fixed image are background.
    mask : (N, 1, *S) tensor or None
        Voxels of the fixed image that count, or the weights in [0, 1] by which they do; None for all alike.

    Returns
    -------
    (N,) tensor, squared intensities, in float32 or float64.

    Raises
    ------
    InputError

    Examples
    --------
    >>> import torch
    >>> fixed = torch.tensor([0.0, 0.0, 0.5, 1.0]).reshape(1, 1, 2, 2)
    >>> warped = torch.tensor([1.0, 0.0, 0.0, 0.0]).reshape(1, 1, 2, 2)
    >>> background_suppression(warped, fixed).tolist()
    [0.25]
    """
    images = {"warped": warped, "fixed": fixed}
    if mask is not None:
        images["mask"] = mask.float() if isinstance(mask, Tensor) else mask
    check_images(NAME, **images)
    check_finite(NAME, "fixed", fixed)
    check_range(NAME, "fixed", fixed, 0, 1)
    if not (isinstance(threshold, (int, float)) and 0 <= threshold <= 1):
        raise InputError(f"{NAME}: `threshold` must be a number in [0, 1]; got {threshold!r}.")
    dark: Tensor = fixed < threshold
    counts: Tensor | int = fixed[0].numel()
    difference = single_or_double(warped) - single_or_double(fixed)
    if mask is not None:
        check_range(NAME, "mask", images["mask"], 0, 1)
        weight = mask.to(difference)
        dark, total = dark * weight, weight.flatten(1).sum(1)
        counts = torch.where(total > 0, total, torch.ones_like(total))
    return (difference.square() * dark).flatten(1).sum(1) / counts
