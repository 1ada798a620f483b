"""Gain by a start: time to the energy of a cold start, and the final error.

    python examples/benchmarks/refine.py half truth
    python examples/benchmarks/refine.py half ants-syn --data MANIFEST --affine --seed 1 --limit 8
    python examples/benchmarks/refine.py learned --model NAME

Starts: ``half`` (varreg with half the iterations), ``result`` (varreg's own), ``truth``, ``learned``
(one pass of the network of --model), and every peer of peers.py, in a separate process.  The computation of the
start is not timed: the measured time is that of the solver from there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from choices import (
    add_pairs,
    add_runs,
    chosen_pairs,
    describe_pairs,
    pairs_line,
    parser,
    write_json,
)
from machine import describe, summary
from pairs import Pair, load_pairs, save_pairs, scores
from peers import PEERS
from tables import markdown

#: Runs per pair; the fastest counts, because other work on the machine can only add time.
REPEATS = 3
Start = Callable[[Pair, int], Any]


def half(pair: Pair, threads: int) -> Any:
    """varreg with half the budget of iterations."""
    from methods import scaled_iterations

    import varreg

    budget = scaled_iterations(0.5, pair.fixed.ndim)
    return varreg.solve(pair.moving, pair.fixed, iterations=budget, threads=threads, progress=False)


def result(pair: Pair, threads: int) -> Any:
    """varreg's own answer."""
    import varreg

    return varreg.solve(pair.moving, pair.fixed, threads=threads, progress=False)


def truth(pair: Pair, threads: int) -> Any:
    """The true map."""
    return pair.displacement


def learned(pair: Pair, threads: int, model: Any = None) -> Any:
    """One pass through a network."""
    from learned_methods import learned as run

    return run(pair.fixed, pair.moving, threads, model)


def starts(names: list[str], model: Any) -> dict[str, Start]:
    """The starts of these names that this process can make."""
    known: dict[str, Start] = {"half": half, "result": result, "truth": truth}
    known["learned"] = partial(learned, model=model)
    unknown = [name for name in names if name not in known and name not in PEERS]
    if unknown:
        raise ValueError(f"no start {', '.join(unknown)}; there are {', '.join([*known, *PEERS])}")
    return {name: known[name] for name in names if name in known}


