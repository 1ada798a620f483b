"""How the tests import the programs that varreg plugs into, and read the pages about them."""

from __future__ import annotations

import importlib
import re
import warnings
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).resolve().parents[3] / "docs"


def imported(program: str) -> ModuleType:
    """``varreg.integrations.PROGRAM``; its warnings on import are not ours.  Without it the test file is skipped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(program, reason=f"{program} is not installed")
        return importlib.import_module(f"varreg.integrations.{program}")


def code_of(page: str, heading: str, language: str = "python") -> str:
    """What the blocks of a section of a page say, one after the other."""
    text = (DOCS / page).read_text(encoding="utf-8")
    section = re.search(
        rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL
    )
    return "\n".join(
        re.findall(rf"^```{language}\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)
    )
