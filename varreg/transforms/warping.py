"""Warping of images and label maps of one side of a map onto the grid of the other, in either direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends.namespace import beside
from ..geometry.displacement import Float
from ..geometry.grid import Grid
from ..geometry.label_resampling import LABEL_RULES, resampled_labels
from ..geometry.resampling import INTERPOLATIONS, Coordinates, check_choice
from ..images.device_arrays import as_came
from ..images.inputs import image_on, labels_on
from ..images.warping import fill_value, warped

#: Modulation: np.multiply or np.divide, and the determinant on the target grid.
Modulation = tuple[Callable[[Any, Any], Any], Callable[[], NDArray[Any]]]


@dataclass(frozen=True)
class Warping:
    """Warping from the grid of one image onto the grid of the other.

    Parameters
    ----------
    name : str
        Class of the transform, for the messages.
    source : Grid
        Grid of the warped image, if it has no geometry.
    frame : (4, 4) array or None
        See :class:`varreg.Transform`.
    shape : tuple of int
        Shape of the target grid.
    coordinates : callable
        Grid on the side of the source, and an array -> function from slabs of the target to voxels of that grid,
        on the device of the array.
    """

    name: str
    source: Grid
    frame: Float | None
    shape: tuple[int, ...]
    coordinates: Callable[[Grid, Any], Coordinates]

    def image(
        self,
        image: Any,
        interpolation: str,
        fill: float | None,
        threads: int | None,
        modulation: Modulation | None,
    ) -> NDArray[Any]:
        """An image on the target grid, as :meth:`varreg.Transform.warp` returns it."""
        function = f"{self.name}.warp"
        check_choice(interpolation, INTERPOLATIONS, function, "interpolation")
        fill = fill_value(fill, function)
        exact = interpolation == "nearest" and modulation is None
        data, valid, grid = image_on(self.source, self.frame, image, function, exact)
        place = self.shape, self.coordinates(grid, data)
        found = warped(data, valid, *place, interpolation, fill, threads)
        if modulation is not None:
            change, determinant = modulation
            found = change(found, beside(np.abs(determinant()), found))
        return as_came(found, image)

    def labels(self, labels: Any, rule: str) -> NDArray[Any]:
        """A label map on the target grid, as :meth:`varreg.Transform.warp_labels` returns it."""
        function = f"{self.name}.warp_labels"
        check_choice(rule, LABEL_RULES, function, "rule")
        data, grid = labels_on(self.source, self.frame, labels, function)
        place = self.shape, self.coordinates(grid, data)
        return as_came(resampled_labels(data, *place, rule), labels)
