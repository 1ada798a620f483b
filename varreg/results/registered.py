"""What every registration offers of its map, whoever found it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.displacement import Float
from ..transforms.transform import Transform

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..certificate.certificate import Certificate
    from ..transforms.inverse import Inverse


@dataclass(frozen=True, eq=False)
class Registered:
    """The map fixed -> moving of a registration, and what it can do.

    Attributes
    ----------
    transform : Transform
        The map.
    """

    transform: Transform

    @property
    def affine(self) -> Float:
        """A, (d+1, d+1): fixed world -> moving world (mm, RAS+)."""
        return self.transform.affine

    @cached_property
    def u(self) -> NDArray[np.float32]:
        """The deformable part at every fixed voxel, (d, *S), mm along the axes of the array."""
        return self.transform.u

    @cached_property
    def displacement(self) -> NDArray[np.float32]:
        """The total map, (d, *S), in voxels of the fixed array; see Transform.displacement."""
        return self.transform.displacement

    def warp(
        self, image: Any, interpolation: str = "linear", fill: float = 0.0
    ) -> NDArray[np.float32]:
        """Bring an image of the moving side onto the fixed grid; see :meth:`varreg.Transform.warp`."""
        return self.transform.warp(image, interpolation, fill)

    def warp_labels(self, labels: Any, rule: str = "linear") -> NDArray[Any]:
        """Bring labels of the moving side onto the fixed grid; see :meth:`varreg.Transform.warp_labels`."""
        return self.transform.warp_labels(labels, rule)

    def points(self, points: Any, space: str = "world") -> NDArray[np.float64]:
        """Map points of the fixed image to the moving image; see :meth:`varreg.Transform.points`."""
        return self.transform.points(points, space)

    def inverse(
        self, tolerance: float = 1e-4, iterations: int = 100, method: str = "fixed-point"
    ) -> Inverse:
        """The map moving -> fixed, with its residual; see :meth:`varreg.Transform.inverse`."""
        return self.transform.inverse(tolerance, iterations, method)

    def report(
        self,
        path: str | os.PathLike[str],
        certificate: Certificate | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Write one HTML page that shows it all; see :func:`varreg.report.write_report`."""
        from ..report import write_report

        return write_report(self, path, certificate, overwrite)

    def plot(self, path: str | os.PathLike[str] | None = None, **settings: Any) -> Figure:
        """Draw the overview figure; `path` and settings as for :func:`varreg.report.plots.overview`."""
        from ..report.subject import with_images

        found = with_images(self)
        from ..report.plots import overview

        place = None if path is None else os.fspath(path)
        return overview(found, found.fixed, found.moving, place, **settings)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from ..report.notebook import notebook_html

        return notebook_html(self)

    def jacobian(self) -> NDArray[np.float32]:
        """Volume change of the total map at every fixed voxel; see :meth:`varreg.Transform.jacobian`."""
        return self.transform.jacobian()
