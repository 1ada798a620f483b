"""Throughput of ``varreg bids``: sessions per hour and core, scaling over processes, and overhead.

python examples/benchmarks/cohort.py [--people 40] [--processes 1 2] [--sizes 64 96 128]

With artificial participants.  Times of a session are processor times, which other load on the machine hardly affects;
wall times are meaningful on an idle machine only.  Many workers are simulated: each idle worker takes the
next session, with the times measured here.  --sizes measures memory and time instead, for `varreg plan`.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tables import markdown

from varreg.cohort.dataset import read_sessions
from varreg.cohort.derivatives import write_description
from varreg.cohort.group import write_group
from varreg.cohort.template import template_of
from varreg.cohort.wanted import Wanted, jobs_of
from varreg.data.phantom.cohort import bids_dataset
from varreg.jobs.engine import Engine
from varreg.jobs.job import Done, Job
from varreg.jobs.record import peak_bytes
from varreg.jobs.running import run_jobs
from varreg.options.options import Options

WORKERS = (1, 2, 4, 8, 16, 32, 64)
MANY = 10_000


def cohort_jobs(folder: Path, output: Path, preset: str) -> list[Job]:
    """The jobs of a dataset made here, T1w to the template and T2w onto T1w."""
    template = template_of(folder.parent / "tpl-phantom_T1w.nii.gz")
    wanted = Wanted(template, ("T2w",), options=Options.preset(preset))
    write_description(output, folder)
    return jobs_of(read_sessions(folder, wanted.suffixes), wanted, folder, output)


def processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def nothing(job: Job, threads: int) -> Done:
    """The work of a job whose cost is that of the engine alone."""
    return Done()


def makespan(seconds: np.ndarray, workers: int, dispatch: float) -> float:
    """Seconds until all is done by workers that are handed jobs one after the other, `dispatch` seconds each."""
    free, sent = np.zeros(workers), 0.0
    for duration in seconds:
        first = int(free.argmin())
        sent = max(sent, free[first]) + dispatch
        free[first] = sent + duration
    return float(free.max())


def scaling(folder: Path, place: Path, counts: list[int], preset: str) -> list[list[str]]:
    """Rows: processes, wall time, processor seconds per session, sessions per hour and core."""
    rows = []
    for count in counts:
        output = place / f"out-{count}"
        before, begun = processor_seconds(), time.perf_counter()
        outcomes = run_jobs(
            cohort_jobs(folder, output, preset), Engine(processes=count, threads=1), progress=False
        )
        wall, used = time.perf_counter() - begun, processor_seconds() - before
        assert all(outcome.error is None for outcome in outcomes)
        each = used / len(outcomes)
        rows.append([str(count), f"{wall:.1f}", f"{each:.2f}", f"{3600 / each:.0f}"])
    return rows


def besides(folder: Path, output: Path, preset: str) -> dict[str, float]:
    """Overhead in milliseconds per session."""
    jobs, found = cohort_jobs(folder, output, preset), {}
    begun = time.perf_counter()
    read_sessions(folder, ("T1w", "T2w"))
    found["reading the dataset"] = time.perf_counter() - begun
    begun = time.perf_counter()
    run_jobs(jobs, progress=False)
    found["skipping a finished session"] = time.perf_counter() - begun
    for file in folder.glob("sub-*/anat/*.nii.gz"):
        os.utime(file)
    begun = time.perf_counter()
    run_jobs(jobs, progress=False)
    found["skipping one whose images were touched"] = time.perf_counter() - begun
    begun = time.perf_counter()
    write_group(output, folder)
    found["the group level"] = time.perf_counter() - begun
    return {name: 1e3 * seconds / len(jobs) for name, seconds in found.items()}


def dispatching(place: Path, count: int = 300) -> dict[str, float]:
    """Milliseconds for a job that does nothing, record included, on each engine."""
    found = {}
    for name, engine in engines(place):
        jobs = [
            Job(str(k), nothing, place / name / f"{k}.json", {}, {"k": k}) for k in range(count)
        ]
        with engine as chosen:
            run_jobs(jobs[:2], chosen, progress=False)  # workers start
            begun = time.perf_counter()
            run_jobs(jobs[2:], chosen, progress=False)
            found[name] = 1e3 * (time.perf_counter() - begun) / (count - 2)
    return found


def engines(place: Path):
    """(name, context that gives an engine); with Dask if it is installed."""
    from contextlib import contextmanager, nullcontext

    yield "here", nullcontext(Engine(threads=1))
    try:
        from distributed import LocalCluster
    except ImportError:
        return

    @contextmanager
    def dask():
        with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster:
            yield Engine(scheduler=cluster.scheduler_address)

    yield "dask", dask()


def sizes(cubes: list[int], place: Path) -> list[list[str]]:
    """Rows: voxels, GB and processor seconds of a session, each in a separate process."""
    rows = []
    for n in cubes:
        folder = place / str(n) / "bids"
        bids_dataset(folder, 1, (n, n, n))
        command = [sys.executable, __file__, "--one", str(folder)]
        cells = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        rows.append([f"{n}^3", f"{n**3 / 1e6:.2f}", *cells])
        shutil.rmtree(folder.parent)
    return rows


def one(folder: Path, preset: str) -> None:
    """Resources of a session: peak GB, and processor seconds after the first one, which loads the kernels."""
    small = folder.parent / "small"
    bids_dataset(small / "bids", 1)
    run_jobs(cohort_jobs(small / "bids", small / "out", preset), Engine(threads=1), progress=False)
    before = processor_seconds()
    output = folder.parent / "out"
    run_jobs(cohort_jobs(folder, output, preset), Engine(threads=1), progress=False)
    used = processor_seconds() - before
    print(f"{(peak_bytes() or 0) / 1e9:.2f} {used:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--preset", default="default")
    parser.add_argument("--sizes", type=int, nargs="*")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        one(given.one, given.preset)
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if given.sizes:
            head = ["images", "million voxels", "GB", "processor s"]
            print(markdown(head, sizes(given.sizes, place)))
            return
        bids_dataset(place / "bids", given.people)
        head = [
            "processes",
            "wall time (s)",
            "processor time per session (s)",
            "sessions per hour and core",
        ]
        rows = scaling(place / "bids", place, given.processes, given.preset)
        print(markdown(head, rows), "\n")
        output = place / f"out-{given.processes[0]}"
        cost = besides(place / "bids", output, given.preset)
        cost |= {f"a job that does nothing, {k}": v for k, v in dispatching(place).items()}
        print(
            markdown(["overhead", "ms per session"], [[k, f"{v:.1f}"] for k, v in cost.items()]),
            "\n",
        )
        outcomes = run_jobs(cohort_jobs(place / "bids", output, given.preset), progress=False)
        measured = np.array([outcome.seconds for outcome in outcomes])
        dispatch = max(v for k, v in cost.items() if k.startswith("a job")) / 1e3
        print(
            markdown(
                ["workers", f"{len(measured)} sessions", f"{MANY} sessions"],
                simulated(measured, dispatch),
            )
        )


def simulated(measured: np.ndarray, dispatch: float) -> list[list[str]]:
    """Rows: workers, and their utilisation, for these sessions and for many sampled from them."""
    many = np.random.default_rng(0).choice(measured, MANY)
    return [
        [
            str(workers),
            *(
                f"{100 * seconds.sum() / (workers * makespan(seconds, workers, dispatch)):.0f} %"
                for seconds in (measured, many)
            ),
        ]
        for workers in WORKERS
    ]


if __name__ == "__main__":
    main()
