"""Memory: estimated for a job, and free on this machine."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

#: Bytes: of a process after a small registration, and per voxel of the largest images
#: (``examples/benchmarks/cohort.py --sizes``).
BASE, PER_VOXEL = 370e6, 180.0
#: Safety factor of the memory of a worker.
RESERVE = 1.3
GIBIBYTE = 2**30


def estimated_bytes(voxels: int) -> float:
    """Memory of a process whose largest image has the given number of voxels.

    Examples
    --------
    >>> round(estimated_bytes(182 * 218 * 182) / 2**30, 1)
    1.6
    """
    return BASE + PER_VOXEL * voxels


def free_gibibytes() -> float:
    """Free memory of this machine, within the limit of its control group."""
    free = math.inf
    with suppress(OSError, ValueError):
        pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        free = pages / GIBIBYTE
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = (
            int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) / 2**20
        )
    with suppress(OSError, ValueError):
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        free = min(free, (limit - used) / GIBIBYTE)
    return free


def jobs_with_room(voxels: int, gibibytes: float) -> int:
    """Number of parallel jobs of one process whose memory suffices; at least 1.

    Parameters
    ----------
    voxels : int
        Of the largest image of a job.
    gibibytes : float
        Free memory.

    Examples
    --------
    >>> jobs_with_room(182 * 218 * 182, 8.0), jobs_with_room(182 * 218 * 182, 1.0)
    (5, 1)
    """
    return max(1, int(min(gibibytes, 2**20) * GIBIBYTE / (RESERVE * PER_VOXEL * voxels)))
