"""Registration by trained networks (AT-Net, DT-Net), as a complement to the solver.

Public names are loaded on first use: ``import learned`` only checks that PyTorch is installed, without
importing it.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from varreg.errors import BackendError

if TYPE_CHECKING:
    from .inference import Registrar, load
    from .predict import predict, predict_batch
    from .prediction import Prediction

_HOMES = {
    "Prediction": "prediction",
    "Registrar": "inference",
    "load": "inference",
    "predict": "predict",
    "predict_batch": "predict",
}

__all__ = ["Prediction", "Registrar", "load", "predict", "predict_batch"]


def _refuse_without(*packages: str) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise BackendError(
            f"learned: requires {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not "
            'installed; varreg.solve does not. To install: python -m pip install "varreg[learned]"'
        )


_refuse_without("torch", "safetensors", "jsonargparse")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'learned' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
