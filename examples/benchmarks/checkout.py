"""Imported for its side effect: makes varreg importable, as installed or from this checkout."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

if importlib.util.find_spec("varreg") is None:
    sys.path.append(str(ROOT))
