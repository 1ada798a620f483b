"""Search path: importing this module makes examples/benchmarks and the packages of the checkout importable."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
BENCHMARKS = FOLDER.parent / "benchmarks"

if str(BENCHMARKS) not in sys.path:
    sys.path.append(str(BENCHMARKS))
import checkout  # noqa: E402, F401
