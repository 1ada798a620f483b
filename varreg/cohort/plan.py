"""Resources of a cohort: memory and time of each session from the headers, and the number of workers that fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ..errors import InputError, VarregError
from ..images.loading import geometry
from ..jobs.memory import GIBIBYTE, RESERVE, estimated_bytes
from ..jobs.record import stored_record
from ..jobs.verdict import verdict
from .dataset import Session
from .wanted import RECORD, Wanted, nothing_to_do

#: Seconds: per registration, and per million voxels of the fixed image, with one thread
#: (same benchmark).  Replaced by the times of finished sessions, if there are any.
FLOOR, PER_MILLION = 1.1, 2.3


@dataclass(frozen=True)
class Need:
    """Resources of one session.

    Parameters
    ----------
    name : str
    registrations : int
    voxels : int
        Number of voxels of the largest image.
    gibibytes : float
        Peak memory.
    seconds : float
        Run time with one thread.
    """

    name: str
    registrations: int
    voxels: int
    gibibytes: float
    seconds: float


@dataclass(frozen=True)
class Fit:
    """Number of workers of a cohort on a machine.

    Parameters
    ----------
    workers : int
        Largest number of parallel workers with one thread each; 0 if not even one fits.
    hours : float
        Time for the whole cohort with this number of workers, or with one.
    gibibytes : float
        Memory per worker.
    """

    workers: int
    hours: float
    gibibytes: float


@dataclass(frozen=True)
class Plan:
    """Resources of the sessions of a cohort.

    Parameters
    ----------
    needs : tuple of Need
        For sessions with readable headers and at least one registration.
    refused : tuple of str
        Name and reason of each other session.
    measured : int
        Number of finished sessions from which the times are derived; 0 for those of the benchmark.
    """

    needs: tuple[Need, ...]
    refused: tuple[str, ...]
    measured: int


def plan_of(sessions: Sequence[Session], wanted: Wanted, output: Path | None = None) -> Plan:
    """Resources of each session.

    Parameters
    ----------
    sessions : sequence of Session
    wanted : Wanted
    output : Path, optional
        Folder of derivatives, whose finished sessions provide the times in place of the benchmark.

    Raises
    ------
    VarregError
        If the template cannot be read.
    InputError
        If no session can be registered.
    """
    template = 0 if wanted.template is None else _voxels(wanted.template.path)
    floor, rate, measured = _times(output)
    found, refused = list[Need](), list[str]()
    for session in sessions:
        try:
            fixed, largest = _sizes(session, wanted, template)
        except VarregError as error:
            refused.append(f"{session.name}: {verdict(error)[0]}")
            continue
        seconds = sum(floor + rate * voxels / 1e6 for voxels in fixed)
        memory = estimated_bytes(largest) / GIBIBYTE
        found.append(Need(session.name, len(fixed), largest, memory, seconds))
    if not found:
        raise InputError(f"varreg.plan: no session can be registered, e.g. {refused[0]}")
    return Plan(tuple(found), tuple(refused), measured)


def gibibytes_of(sessions: Sequence[Session], wanted: Wanted) -> float:
    """Memory to request for a worker, from the largest image."""
    return RESERVE * max(need.gibibytes for need in plan_of(sessions, wanted).needs)


def fit(found: Sequence[Need], cores: int, gibibytes: float) -> Fit:
    """Number of workers that fit into a machine, and their run time.

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


def _makespan(seconds: list[float], workers: int) -> float:
    """Time until all jobs are done, if each idle worker takes the next job."""
    ends = [0.0] * workers
    for duration in seconds:
        first = ends.index(min(ends))
        ends[first] += duration
    return max(ends)


def _sizes(session: Session, wanted: Wanted, template: int) -> tuple[list[int], int]:
    """Voxels of the fixed image of each registration, and of the largest image."""
    onto = session.of(wanted.onto)[:1]
    moving = [scan for suffix in wanted.contrasts for scan in session.of(suffix)]
    if not onto or not (moving or template):
        raise InputError(nothing_to_do(session, wanted))
    own = [_voxels(scan.path) for scan in (*onto, *moving)]
    to_template = [template] if template else []
    return to_template + own[:1] * len(moving), max([*own, *to_template])


def _voxels(path: Path) -> int:
    """Number of voxels from the header."""
    return math.prod(geometry(path, "image", "varreg.plan").grid.shape)


def _times(output: Path | None) -> tuple[float, float, int]:
    """Seconds per registration, seconds per million voxels, and the number of finished sessions they derive from."""
    rates, sessions = list[float](), 0
    for record in output.glob(f"**/{RECORD}") if output is not None else ():
        stored = stored_record(record)
        found = stored["facts"].get("registrations", []) if stored is not None else []
        voxels = sum(one["voxels"] for one in found)
        if voxels:
            rates.append(stored["seconds"] / voxels * 1e6)  # type: ignore[index]
            sessions += 1
    return (0.0, median(rates), sessions) if rates else (FLOOR, PER_MILLION, 0)
