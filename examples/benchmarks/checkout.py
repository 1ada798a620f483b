"""Imported for its effect: varreg is found, installed or else in the checkout around this file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

if importlib.util.find_spec("varreg") is None:
    sys.path.append(str(ROOT))
