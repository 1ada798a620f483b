"""varreg: variational registration of medical images whose contrasts differ.

The public names are loaded on first use, so that ``import varreg`` costs next to nothing.
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
    from . import phantom, plots, report
    from .api import solve
    from .batch import iterate_batch, solve_batch
    from .certificate import Certificate
    from .certification import certify
    from .exchange.reading import read_transform
    from .exchange.writing import write_transform
    from .grid import Grid
    from .inverse import Inverse
    from .io.storage import load
    from .options import Options
    from .result import Result
    from .scalar_image import Image
    from .transform import Transform

_HOMES = {
    "solve": "api",
    "solve_batch": "batch",
    "iterate_batch": "batch",
    "certify": "certification",
    "Certificate": "certificate",
    "load": "io.storage",
    "read_transform": "exchange.reading",
    "write_transform": "exchange.writing",
    "Grid": "grid",
    "Image": "scalar_image",
    "Inverse": "inverse",
    "Options": "options",
    "Result": "result",
    "Transform": "transform",
}

_MODULES = ("phantom", "plots", "report")

__all__ = [
    "BackendError",
    "Certificate",
    "DivergenceError",
    "FileError",
    "GeometryError",
    "Grid",
    "Image",
    "InputError",
    "Inverse",
    "Options",
    "OverlapError",
    "Result",
    "Transform",
    "VarregError",
    "__version__",
    "certify",
    "iterate_batch",
    "load",
    "phantom",
    "plots",
    "read_transform",
    "report",
    "solve",
    "solve_batch",
    "write_transform",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES and name not in _MODULES:
        raise AttributeError(f"module 'varreg' has no attribute {name!r}")
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
