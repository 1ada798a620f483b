r"""Mutual information of the fixed and the warped image: the solver's similarity as a training loss.

The N_F voxels inside the fixed mask have weights w, their share in view of the moving image, with sum N.
The value is the mutual information of the voxels in view (with regions: given the region),

.. math:: \mathrm{MI} = \frac{1}{N_F} \sum_r N_r\,\mathrm{MI}_r, \qquad \sum_r N_r = N ,

so that moving voxels out of view is not rewarded.  Bins, kernels and regions are those of
:mod:`varreg.similarity.estimator` and :mod:`varreg.similarity.regions`.  The energy is eq. (13) of
doi 10.3390/math14122131.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from varreg.errors import InputError
from varreg.geometry.grid import Grid
from varreg.options.options import Options
from varreg.similarity.estimator import Estimator
from varreg.similarity.regions import region_counts, region_cuts

from ..tensors import (
    check_finite,
    check_images,
    check_range,
    kept,
    single_or_double,
    without_autocast,
)
from .fine_histogram import information, joint_histogram, parzen_matrix
from .windows import guarded_information, windowed_histogram

#: Admitted overshoot of cubic B-splines beyond [0, 1]; the actual one is less than half the range.
OVERSHOOT = 1.0
NAME = "learned.losses.MutualInformation"


class MutualInformation:
    """Mutual information of each pair of a batch, equal to that of the solver with these options.

    All voxels are used (``samples_per_node`` of the options applies to the solver only).  It is
    computed in float32 or float64, with sums in float64, also under autocast.

    Parameters
    ----------
    options : varreg.Options
        ``similarity`` ("regional-mi" or "mi") and the density estimator. With ``interpolation``
        "cubic" the warped image may overshoot [0, 1]; it is compressed to within one bin of that range.

    Raises
    ------
    InputError
        If `options` is not a :class:`varreg.Options` or has another similarity.

    Examples
    --------
    >>> import torch
    >>> from varreg.options.options import Options
    >>> image = torch.linspace(0, 1, 400).reshape(1, 1, 20, 20)
    >>> similarity = MutualInformation(Options(similarity="mi"))
    >>> bool(similarity(1 - image, image) > similarity(image.transpose(2, 3), image))
    True
    """

    def __init__(self, options: Options) -> None:
        if not isinstance(options, Options):
            raise InputError(
                f"{NAME}: `options` must be a varreg.Options; got {type(options).__name__}."
            )
        if options.similarity not in ("regional-mi", "mi"):
            raise InputError(
                f"{NAME}: `options.similarity` must be 'regional-mi' or 'mi'; "
                f"got {options.similarity!r}."
            )
        self.estimator = Estimator.from_options(options)
        self.options = options
        self.overshoot = OVERSHOOT if options.interpolation == "cubic" else 0.0
        kernel = self.estimator.kernel
        self.matrix = None if kernel is None else torch.from_numpy(parzen_matrix(kernel))

    def __call__(
        self,
        warped: Tensor,
        fixed: Tensor,
        weight: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Mutual information of each pair.

        Parameters
        ----------
        warped : (N, 1, *S) tensor
            Warped moving image on the fixed grid, in [0, 1]. If it contains nan, the result is nan.
        fixed : (N, 1, *S) tensor
            Fixed image, in [0, 1].
        weight : (N, 1, *S) tensor or None
            Share of each voxel in view of the moving image (and inside its mask), in [0, 1]; None for 1.
        mask : (N, 1, *S) tensor or None
            Fixed mask, or weights in [0, 1]; None for equal weights.

        Returns
        -------
        (N,) tensor
            In nats; 0 if no voxel is in view. Differentiable once, with respect to `warped` and
            `weight`.

        Raises
        ------
        InputError
            If shapes differ or values are out of range.
        """
        self._check(warped, fixed, weight, mask)
        with without_autocast(warped):
            precision = single_or_double(warped).dtype
            value = self._to_bins(warped.to(precision).flatten(1))
            if self.overshoot:
                value = bent(value, *self.estimator.span)
            counts = torch.ones_like(value) if mask is None else mask.flatten(1).to(value)
            shares = counts if weight is None else counts * weight.to(precision).flatten(1)
            unit = self._to_bins(fixed.detach().to(precision))
            total = counts.sum(1, dtype=torch.float64)
            total = torch.where(total > 0, total, torch.ones_like(total))
            return (self._information(unit, value, shares) / total).to(precision)

    def _information(self, unit: Tensor, value: Tensor, weight: Tensor) -> Tensor:
        """Mutual information times total weight, (N,); `unit` (N, 1, *S) holds fixed values in bins."""
        bins = self.estimator.bins
        if self.estimator.windows is not None:
            windows = self.estimator.windows
            table = windowed_histogram(unit.flatten(1), value, weight, bins, windows)
            return guarded_information(table)
        shape = tuple(unit.shape[2:])
        regional = self.options.similarity == "regional-mi"
        boxes = self.options.decided(len(shape)).regions if regional else 1
        region, regions = region_image(shape, boxes or 1, unit.device)
        pair = torch.arange(len(unit), device=unit.device)[:, None]
        nearest = (unit + 0.5).floor().long().clamp_(0, bins - 1).flatten(1)
        row = (pair * regions + region.flatten()) * bins + nearest
        table = joint_histogram(value, weight, row, len(unit) * regions * bins, bins)
        assert self.matrix is not None  # the B-spline estimator always has a kernel
        return information(table.view(-1, regions, bins, bins), self.matrix.to(table.device))

    def _to_bins(self, unit: Tensor) -> Tensor:
        low, high = self.estimator.span
        return low + (high - low) * unit

    def _check(
        self, warped: Tensor, fixed: Tensor, weight: Tensor | None, mask: Tensor | None
    ) -> None:
        given = {"warped": warped, "fixed": fixed}
        if weight is not None:
            given["weight"] = weight
        if mask is not None:
            given["mask"] = mask.float() if isinstance(mask, Tensor) else mask
        check_images(NAME, **given)
        check_finite(NAME, "fixed", fixed)
        check_range(NAME, "fixed", fixed, 0, 1)
        check_range(NAME, "warped", warped, -self.overshoot, 1 + self.overshoot)
        if weight is not None:
            check_range(NAME, "weight", weight, 0, 1)
        if mask is not None:
            check_finite(NAME, "mask", given["mask"])
            check_range(NAME, "mask", given["mask"], 0, 1)


@kept
def region_image(
    shape: tuple[int, ...], regions: int, device: torch.device | None = None
) -> tuple[Tensor, int]:
    """Region index of every voxel, (*S) int64, and the number of regions.

    Regions are the boxes of :func:`varreg.similarity.regions.region_counts` for isotropic voxels, `regions` of them
    along the longest axis.

    Examples
    --------
    >>> region_image((8, 4), 2)[0][:, 0].tolist()
    [0, 0, 0, 0, 1, 1, 1, 1]
    """
    counts = region_counts(Grid.with_spacing(shape), regions)
    image = torch.zeros((), dtype=torch.int64, device=device)
    for size, count in zip(shape, counts, strict=True):
        along = np.repeat(np.arange(count), np.diff(region_cuts(size, count)))
        image = image[..., None] * count + torch.from_numpy(along).to(image)
    return image, int(np.prod(counts))


def bent(value: Tensor, low: float, high: float) -> Tensor:
    """Values with their excess e beyond [low, high] compressed to 1 - exp(-e), continuously differentiable."""
    beyond = value - value.clamp(low, high)
    return value - beyond - beyond.sign() * torch.expm1(-beyond.abs())
