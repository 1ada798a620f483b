"""What a cohort will take: memory and time of each visit from the headers, and how many workers fit."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ..errors import InputError, VarregError
from ..images.loading import geometry
from ..jobs.record import stored_record
from ..jobs.verdict import verdict
from .dataset import Visit
from .wanted import RECORD, Wanted, nothing_to_do

#: Bytes: of a process that has registered something small, and for each voxel of the largest images
#: (``examples/benchmarks/cohort.py --sizes``).
BASE, PER_VOXEL = 370e6, 180.0
#: Seconds: of a registration whatever its size, and for each million voxels of the fixed image, with one thread
#: (same benchmark).  Where visits are finished, theirs are taken.
FLOOR, PER_MILLION = 1.1, 2.3
#: How much more than estimated a worker is given.
RESERVE = 1.3
GIBIBYTE = 2**30


@dataclass(frozen=True)
class Need:
    """What a visit takes.

    Parameters
    ----------
    name : str
    registrations : int
    voxels : int
        Of the largest image.
    gibibytes : float
        Memory, at most.
    seconds : float
        With one thread.
    """

    name: str
    registrations: int
    voxels: int
    gibibytes: float
    seconds: float


@dataclass(frozen=True)
class Fit:
    """How a cohort fits a machine.

    Parameters
    ----------
    workers : int
        That fit beside each other, of one thread each; 0 if not even one does.
    hours : float
        Until all are done by so many, or by one.
    gibibytes : float
        Memory of a worker.
    """

    workers: int
    hours: float
    gibibytes: float


@dataclass(frozen=True)
class Plan:
    """What the visits of a cohort take.

    Parameters
    ----------
    needs : tuple of Need
        Of the visits whose headers can be read and of which something is to be registered.
    refused : tuple of str
        Of each other one, its name and why.
    measured : int
        How many finished visits the times are from; 0 for those of the benchmark.
    """

    needs: tuple[Need, ...]
    refused: tuple[str, ...]
    measured: int


def plan_of(visits: Sequence[Visit], wanted: Wanted, output: Path | None = None) -> Plan:
    """What each visit takes.

    Parameters
    ----------
    visits : sequence of Visit
    wanted : Wanted
    output : Path, optional
        Folder of derivatives: the times of its finished visits are taken rather than those of the benchmark.

    Raises
    ------
    VarregError
        If the template cannot be read.
    InputError
        If no visit can be registered.
    """
    template = 0 if wanted.template is None else _voxels(wanted.template.path)
    floor, rate, measured = _times(output)
    found, refused = list[Need](), list[str]()
    for visit in visits:
        try:
            fixed, largest = _sizes(visit, wanted, template)
        except VarregError as error:
            refused.append(f"{visit.name}: {verdict(error)[0]}")
            continue
        seconds = sum(floor + rate * voxels / 1e6 for voxels in fixed)
        memory = estimated_bytes(largest) / GIBIBYTE
        found.append(Need(visit.name, len(fixed), largest, memory, seconds))
    if not found:
        raise InputError(f"varreg.plan: no visit can be registered, e.g. {refused[0]}")
    return Plan(tuple(found), tuple(refused), measured)


def estimated_bytes(voxels: int) -> float:
    """Memory that a visit takes whose largest image has so many voxels.

    Examples
    --------
    >>> round(estimated_bytes(182 * 218 * 182) / 2**30, 1)
    1.6
    """
    return BASE + PER_VOXEL * voxels


def gibibytes_of(visits: Sequence[Visit], wanted: Wanted) -> float:
    """What a worker should be given, from the largest image."""
    return RESERVE * max(need.gibibytes for need in plan_of(visits, wanted).needs)


def fit(found: Sequence[Need], cores: int, gibibytes: float) -> Fit:
    """How many workers fit into a machine, and how long they take.

    Parameters
    ----------
    found : sequence of Need
    cores : int
    gibibytes : float
        Free memory.

    Examples
    --------
    >>> fit([Need("sub-01", 1, 10, 2.0, 3600.0)] * 10, 16, 8.0)
    Fit(workers=3, hours=4.0, gibibytes=2.6)
    """
    each = RESERVE * max(need.gibibytes for need in found)
    workers = min(cores, int(gibibytes / each), len(found))
    return Fit(workers, _makespan([n.seconds for n in found], max(1, workers)) / 3600, each)


def free_gibibytes() -> float:
    """Memory that is free on this machine, within the limit of its control group."""
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


def _makespan(seconds: list[float], workers: int) -> float:
    """Until the last of some workers is done, each of which takes the next job when it is free."""
    ends = [0.0] * workers
    for duration in seconds:
        first = ends.index(min(ends))
        ends[first] += duration
    return max(ends)


def _sizes(visit: Visit, wanted: Wanted, template: int) -> tuple[list[int], int]:
    """Voxels of the fixed image of each registration, and of the largest image."""
    onto = visit.of(wanted.onto)[:1]
    moving = [scan for suffix in wanted.contrasts for scan in visit.of(suffix)]
    if not onto or not (moving or template):
        raise InputError(nothing_to_do(visit, wanted))
    own = [_voxels(scan.path) for scan in (*onto, *moving)]
    to_template = [template] if template else []
    return to_template + own[:1] * len(moving), max([*own, *to_template])


def _voxels(path: Path) -> int:
    """From the header."""
    return math.prod(geometry(path, "image", "varreg.plan").grid.shape)


def _times(output: Path | None) -> tuple[float, float, int]:
    """Seconds of a registration: whatever its size, for each million voxels; of how many visits."""
    rates, visits = list[float](), 0
    for record in output.glob(f"**/{RECORD}") if output is not None else ():
        stored = stored_record(record)
        found = stored["facts"].get("registrations", []) if stored is not None else []
        voxels = sum(one["voxels"] for one in found)
        if voxels:
            rates.append(stored["seconds"] / voxels * 1e6)  # type: ignore[index]
            visits += 1
    return (0.0, median(rates), visits) if rates else (FLOOR, PER_MILLION, 0)
