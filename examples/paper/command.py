"""Common parts of the table scripts: arguments, output files, and the first rows of every table."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import shared  # noqa: F401
from choices import parser
from figures import draw_table
from identity import described
from others import nothing, truth
from presets import PRESETS
from trainings import Study
from writing import Row, Table, by_name, claim, gain, mean_of, page, row

from varreg.errors import VarregError
from varreg.io.atomic import atomic_path

Make = Callable[[Study], Table]


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Command-line parser of a table script."""
    made = parser(description)
    add = made.add_argument
    add("--preset", choices=list(PRESETS), default="reduced", help="[default: reduced]")
    add(
        "--data", type=Path, metavar="MANIFEST", help="manifest of real heads, as for learned.train"
    )
    add(
        "--labels",
        type=Path,
        metavar="FOLDER",
        help="folder of label maps for the synthesis of images",
    )
    add("--output", type=Path, default=Path("paper"), metavar="DIR",
        help="common folder of all tables; each network is trained once [default: paper]")  # fmt: skip
    add(
        "--threads",
        type=int,
        help="number of threads of training and evaluation [default: that of PyTorch]",
    )
    add("--peer-python", default=sys.executable, metavar="FILE",
        help="Python interpreter with antspyx [default: this one]")  # fmt: skip
    add("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes",
        help="change of the configuration of all networks, e.g. optimiser.epochs=2")  # fmt: skip
    return made


def main(name: str, make: Make, description: str | None, given: list[str] | None = None) -> int:
    """Compute a table, write its files and print it.

    Parameters
    ----------
    name : str
        Name of the files.
    make : callable
        Function from a study to a table.
    description : str
        Docstring of the script.
    given : list of str, optional
        Arguments, by default those of the command line.
    """
    wanted = arguments(description)
    options = wanted.parse_args(given)
    logging.basicConfig(format="%(message)s")
    try:
        study = Study(
            options.output,
            options.preset,
            None if options.data is None else str(options.data),
            None if options.labels is None else str(options.labels),
            options.threads,
            tuple(options.changes),
            options.peer_python,
        )
        table = make(study)
    except VarregError as error:
        wanted.error(str(error))
    write(name, table, study)
    print(page(table))
    return 0


def write(name: str, table: Table, study: Study) -> None:
    """Write the table as JSON, Markdown and a plot."""
    if table["rows"]:
        draw_table(table, study.output / f"{name}.png")
        table["pictures"] = [f"{name}.png", *table.get("pictures", [])]
    for suffix, text in (("json", json.dumps(table, indent=1)), ("md", page(table))):
        with atomic_path(study.output / f"{name}.{suffix}", overwrite=True) as temporary:
            temporary.write_text(text + "\n" * (suffix == "json"), encoding="utf-8")


def table_of(
    study: Study,
    title: str,
    rows_are: str,
    rows: list[Row],
    claims: list[dict[str, Any]],
    **more: Any,
) -> Table:
    """Table with the first rows of every table: before registration, and the true map."""
    references = [
        row("before registration", nothing(study)),
        row("true map", true_map := truth(study)),
    ]
    every = [*references, *rows]
    return {
        "title": title,
        "preset": study.preset,
        "says": _sentence(PRESETS[study.preset].says),
        "changes": study.changes,
        "config": described(study.base),
        "data": study.described_data(),
        "machine": true_map["machine"],
        "threads": true_map["threads"],
        "rows_are": rows_are,
        "rows": every,
        "claims": [*claims, *_about_truth(every)],
        **more,
    }


def _sentence(text: str) -> str:
    """Text with a capital first letter."""
    return text[0].upper() + text[1:]


def _about_truth(rows: list[Row]) -> list[dict[str, Any]]:
    """Claim that MI measures accuracy: then no method may have a higher MI than the true map."""
    known = by_name(rows)
    best = mean_of(known["true map"], "mi")
    methods = [r for name, r in known.items() if name not in ("before registration", "true map")]
    if not methods:
        return []
    above = [r["name"] for r in methods if gain(r, known["true map"], "mi").low > 0]
    largest, nearest = (
        max(methods, key=lambda r: mean_of(r, "mi")),
        min(methods, key=lambda r: mean_of(r, "tre")),
    )
    return [
        claim(
            "higher MI means higher accuracy (section 3.2)",
            "MI is the only measure",
            f"MI of the true map {best:.3f}; significantly above it: {', '.join(above) or 'none'}; highest MI: "
            f"{largest['name']}, smallest error: {nearest['name']}",
            not above and largest is nearest,
        )
    ]
