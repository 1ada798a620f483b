"""The map of a registration by any method, with plots and report."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..optimise.check import first_line
from ..transforms.transform import Transform

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..certificate.certificate import Certificate


def _of_transform(name: str, doc: str | None = None) -> Any:
    """A property or method of the transform, available on the registration."""
    doc = getattr(Transform, name).__doc__ if doc is None else doc
    return property(lambda self: getattr(self.transform, name), doc=doc)


def short(found: Any) -> str:
    """One-line summary: images, type of the map, and warnings of the checks."""
    moving, fixed = found.moving_name or "moving image", found.fixed_name or "fixed image"
    shape = " x ".join(map(str, found.transform.fixed.shape))
    kind = "affine map" if found.transform.nodes is None else "affine and deformable map"
    checks = first_line(getattr(found, "checks", ()))
    checks = checks if len(checks) <= 400 else f"{checks[:397]}..."
    return f"{moving} onto {fixed}, {shape} voxels; {kind}. {checks} print(...) explains it."


@dataclass(frozen=True, eq=False, repr=False)
class Registered:
    """The map fixed -> moving of a registration, with all methods of a :class:`Transform`.

    Attributes
    ----------
    transform : Transform
        The map.
    """

    transform: Transform

    affine = _of_transform("affine", "A, (d+1, d+1): fixed world -> moving world (mm, RAS+).")
    u = _of_transform("u")
    displacement = _of_transform("displacement")
    warp = _of_transform("warp")
    warp_labels = _of_transform("warp_labels")
    points = _of_transform("points")
    inverse = _of_transform("inverse")
    jacobian = _of_transform("jacobian")

    def report(
        self,
        path: str | os.PathLike[str],
        certificate: Certificate | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Write one HTML page with all results; see :func:`varreg.report.write_report`."""
        from ..report import write_report

        return write_report(self, path, certificate, overwrite)

    def plot(self, path: str | os.PathLike[str] | None = None, **settings: Any) -> Figure:
        """Draw the overview figure; `path` and settings as for :func:`varreg.report.plots.overview`."""
        from ..report.subject import with_images

        found = with_images(self)
        from ..report.plots import overview

        return overview(found, found.fixed, found.moving, path, **settings)

    def __repr__(self) -> str:
        """Short summary; ``print`` shows the complete one."""
        kind = type(self).__name__
        return f"<varreg.{kind}: {short(self)}>"

    def _repr_html_(self) -> str:
        """Representation in notebooks."""
        from ..report.notebook import notebook_html

        return notebook_html(self)
