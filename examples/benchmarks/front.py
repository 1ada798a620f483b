"""Trade-off between accuracy and run time of varreg's presets and other tools, in one figure.

    python examples/benchmarks/front.py --figure front.svg
    python examples/benchmarks/front.py --data MANIFEST --seed 1 --peer-python PYTHON --figure front.png

Without method names: every preset and setting of varreg, and every peer that can be imported.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

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
from methods import DEFAULT, find_methods, peer_methods, varreg_settings
from runs import measure_all
from tables import accuracy_table

#: Presets that exist to reproduce other work, not to be chosen; named, they are drawn too.
LEFT_OUT = ("varreg-paper", "varreg-cfir")


def default_names() -> list[str]:
    """Doing nothing, varreg in its settings, the peers."""
    settings = [name for name in varreg_settings() if name not in LEFT_OUT]
    return ["identity", *settings, *peer_methods()]


def efficient(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that no other row beats in both error and time, fastest first."""
    front: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda row: (row["seconds"], row["tre"])):
        if not front or row["tre"] < front[-1]["tre"]:
            front.append(row)
    return front


def draw(rows: list[dict[str, Any]], title: str, file: Path) -> None:
    """Points, their names, and the line through the efficient ones."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    front = efficient(rows)
    axes.step(
        [row["seconds"] for row in front],
        [row["tre"] for row in front],
        where="post",
        color="0.75",
        zorder=0,
    )
    for row in rows:
        own = row["method"].startswith(DEFAULT)
        colour = "tab:blue" if own else "tab:orange"
        axes.plot(row["seconds"], row["tre"], "o" if own else "s", color=colour)
    axes.set(xscale="log", yscale="log", xlabel="seconds per pair (median)", title=title)
    axes.set_ylabel("target registration error (voxels, mean)")
    _plain_ticks(axes)
    axes.grid(alpha=0.3, which="both")
    _label(axes, rows)
    figure.savefig(file, dpi=150)
    pyplot.close(figure)


def _plain_ticks(axes: Any) -> None:
    """0.5 instead of 5 x 10^-1, and room for the names on the right."""
    from matplotlib.ticker import LogLocator, ScalarFormatter

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_locator(LogLocator(subs=()))
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * (high / low) ** 0.15)


def _label(axes: Any, rows: list[dict[str, Any]]) -> None:
    """The names, each at the first place beside its point that is free."""
    axes.figure.canvas.draw()
    taken: list[Any] = []
    for row in sorted(rows, key=lambda row: row["seconds"]):
        point = row["seconds"], row["tre"]
        for dy, side in itertools.product((4, -12, 15, -23, 26, -34), ("left", "right")):
            offset = (5 if side == "left" else -5, dy)
            text = axes.annotate(
                row["method"], point, offset, textcoords="offset points", ha=side, fontsize=8
            )
            box = text.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                break
            text.remove()
        else:
            continue
        taken.append(box)


def main() -> int:
    """Run the methods, print the table, draw the figure."""
    arguments = parser(__doc__)
    arguments.add_argument("methods", nargs="*", metavar="METHOD", help="as for accuracy.py")
    arguments.add_argument("--figure", type=Path, default=Path("front.png"), metavar="FILE")
    add_pairs(arguments)
    add_runs(arguments)
    given = arguments.parse_args()
    try:
        methods = find_methods(given.methods or default_names())
        pairs = chosen_pairs(given)
    except (ValueError, OSError) as error:
        arguments.error(str(error))
    rows, peers = measure_all(methods, pairs, given.threads, given.peer_python)
    machine = {**describe(), **peers, "threads": given.threads}
    described = describe_pairs(given, pairs)
    print(pairs_line(described), summary(machine), "", accuracy_table(rows, DEFAULT), sep="\n")
    drawn = [row for row in rows if "error" not in row and row["method"] != "identity"]
    draw(drawn, pairs_line(described), given.figure)
    write_json(given.json, {"machine": machine, "pairs": described, "rows": rows})
    return int(not drawn)


if __name__ == "__main__":
    sys.exit(main())
