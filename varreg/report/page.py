"""The HTML report: one self-contained file that needs no network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from ..certificate.certificate import Certificate
from ..errors import InputError
from ..io.atomic import atomic_path
from ..io.destination import usable_path
from . import facts
from .charts import BOX, charts
from .field import wheel
from .joint import histogram_picture
from .layers import Layers, fitting_layers
from .pictures import determinant_colours
from .rendering import own_text, rendered
from .repetition import call
from .sides import sides
from .subject import Subject, with_images
from .tiles import data_uri
from .verdict import verdict
from .viewer import policy_hash, viewer

if TYPE_CHECKING:
    from ..results.result import Result

Write = Callable[["Result", Certificate, str], None]
#: Total size of the sprites in characters, so that the page stays below 5 MB; with the 3D viewer below 6 MB.
LARGEST, LARGEST_BESIDE_VIEWER = 4_300_000, 3_500_000
#: Range of det J in the legend: from, to, step of the colours.
LEGEND = (-0.5, 2.0, 0.05)


def write_report(
    result: Any,
    path: str | os.PathLike[str],
    certificate: Certificate | None = None,
    overwrite: bool = False,
    *,
    moving: Any = None,
    fixed: Any = None,
) -> Path:
    """Write one HTML page with the images, map, checks and certificate of a registration.

    Parameters
    ----------
    result : Result or Prediction
        Registration to report.
    path : str or PathLike
        The file to be created, ending in ``.html`` or ``.htm``; below 5 MB, for volumes below 6 MB.
    certificate : Certificate, optional
        Result of :func:`varreg.certify`; by default it is computed, without masks.
    overwrite : bool
        Replace an existing file.
    moving, fixed : array, path, nibabel image or varreg.Image, optional
        The registered images, which a loaded result does not contain.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If the images are absent or not the registered ones, or the certificate belongs to another result.
    FileError
        If the file exists or cannot be written; an existing file is then unchanged.

    Examples
    --------
    >>> from varreg.report import write_report
    >>> write_report(result, "report.html")  # doctest: +SKIP
    """
    with reserved(path, overwrite) as write:
        found = with_images(result, moving, fixed)
        page_certificate = _certified(found, result) if certificate is None else certificate
        write(found, page_certificate, str(result))
    return Path(os.fsdecode(path))


@contextmanager
def reserved(path: str | os.PathLike[str], overwrite: bool) -> Iterator[Write]:
    """Verify before the computation that the page can be written; it appears when the block ends.

    Yields
    ------
    callable
        Takes the result, with its images, the certificate, and the summary of the result.
    """
    target = usable_path(path, "varreg.report")
    if target.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"varreg.report: `path` must end in .html; got {str(target)!r}.")
    with atomic_path(target, overwrite=overwrite) as file:
        yield lambda found, certificate, words: _write(file, page(found, certificate, words))


def _write(file: Path, text: str) -> None:
    file.write_text(text, "utf-8")


def _certified(found: Result, result: Any) -> Certificate:
    """Certificate of the original object, so that a prediction is described as one."""
    from ..certificate.certification import certify

    return certify(found.moving, found.fixed, result)


def page(found: Result, certificate: Certificate, words: str) -> str:
    """The page of a result with images, as text; see :func:`write_report`."""
    shape = found.transform.fixed.shape
    if not isinstance(certificate, Certificate) or certificate.shape != shape:
        received = getattr(certificate, "shape", type(certificate).__name__)
        raise InputError(
            f"varreg.report: `certificate` must be the varreg.Certificate of this map, of {shape} voxels;"
            f" got {received}."
        )
    subject = Subject(found)
    solid = viewer(subject)
    layers = fitting_layers(subject, LARGEST if solid is None else LARGEST_BESIDE_VIEWER)
    return rendered(
        "report.html.j2",
        result=found,
        **_scripts(solid),
        **verdict(found.checks, certificate, words),
        **_pictures(subject, layers),
        **_reproduction(subject, certificate),
    )


def _scripts(solid: dict[str, Any] | None) -> dict[str, Any]:
    """The scripts, which the content security policy allows by their hashes only."""
    script, viewer_script = own_text("report.js"), own_text("viewer.js")
    hashes = [policy_hash(script.encode())]
    if solid is not None:
        hashes += [policy_hash(viewer_script.encode()), solid["hash"]]
    return {
        "script": Markup(script),
        "viewer_script": Markup(viewer_script),
        "viewer": solid,
        "hashes": hashes,
    }


def _pictures(subject: Subject, layers: Layers) -> dict[str, Any]:
    """All pictures, with their legends and captions."""
    return {
        "groups": [
            ("images", "The images", facts.image_views(subject)),
            ("map", "The map", facts.map_views(subject, layers)),
        ],
        "planes": _planes(subject, layers),
        "full_colour": layers.full_colour,
        "legend": _legend(),
        "wheel": data_uri(wheel(), None),
        "histograms": _histograms(subject),
        "charts": charts(subject.result.history),
        "box": BOX,
    }


def _reproduction(subject: Subject, certificate: Certificate) -> dict[str, Any]:
    """Instructions to reproduce the result."""
    result = subject.result
    options = result.options if result.levels else certificate.options
    return {
        "options": facts.option_rows(options, result.transform.fixed.dim),
        "provenance": facts.provenance_rows(subject),
        "call": call(result),
        "command": str(result.provenance.get("command", "")),
    }


def _planes(subject: Subject, layers: Layers) -> list[dict[str, Any]]:
    """Data of each plane for the script."""
    shape = subject.fixed.grid.shape
    return [
        {
            "name": stack.plane.name,
            "depth": 1 if stack.plane.axis is None else shape[stack.plane.axis],
            "indices": stack.indices,
            "middle": stack.middle,
            "sides": sides(subject.fixed, stack.plane),
            "width": stack.width,
            "height": stack.height,
            "columns": stack.columns,
            "sprites": layer.sprites,
        }
        for layer in layers.planes
        for stack in [layer.stack]
    ]


def _histograms(subject: Subject) -> list[dict[str, str]]:
    """The two pictures, with a common colour scale."""
    counts = np.concatenate([h[h > 0] for h in subject.histograms])
    # excluding the fullest bins, which hold the background and would darken all others
    most = int(np.percentile(counts, 99.5)) if counts.size else 1
    return [
        {"uri": data_uri(histogram_picture(h, most), None), "caption": caption}
        for h, caption in zip(subject.histograms, facts.histogram_captions(subject), strict=True)
    ]


def _legend() -> dict[str, Any]:
    """Colours of det J along a linear axis, and the positions of its ticks in percent."""
    low, high, step = LEGEND
    values = np.arange(low, high + step / 2, step)
    share = 100 * (values - low) / (high - low)
    stops = [
        f"rgb({r} {g} {b}) {place:.1f}%"
        for place, (r, g, b) in zip(share, determinant_colours(np.round(values, 6)), strict=True)
    ]
    marks = [(0.0, "0: fold"), (0.5, "\u00bd"), (1.0, "1: no change"), (2.0, "2")]
    return {
        "gradient": ", ".join(stops),
        "marks": [(f"{100 * (v - low) / (high - low):.1f}", text) for v, text in marks],
    }
