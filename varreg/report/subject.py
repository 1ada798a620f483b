"""Input of a report: a registration and its two images on the fixed grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..checks.head import head_of
from ..errors import InputError
from ..images.accepted import as_pair
from ..images.image import Image
from ..images.intensities import unit_intensities
from ..images.level_image import LevelImage
from ..transforms.registered_images import refuse_other_grids, refuse_other_moving
from ..transforms.transform import Transform
from .joint import joint_histogram
from .plots.panels import intensity_window
from .tiles import Box

if TYPE_CHECKING:
    from ..results.result import Result

Float = NDArray[np.floating]

#: Share of the fixed image in view below which the state before registration is not shown by the headers.
LEAST_OVERLAP = 0.4
#: Margin around the head, as a share of its size; and smallest share of the fullest slice for a slice of the head.
MARGIN, FEW = 0.04, 0.01


def with_images(result: Any, moving: Any = None, fixed: Any = None) -> Result:
    """The result with the two registered images, which a saved result does not contain.

    Parameters
    ----------
    result : Result or object with ``as_result``
        Such as a prediction of ``learned``.
    moving, fixed : array, path, nibabel image or varreg.Image, optional
        Both or neither.

    Raises
    ------
    InputError
        If there are none, or they are not the registered images.
    """
    found: Result = result.as_result() if hasattr(result, "as_result") else result
    if (moving is None) != (fixed is None):
        raise InputError("varreg.report: give `moving` and `fixed` both, or neither.")
    if moving is not None:
        first, second = as_pair(moving, fixed, "varreg.report")
        found = replace(found, moving=first, fixed=second)
    if found.fixed is None or found.moving is None:
        raise InputError(
            "varreg.report: the result holds no images, because it was loaded; pass those that were "
            "registered: varreg.report.write_report(result, path, moving=..., fixed=...) or "
            "varreg.plots.overview(result, fixed, moving) (command line: --moving and --fixed)."
        )
    # with other images the report would be false
    refuse_other_grids(found.transform, found.moving, found.fixed, "varreg.report")
    refuse_other_moving(found.transform, found.moving, found.warped, "varreg.report")
    return found


@dataclass(frozen=True, eq=False)
class Subject:
    """A registration and its images for the report.

    Attributes
    ----------
    result : Result
        With images.
    """

    result: Result

    @property
    def fixed(self) -> Image:
        assert self.result.fixed is not None
        return self.result.fixed

    @property
    def moving(self) -> Image:
        assert self.result.moving is not None
        return self.result.moving

    @cached_property
    def placed(self) -> Transform:
        """The map before registration: by the headers, or by the centres if the headers leave too little in view."""
        transform = self.result.transform
        fixed, moving = transform.fixed, transform.moving
        matrix = np.eye(fixed.dim + 1)
        if self.headers_apart:
            matrix[:-1, -1] = moving.centre - fixed.centre
        return Transform(fixed, moving, matrix, frame=transform.frame)

    @property
    def headers_apart(self) -> bool:
        """Whether the headers place most of the fixed image outside the moving one."""
        fixed, moving = self.result.transform.fixed, self.result.transform.moving
        return fixed.overlap_fraction(moving, np.eye(fixed.dim + 1)) < LEAST_OVERLAP

    @cached_property
    def before(self) -> NDArray[np.float32]:
        """The moving image on the fixed grid before registration, (*S)."""
        return self._seen(self.placed)

    @cached_property
    def after(self) -> NDArray[np.float32]:
        """The warped moving image, (*S)."""
        return self._seen(self.result.transform)

    def _seen(self, transform: Transform) -> NDArray[np.float32]:
        """The moving image warped by a map; voxels without data are as dark as those out of view."""
        dark = self.moving_window[0]
        return np.nan_to_num(transform.warp(self.moving, fill=dark), nan=dark, copy=False)

    @cached_property
    def fixed_window(self) -> tuple[float, float]:
        return intensity_window(self.fixed.data)

    @cached_property
    def moving_window(self) -> tuple[float, float]:
        return intensity_window(self.moving.data)

    @cached_property
    def head(self) -> NDArray[np.bool_]:
        """The voxels of the fixed head, (*S), used for averages."""
        image = LevelImage(unit_intensities(self.fixed.data, None), None, self.fixed.grid)
        return head_of(image).shown

    @cached_property
    def box(self) -> Box:
        """Displayed region: the head and a margin, along all axes."""
        return _box_of(self.head)

    @cached_property
    def determinant(self) -> Float:
        """det(id + grad u) at every fixed voxel, (*S), without the affine part."""
        return self.result.jacobian() / np.linalg.det(self.result.affine[:-1, :-1])

    @cached_property
    def histograms(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Joint histograms before and after, of the voxels of the head that map inside the moving image."""
        return self._histogram(self.placed, self.before), self._histogram(
            self.result.transform, self.after
        )

    def _histogram(self, transform: Transform, warped: Float) -> NDArray[np.int64]:
        valid = self.moving.valid
        there = np.ones(self.moving.grid.shape, np.float32) if valid is None else valid
        seen = transform.warp(there.astype(np.float32), interpolation="nearest", fill=0) > 0
        seen &= self.head
        return joint_histogram(
            self.fixed.data[seen], warped[seen], self.fixed_window, self.moving_window
        )


def _box_of(shown: NDArray[np.bool_]) -> Box:
    """Bounding box of most of a mask, with a margin, ignoring isolated bright voxels in the background."""
    box = []
    for axis in range(shown.ndim):
        others = tuple(a for a in range(shown.ndim) if a != axis)
        counts = shown.sum(others)
        places = np.flatnonzero(counts > FEW * counts.max())
        first, last = int(places[0]), int(places[-1])
        margin = max(2, round(MARGIN * (last - first)))
        box.append(slice(max(0, first - margin), min(shown.shape[axis], last + margin + 1)))
    return tuple(box)