def peer_displacements(name: str, pairs: list[Pair], threads: int, python: str) -> list[np.ndarray]:
    """What a peer finds, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        save_pairs(pairs, Path(folder))
        command = [python, __file__, name, "--pairs", folder, "--threads", str(threads)]
        subprocess.run([*command, "--peer-answers", folder], check=True, stdout=subprocess.DEVNULL)
        return [np.load(Path(folder) / f"{k}.npy") for k in range(len(pairs))]


def write_peer_answers(name: str, folder: Path, threads: int) -> None:
    """The other side of :func:`peer_displacements`; varreg is not imported here."""
    run, _ = PEERS[name]
    for index, pair in enumerate(load_pairs(folder)):
        np.save(folder / f"{index}.npy", run(pair.fixed, pair.moving, threads))


def clocked(pair: Pair, threads: int, start: Any, wanted: float | None) -> dict[str, Any]:
    """One registration: seconds until the energy `wanted` is reached at the finest level (until the
    last step without one; infinite if it is not), the voxels compared until then, in images, seconds
    in all, energy and scores at the end.
    """
    import varreg

    seen: list[tuple[float, float, float, float]] = []
    begun, work = time.perf_counter(), 0.0

    def note(step: Any) -> None:
        nonlocal work
        work += (2 + step.backtracks) / step.factor**pair.fixed.ndim  # values, and a gradient
        seen.append((time.perf_counter() - begun, work, step.factor, step.energy))

    found = varreg.solve(
        pair.moving, pair.fixed, start=start, threads=threads, progress=False, callback=note
    )
    seconds = time.perf_counter() - begun
    finest = [entry for entry in seen if entry[2] == found.levels[-1].factor]
    if wanted is not None:
        finest = [entry for entry in finest if entry[3] <= wanted + 1e-9][:1]
    until, spent = finest[-1][:2] if finest else (float("inf"), float("inf"))
    scored = scores(pair, found.displacement)
    ended = {"until": until, "work": spent, "seconds": seconds, "energy": found.energy.total}
    return {**ended, **scored}


def both(pair: Pair, threads: int, start: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """(cold, warm): the fastest of a few runs each, in turn, since other work on the machine only adds
    time; the runs differ in nothing else.
    """
    found: tuple[list[Any], list[Any]] = [], []
    for _ in range(REPEATS):
        found[0].append(clocked(pair, threads, None, None))
        found[1].append(clocked(pair, threads, start, found[0][0]["energy"]))
    cold, warm = (
        {**runs[0], **{key: min(run[key] for run in runs) for key in ("until", "work", "seconds")}}
        for runs in found
    )
    return cold, warm


def measured(name: str, pairs: list[Pair], found: list[Any], threads: int) -> Any:
    """One start on every pair, against the cold ones."""
    rows = []
    for pair, start in zip(pairs, found, strict=True):
        displacement = np.asarray(getattr(start, "displacement", start))
        before, warm = both(pair, threads, start)
        rows.append(
            {
                "pair": pair.name,
                "start_tre": scores(pair, displacement)["tre"],
                "tre": warm["tre"],
                "cold_tre": before["tre"],
                "reached": bool(np.isfinite(warm["until"])),
                "ratio": warm["until"] / before["until"],
                "work": warm["work"] / before["work"],
                "whole": warm["seconds"] / before["seconds"],
                "gap": warm["energy"] - before["energy"],
            }
        )
    print(f"{name}: done", file=sys.stderr)
    return {"start": name, "pairs": rows}


def table(measurements: list[Any]) -> str:
    """One row per start: means of errors, medians of ratios."""
    header = ("start", "TRE of the start", "TRE cold", "TRE refined", "time to the cold energy", "work",
              "reached", "time in all", "energy - cold")  # fmt: skip
    rows = []
    for entry in measurements:
        of = {key: np.array([row[key] for row in entry["pairs"]]) for key in entry["pairs"][0]}
        ratio = float(np.median(of["ratio"]))
        rows.append(
            [
                entry["start"],
                *(f"{of[key].mean():.3f}" for key in ("start_tre", "cold_tre", "tre")),
                *(f"{x:.2f}" if np.isfinite(x) else "-" for x in (ratio, np.median(of["work"]))),
                f"{of['reached'].sum()} of {len(of['reached'])}",
                f"{np.median(of['whole']):.2f}",
                f"{of['gap'].mean():+.4f}",
            ]
        )
    return markdown(header, rows)


def main() -> int:
    """Refine every start on every pair, print the table."""
    arguments = parser(__doc__)
    arguments.add_argument("starts", nargs="*", default=["half"], metavar="START")
    arguments.add_argument("--model", help="network for `learned`, a name or a path")
    arguments.add_argument("--peer-answers", type=Path, help=argparse.SUPPRESS)
    add_pairs(arguments)
    add_runs(arguments)
    given = arguments.parse_args()
    if given.peer_answers:
        write_peer_answers(given.starts[0], given.peer_answers, given.threads)
        return 0
    import checkout  # noqa: F401

    try:
        here = starts(given.starts, given.model)
    except ValueError as error:
        arguments.error(str(error))
    pairs = chosen_pairs(given)
    clocked(pairs[0], given.threads, None, None)  # loads and compiles everything
    measurements = []
    for name in given.starts:
        if name in here:
            found = [here[name](pair, given.threads) for pair in pairs]
        else:
            found = peer_displacements(name, pairs, given.threads, given.peer_python)
        measurements.append(measured(name, pairs, found, given.threads))
    machine, described = describe(), describe_pairs(given, pairs)
    print(f"{summary(machine)}\n{pairs_line(described)}, {given.threads} threads\n")
    print(table(measurements))
    print("\nTimes are relative to the cold start (medians over pairs); TRE in voxels.")
    content = {"machine": machine, "pairs": described, "starts": measurements}
    write_json(given.json, content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
