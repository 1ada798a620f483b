"""Study of the defaults: one factor at a time, reported on subjects not used for the choice.

    python examples/benchmarks/study.py --data MANIFEST --choose ID,ID --report ID,ID \\
        --seeds 1,2,3 --json study.json --figure study.png
    python examples/benchmarks/study.py --seeds 1 --limit 2 --factors regions,bins

Each factor takes the values of factors.py on the subjects for the choice, in 2D, with and without an affine
part.  The defaults and the best single change (the runner-up) are then compared on the subjects for the report.
Without --data artificial heads are registered, with other seeds for the report.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from choices import comma_list, parser, seeded_pairs, write_json
from factors import VOLUME_FACTORS, Change, factors, label, value_label
from machine import cores, describe, summary
from pairs import save_pairs
from tables import markdown
from workers import run_all

#: Whether the map has an affine part -> name of the suite.
SUITES = {False: "warp", True: "affine + warp"}
#: Added to the seeds of artificial heads that report.
OTHER_SEEDS = 1000


@dataclass(frozen=True)
class Saved:
    """A pair in a file, and the suite it belongs to."""

    file: str
    suite: str
    seed: int
    name: str


def saved_pairs(
    given: Any, folder: Path, dimension: int, subjects: list[str] | None, seeds: list[int]
) -> list[Saved]:
    """Make the pairs of both suites, once for all settings."""
    found = []
    for affine, suite in SUITES.items():
        for seed in seeds:
            made = seeded_pairs(given, dimension, affine, seed, subjects)
            place = folder / f"{dimension}d-{int(affine)}-{seed}"
            place.mkdir(parents=True)
            save_pairs(made, place)
            files = sorted(place.glob("*.npz"))
            found += [Saved(str(f), suite, seed, p.name) for f, p in zip(files, made, strict=True)]
    return found


def measured(changes: list[Change], pairs: list[Saved], processes: int) -> list[dict[str, Any]]:
    """One record per change and pair."""
    cases = [(change, pair) for change in changes for pair in pairs]
    found = run_all([(change, pair.file) for change, pair in cases], processes)
    return [
        {"change": change, "suite": pair.suite, "seed": pair.seed, "pair": pair.name, **scores}
        for (change, pair), scores in zip(cases, found, strict=True)
    ]


def chosen_factors(names: list[str] | None, dimension: int) -> dict[str, list[Change]]:
    """Those of a dimension; all of 2D, in 3D only what was named."""
    known = factors()
    wanted = names or [name for name in known if name not in VOLUME_FACTORS]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ValueError(f"no factor {', '.join(unknown)}; there are {', '.join(known)}")
    return {n: known[n] for n in wanted if (n in VOLUME_FACTORS) == (dimension == 3)}


def study(given: Any, folder: Path) -> dict[str, Any]:
    """All records: ``choosing`` by factor, the ``runner_up``, ``reporting``."""
    found: dict[str, Any] = {"choosing": {}, "reporting": {}, "runner_up": {}}
    for dimension in (2, 3):
        wanted = chosen_factors(given.factors, dimension)
        if not wanted:
            continue
        pairs = saved_pairs(given, folder / "choose", dimension, given.choose, given.seeds)
        changes = _distinct(wanted)
        records = measured(changes, pairs, given.processes)
        for name, values in wanted.items():
            found["choosing"][name] = [_of(records, change) for change in values]
        others = [change for change in changes if change]
        best = min(others, key=lambda change: _mean(_of(records, change), "tre"))
        found["runner_up"][f"{dimension}D"] = best
        if given.report or not given.data:
            seeds = given.seeds if given.data else [s + OTHER_SEEDS for s in given.seeds]
            pairs = saved_pairs(given, folder / "report", dimension, given.report, seeds)
            records = measured([{}, best], pairs, given.processes)
            found["reporting"][f"{dimension}D"] = [_of(records, change) for change in ({}, best)]
    return found


def factor_table(factor: str, groups: list[list[dict[str, Any]]]) -> str:
    """One row per value; ``*`` marks the default."""
    rows = []
    for records in groups:
        change = records[0]["change"]
        rows.append([value_label(change, factor) + " *" * (not change), *_columns(records)])
    return markdown((factor, *_header()), rows)


def report_table(groups: list[list[dict[str, Any]]]) -> str:
    """The defaults and the runner-up, and how far apart they are pair by pair."""
    rows = [[label(records[0]["change"]), *_columns(records)] for records in groups]
    default, other = (np.array([r["tre"] for r in records]) for records in groups)
    difference = other - default
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else np.nan
    text = f"runner-up minus defaults, TRE pair by pair: {difference.mean():+.4f} +- {error:.4f}"
    return f"{markdown(('setting', *_header()), rows)}\n\n{text} ({len(difference)} pairs)"


def _header() -> tuple[str, ...]:
    return (*(f"TRE {suite}" for suite in SUITES.values()), "p95", "worst", "folds (%)", "s")


def _columns(records: list[dict[str, Any]]) -> list[str]:
    suites = [[r for r in records if r["suite"] == suite] for suite in SUITES.values()]
    numbers = [_mean(of_suite, "tre") for of_suite in suites]
    numbers += [_mean(records, "p95"), max(r["tre"] for r in records)]
    numbers += [max(r["folds"] for r in records), float(np.median([r["seconds"] for r in records]))]
    return [f"{number:.3f}" for number in numbers]


def _mean(records: list[dict[str, Any]], key: str) -> float:
    return float(np.mean([record[key] for record in records]))


def _of(records: list[dict[str, Any]], change: Change) -> list[dict[str, Any]]:
    return [record for record in records if record["change"] == change]


def _distinct(wanted: dict[str, list[Change]]) -> list[Change]:
    """All changes of all factors, the defaults first and once."""
    kept: list[Change] = [{}]
    for changes in wanted.values():
        kept += [change for change in changes if change not in kept]
    return kept


def main() -> int:
    """Run the study, print its tables, write numbers and figure."""
    arguments = parser(__doc__)
    add = arguments.add_argument
    add(
        "--data", type=Path, metavar="MANIFEST", help="as for accuracy.py; artificial heads without"
    )
    add("--choose", type=comma_list, metavar="ID,ID", help="subjects that choose [all]")
    add("--report", type=comma_list, metavar="ID,ID", help="other subjects, that report [none]")
    add("--seeds", type=lambda t: [int(s) for s in comma_list(t)], default=[1], metavar="N,N")
    add("--limit", type=int, metavar="N", help="first N pairs of each suite and seed")
    add("--size", type=int, metavar="N", help="voxels per axis of artificial heads")
    add("--factors", type=comma_list, metavar="NAME,NAME", help=f"[all but {VOLUME_FACTORS[0]}]")
    add("--processes", type=int, default=cores(), help="of one thread each [all cores]")
    add("--json", type=Path, metavar="FILE", help="write all numbers here")
    add("--figure", type=Path, metavar="FILE", help="draw error against each factor")
    given = arguments.parse_args()
    if set(given.choose or []) & set(given.report or []):
        arguments.error("a subject either chooses or reports")
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = study(given, Path(folder))
    except (ValueError, OSError) as error:
        arguments.error(str(error))
    machine = describe()
    print(summary(machine))
    for factor, groups in found["choosing"].items():
        print(f"\n## {factor}\n\n{factor_table(factor, groups)}")
    for name, groups in found["reporting"].items():
        print(f"\n## Report, {name}\n\n{report_table(groups)}")
    write_json(given.json, {"machine": machine, "seeds": given.seeds, **found})
    if given.figure:
        from study_figure import draw

        draw(found["choosing"], given.figure)
    return 0


if __name__ == "__main__":
    sys.exit(main())
