"""Calibration and coverage of the error interval of ``varreg.certify(..., trials=8)``.

    python examples/benchmarks/calibration.py --data DATA [--quick] [--rows FILE] [--write] [--figure FILE]

Maps of known error (see calibration_cases.py) are assessed by trials.  The calibration uses the pairs of two heads; those
of two others, and artificial heads, measure the coverage of the interval, the rank correlation of the estimate with the
error, and the detection of errors above 2 mm.  Different people and different stains are a shift outside the calibration.
``--write`` replaces the calibration of the package, which is otherwise unchanged; ``--figure`` draws the reliability
diagram.  ``--rows FILE`` stores every finished pair, and a later run resumes from it.  DATA is the folder of
the manifest of the other benchmarks, with mal35 and histology beside it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import calibration_report
import checkout  # noqa: F401
import numpy as np
from calibration_cases import HEADS, Case, case
from machine import describe, summary

#: Numbers of trials that are calibrated; the larger ones begin with the smaller ones.
COUNTS = (4, 8)
#: Cases of each set; with ``--quick``.
NUMBERS = {"calibrate": 300, "report": 300, "phantom": 24, "people": 8, "stains": 8}
QUICK = {"calibrate": 40, "report": 40, "phantom": 4, "people": 1, "stains": 2}


def row(data: Path, which: str, index: int) -> dict[str, Any]:
    """What the trials measure of one case, and its error."""
    import varreg

    found = case(data, which, index)
    fields = {"set": which, "index": index, "kind": found.kind, "name": found.name}
    begun = time.perf_counter()
    try:
        return {**fields, **judged(found), "seconds": time.perf_counter() - begun}
    except varreg.errors.VarregError as error:  # nobody is misled
        return {**fields, "refused": str(error)}


def judged(found: Case) -> dict[str, Any]:
    """As ``varreg.certify`` does, without the figures that this is not about."""
    import varreg
    from varreg.certificate.accuracy import voxel_size
    from varreg.certificate.trials import run_trials
    from varreg.initial.input_transform import input_transform
    from varreg.options.backend_choice import chosen_backend
    from varreg.stages.preparation import prepared

    answer = found.answer
    if isinstance(answer, dict):
        answer = varreg.solve(found.moving, found.fixed, threads=1, progress=False, **answer)
    names = {"argument": "transform", "function": "calibration.py"}
    transform = input_transform(answer, found.fixed, found.moving, **names).transform
    options = varreg.Options().decided(found.fixed.grid.dim)
    kernels = chosen_backend("numba")
    problem = prepared(found.moving, found.fixed, None, None, options, kernels, 1)
    trials = run_trials(problem, transform, max(COUNTS), seed=0)
    return {
        "error": float(np.linalg.norm(transform.points(found.at) - found.there, axis=1).mean()),
        "voxel": voxel_size(found.fixed.grid),
        "warnings": [check.name for check in getattr(answer, "warnings", ())],
        "distances": np.round(trials.distances, 5).tolist(),
    }


def rows_of(data: Path, numbers: dict[str, int], file: Path | None) -> list[dict[str, Any]]:
    """All rows, those of an earlier run as they are in the file; in the order of their cases."""
    done = {}
    if file is not None and file.exists():
        for line in file.read_text().splitlines():
            found = json.loads(line)
            done[found["set"], found["index"]] = found
    wanted = [(which, k) for which, n in numbers.items() for k in range(n)]
    # the sets side by side, so that a run that is broken off holds some of each
    jobs = sorted((key for key in wanted if key not in done), key=lambda key: key[1])
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        ended = as_completed([pool.submit(row, data, *key) for key in jobs])
        for count, future in enumerate(ended, 1):
            found = future.result()
            done[found["set"], found["index"]] = found
            if file is not None:
                with file.open("a") as out:
                    out.write(json.dumps(found) + "\n")
            if count % 20 == 0:
                print(f"{count} of {len(jobs)}", file=sys.stderr)
    return [done[key] for key in wanted]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="few cases, to see that it runs")
    parser.add_argument(
        "--rows", type=Path, help="JSON lines, one a case; an earlier run's are kept"
    )
    parser.add_argument("--write", action="store_true", help="replace the calibration of varreg")
    parser.add_argument("--figure", type=Path, help="PNG or SVG of the reliability diagram")
    args = parser.parse_args()
    if args.write and args.quick:
        parser.error("--write needs the whole calibration, without --quick")
    from varreg.certificate.interval import FILE, stored

    begun, numbers = time.perf_counter(), QUICK if args.quick else NUMBERS
    rows = [r for r in rows_of(args.data, numbers, args.rows) if "refused" not in r]
    found = {
        n: calibration_report.calibration([r for r in rows if r["set"] == "calibrate"], n)
        for n in COUNTS
    }
    machine = describe()
    if args.write:
        provenance = {
            "command": "python examples/benchmarks/calibration.py --data DATA --write",
            "heads": list(HEADS["calibrate"]),
            "pairs": sum(r["set"] == "calibrate" for r in rows),
            **{key: machine[key] for key in ("date", "varreg", "numpy", "scipy", "numba")},
        }
        FILE.write_text(stored(found, provenance) + "\n", encoding="utf-8")
    if args.figure is not None:
        calibration_report.draw(found[max(COUNTS)], rows, args.figure)
    print(f"{summary(machine)}\n\n{calibration_report.text(found, rows)}")
    print(
        f"\n{len(rows)} maps, {len(rows) * max(COUNTS)} trials, {time.perf_counter() - begun:.0f} s."
    )


if __name__ == "__main__":
    main()
