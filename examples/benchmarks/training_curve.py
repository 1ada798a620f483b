"""Training curve: error on the validation pairs over time, and a table of the best weights.

    python examples/benchmarks/training_curve.py run --figure curve.png
    python examples/benchmarks/training_curve.py affine-run deformable-run --figure curve.png

Takes output folders of ``python -m learned.train``; several are drawn in sequence, as runs
that each start from the AT-Net of the previous one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from choices import parser, write_json
from tables import markdown

MEASURES = (("tre", "error, mm", ".2f"), ("mi", "MI, nats", ".3f"), ("folds", "folds", ".2%"))


def validations(folder: Path) -> list[dict[str, Any]]:
    """The validations of a run, in order, their errors in mm.

    Raises
    ------
    ValueError
        If there is none.
    """
    import checkout  # noqa: F401

    from learned.config import from_json
    from learned.run_folder import CONFIG, METRICS, read_lines

    file = folder / METRICS
    lines = read_lines(file) if file.is_file() else []
    found = [line for line in lines if line["part"] == "validation"]
    if not found:
        raise ValueError(f"{folder} holds no validation: is it the output of learned.train?")
    voxel = from_json((folder / CONFIG).read_text()).data.spacing
    return [{**line, "figures": _in_mm(line["figures"], voxel)} for line in found]


def _in_mm(figures: dict[str, dict[str, float]], voxel: float) -> dict[str, dict[str, float]]:
    return {name: {**row, "tre": voxel * row["tre"]} for name, row in figures.items()}


def curve(folders: list[Path]) -> list[dict[str, Any]]:
    """All validations of several runs, with the hours since the first began."""
    joined: list[dict[str, Any]] = []
    for folder in folders:
        before = joined[-1]["hours"] if joined else 0.0
        joined += [{**line, "hours": line["hours"] + before} for line in validations(folder)]
    return joined


def best(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The last validation that was the best so far: that of the weights that were kept."""
    return [line for line in lines if line["best"]][-1]


def table(line: dict[str, Any]) -> str:
    """A row per stage: error, mutual information and folds."""
    rows = [
        [name, *(format(figures[key], style) for key, _, style in MEASURES)]
        for name, figures in line["figures"].items()
    ]
    return markdown(("after", *(title for _, title, _ in MEASURES)), rows)


def draw(lines: list[dict[str, Any]], file: Path) -> None:
    """The mean error of every stage over the hours."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot()
    names = list(dict.fromkeys(name for line in lines for name in line["figures"]))
    for name in names:
        points = [
            (line["hours"], line["figures"][name]["tre"])
            for line in lines
            if name in line["figures"]
        ]
        axes.plot(*zip(*points, strict=True), marker=".", label=name)
    axes.set(
        xlabel="hours of training",
        ylabel="mean error on the validation pairs, mm",
        yscale="log",
    )
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(file, dpi=110)


def main() -> int:
    """Print the table of the best weights, draw the curve."""
    arguments = parser(__doc__)
    arguments.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    arguments.add_argument("--figure", type=Path, metavar="FILE", help="picture of the curve")
    arguments.add_argument("--json", type=Path, metavar="FILE", help="write all numbers here too")
    given = arguments.parse_args()
    try:
        lines = curve(given.runs)
    except ValueError as error:
        arguments.error(str(error))
    print(f"{lines[-1]['hours']:.2f} hours\n\n{table(best(lines))}")
    if given.figure is not None:
        draw(lines, given.figure)
    write_json(given.json, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
