"""SyN on saved pairs, called by others.py with an interpreter that has antspyx.

python examples/paper/syn_process.py FOLDER THREADS
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

FOLDER, THREADS = Path(sys.argv[1]), int(sys.argv[2])
os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(
    THREADS
)  # must be set before ITK is loaded
sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

import numpy as np  # noqa: E402
from peers import PEERS  # noqa: E402


def main() -> None:
    """Write the displacement and the time in seconds of every pair."""
    run, _ = PEERS["ants-syn"]
    files = sorted(FOLDER.glob("[0-9]*.npz"))
    for index, file in enumerate(files):
        with np.load(file) as pair:
            fixed, moving = pair["fixed"], pair["moving"]
        if not index:
            run(fixed, moving, THREADS)
        start = time.perf_counter()
        displacement = run(fixed, moving, THREADS)
        seconds = time.perf_counter() - start
        np.savez(FOLDER / f"answer-{index:04d}.npz", displacement=displacement, seconds=seconds)


if __name__ == "__main__":
    main()
