r"""Background suppression: the warped image should be dark where the fixed image is.

.. math:: B(F, M_w) = \frac1N \sum_i m_i\,(F_i - M_{w,i})^2, \qquad m_i = 1 \text{ if } F_i < \gamma
          \text{ and } 0 \text{ else},

the term beside mutual information in the loss J_L of the paper (section 2.2.3 of doi
10.3390/math14122131), with the mean over all voxels that its parent takes.  It supposes that what is
dark in one contrast is dark in the other: true of air, not of cerebrospinal fluid.
"""

from __future__ import annotations

from torch import Tensor

from varreg.errors import InputError

from .arguments import check_finite, check_images, check_range, single_or_double

NAME = "learned.losses.background_suppression"


def background_suppression(
    warped: Tensor, fixed: Tensor, threshold: float = 0.1, mask: Tensor | None = None
) -> Tensor:
    """Mean squared difference to the fixed image over its background.

    Parameters
    ----------
    warped, fixed : (N, 1, *S) tensors
        In [0, 1].
    threshold : float
        gamma in [0, 1]: voxels of the fixed image below it are background.
    mask : (N, 1, *S) tensor or None
        Fixed mask: voxels above 1/2 are inside; None for all.

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
    dark = fixed < threshold
    counts: Tensor | int = fixed[0].numel()
    if mask is not None:
        dark = dark & (mask > 0.5)
        counts = (mask > 0.5).flatten(1).sum(1).clamp(min=1)
    difference = (single_or_double(warped) - single_or_double(fixed)) * dark
    return difference.square().flatten(1).sum(1) / counts
