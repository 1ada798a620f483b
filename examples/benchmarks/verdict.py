"""Sensitivity and specificity of the warnings.

    python examples/benchmarks/verdict.py --data DATA [--set report] [--repeats 2] [--threads 1] [--json FILE]

Registers pairs with known ground truth (see verdict_cases.py), many of them made to fail deliberately, and counts the
warnings (``result.warnings``) by kind.  A result is wrong if its mean error over the head is above 3 mm (5 mm between
centroids of structures of different people, 3 % of the picture for stains), or if no correct result exists.  The limits
of the checks were chosen on ``--set limits``; ``--set report`` shares no head, person or random number with it.  DATA is
the folder of the manifest of the other benchmarks, with mal35, template2mm, histology and phantoms beside it.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
import time
from pathlib import Path
from typing import Any

import checkout  # noqa: F401
from head_cases import COINCIDE
from known_cases import HEADS, Case
from tables import markdown
from verdict_cases import cases

import varreg
from varreg.errors import VarregError

HEADER = ("kind", "right", "false alarms", "wrong", "missed", "what warned")


def row(case: Case, threads: int) -> dict[str, Any]:
    """One registration: its error, whether it is wrong, and which checks failed."""
    settings = {"threads": threads, "progress": False, **case.settings}
    try:
        result = varreg.solve(case.moving, case.fixed, **settings)
    except VarregError as error:  # refused: nobody is misled
        return {"kind": case.kind, "name": case.name, "refused": str(error)}
    error = case.error(result)
    return {
        "kind": case.kind,
        "name": case.name,
        "error": error,
        "wrong": error > case.tolerance,
        "failed": [check.name for check in result.warnings],
        "values": {check.name: check.value for check in result.checks},
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Counts by kind, and the sums; pairs that coincide are not counted."""
    lines, made = [], [r for r in rows if "refused" not in r]
    for kind in sorted({r["kind"] for r in made}):
        lines.append((kind, *map(str, _counts([r for r in made if r["kind"] == kind]))))
    counted = [r for r in made if COINCIDE not in r["kind"]]
    right, false, wrong, missed, _ = _counts(counted)
    lines.append(("all but coinciding", str(right), str(false), str(wrong), str(missed), ""))
    shares = f"False alarms: {100 * false / max(right, 1):.1f} %; warned of: {100 * (1 - missed / max(wrong, 1)):.1f} %."
    return markdown(HEADER, lines) + f"\n\n{shares}"


def _counts(rows: list[dict[str, Any]]) -> tuple[int, int, int, int, str]:
    right, wrong = ([r for r in rows if r["wrong"] == value] for value in (False, True))
    names = collections.Counter(name for r in rows for name in r["failed"])
    failed_checks = ", ".join(f"{name} {count}" for name, count in names.most_common(4))
    false, missed = sum(bool(r["failed"]) for r in right), sum(not r["failed"] for r in wrong)
    return len(right), false, len(wrong), missed, failed_checks


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", choices=sorted(HEADS), default="report")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="all rows, also to be read while it runs")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    begun = time.perf_counter()
    for case in cases(args.data, args.set, args.repeats):
        rows.append(row(case, args.threads))
        last = rows[-1]
        if (
            COINCIDE not in case.kind
            and "refused" not in last
            and last["wrong"] != bool(last["failed"])
        ):
            word = "missed" if last["wrong"] else "false alarm"
            print(
                f"{word}: {last['kind']}, {last['name']}, error {last['error']:.1f}: {last['failed']}",
                file=sys.stderr,
            )
        if args.json:
            args.json.write_text(json.dumps(rows, indent=1))
    print(table(rows))
    print(
        f"\n{len(rows)} registrations, heads {', '.join(HEADS[args.set])}, {time.perf_counter() - begun:.0f} s."
    )


if __name__ == "__main__":
    main()
