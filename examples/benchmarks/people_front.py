"""Inter-subject registration: trade-off between overlap and roughness, along one setting of each tool.

    python examples/benchmarks/people_front.py --data MANIFEST --limit 3 --save docs/images/people-front.png

Rougher maps can have higher overlap, so that tools are compared along their smoothing parameter: the volume weight of
varreg, the smoothing of the flow of ANTs, and that of updates and warp of greedy.  The ring marks each tool's default.
Images and scores are those of ``people.py``.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from choices import add_runs, parser, write_json
from people import FRONT, measured_apart
from tables import markdown

DEFAULTS = {"varreg": "0.8", "ANTs SyN": "3", "greedy": "2.0"}
Point = tuple[float, float]


def drawn(fronts: dict[str, dict[str, Point]], file: Path) -> None:
    """The fronts as curves."""
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for tool, points in fronts.items():
        (line,) = axes.plot(*np.array(list(points.values())).T, "o-", label=tool)
        axes.plot(*points[DEFAULTS[tool]], "o", ms=13, mfc="none", mec=line.get_color())
    axes.set(xlabel="roughness: SD of log det J", ylabel="overlap: mean Dice")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=150)


def main() -> None:
    """The command line."""
    target = parser(__doc__)
    target.add_argument("--data", type=Path, required=True, metavar="MANIFEST")
    target.add_argument("--spacing", type=float, default=2.0, help="mm; 1 is the data's own")
    target.add_argument("--limit", type=int, metavar="N", help="first N pairs")
    target.add_argument("--save", type=Path, required=True, metavar="PNG")
    add_runs(target)
    given = target.parse_args()
    fronts: dict[str, dict[str, Point]] = {}
    for tool, settings in FRONT.items():
        for setting, method in settings.items():
            found = measured_apart(method.name, given)
            if found:
                rough, dice = (float(np.mean([f[k] for f in found])) for k in ("sdlogj", "dice"))
                fronts.setdefault(tool, {})[setting] = rough, dice
    drawn(fronts, given.save)
    rows = [
        [tool, setting, f"{dice:.3f}", f"{rough:.3f}"]
        for tool, points in fronts.items()
        for setting, (rough, dice) in points.items()
    ]
    print(markdown(("tool", "setting", "Dice", "SDlogJ"), rows))
    write_json(given.json, {"fronts": fronts})


if __name__ == "__main__":
    main()
