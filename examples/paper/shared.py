"""Imported for its effect: the modules of examples/benchmarks and the packages of the checkout are found."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
BENCHMARKS = FOLDER.parent / "benchmarks"

if str(BENCHMARKS) not in sys.path:
    sys.path.append(str(BENCHMARKS))
import checkout  # noqa: E402, F401
