"""How the tests import the programs that varreg plugs into."""

from __future__ import annotations

import importlib
import warnings
from types import ModuleType

import pytest


def imported(program: str) -> ModuleType:
    """``varreg.integrations.PROGRAM``; its warnings on import are not ours.  Without it the test file is skipped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(program, reason=f"{program} is not installed")
        return importlib.import_module(f"varreg.integrations.{program}")
