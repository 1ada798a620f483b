"""varreg: variational registration of medical images whose contrasts differ.

The public names are loaded on first use, so that ``import varreg`` costs almost nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__
from .errors import (
    BackendError,
    DivergenceError,
    FileError,
    GeometryError,
    InputError,
    OverlapError,
    VarregError,
)

if TYPE_CHECKING:
    from . import report
    from .api import solve
    from .atlas.label import label
    from .atlas.labelling import Labelling
    from .batch.batch import iterate_batch, solve_batch
    from .certificate.certificate import Certificate
    from .certificate.certification import certify
    from .data import phantom
    from .exchange.reading import read_transform
    from .exchange.writing import write_transform
    from .geometry.grid import Grid
    from .images.image import Image
    from .images.image_file import ImageFile
    from .options.options import Options
    from .report import plots
    from .report.view import view
    from .results.result import Result, load
    from .series.aligned import AlignedSeries, load_series
    from .series.alignment import align_series
    from .series.applying import apply_series
    from .slides.warping import warp_slide
    from .template.build import build_template
    from .template.template import Template
    from .transforms.inverse import Inverse
    from .transforms.transform import Transform

_HOMES = {
    "align_series": "series.alignment",
    "apply_series": "series.applying",
    "AlignedSeries": "series.aligned",
    "load_series": "series.aligned",
    "build_template": "template.build",
    "label": "atlas.label",
    "Labelling": "atlas.labelling",
    "Template": "template.template",
    "solve": "api",
    "certify": "certificate.certification",
    "solve_batch": "batch.batch",
    "iterate_batch": "batch.batch",
    "Certificate": "certificate.certificate",
    "load": "results.result",
    "read_transform": "exchange.reading",
    "warp_slide": "slides.warping",
    "write_transform": "exchange.writing",
    "Grid": "geometry.grid",
    "Image": "images.image",
    "ImageFile": "images.image_file",
    "Inverse": "transforms.inverse",
    "Options": "options.options",
    "Result": "results.result",
    "Transform": "transforms.transform",
    "view": "report.view",
}

_MODULES = {"phantom": "data.phantom", "plots": "report.plots", "report": "report"}

__all__ = [
    "AlignedSeries",
    "BackendError",
    "Certificate",
    "DivergenceError",
    "FileError",
    "GeometryError",
    "Grid",
    "Image",
    "ImageFile",
    "InputError",
    "Inverse",
    "Labelling",
    "Options",
    "OverlapError",
    "Result",
    "Template",
    "Transform",
    "VarregError",
    "__version__",
    "align_series",
    "apply_series",
    "build_template",
    "certify",
    "iterate_batch",
    "label",
    "load",
    "load_series",
    "phantom",
    "plots",
    "read_transform",
    "report",
    "solve",
    "solve_batch",
    "view",
    "warp_slide",
    "write_transform",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES and name not in _MODULES:
        raise AttributeError(f"module 'varreg' has no attribute {name!r}")
    if name in _MODULES:
        return importlib.import_module(f".{_MODULES[name]}", __name__)
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
