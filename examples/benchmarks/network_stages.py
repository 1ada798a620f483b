"""Error, similarity and folds after each stage of a network, on heads not used in its training.

    python examples/benchmarks/network_stages.py --data MANIFEST --subjects ms19
    python examples/benchmarks/network_stages.py --data MANIFEST --subjects ms19 --motion affine

Pairs are generated as in its training, from the given subjects; ``--motion affine`` omits the smooth part and
draws the affine part for a mean error of about 12 mm before registration.  Errors are in mm.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from choices import comma_list, parser, write_json
from machine import describe, summary
from tables import markdown

#: What is set for a motion beyond that of the training.
MOTIONS = {
    "training": [],
    "affine": [
        "data.rotation=14", "data.scaling=0.09", "data.shear=0.03", "data.shift=0.07",
        "data.amplitude=0",
    ],
}  # fmt: skip


def settings(card: dict[str, Any], manifest: Path, subjects: list[str], motion: str) -> Any:
    """The configuration that a network was trained with, on other subjects."""
    from learned.config import from_json, with_changes

    config = from_json(json.dumps(card["training"]["config"]))
    plain = [f"data.{source}_share=0" for source in ("phantom", "labels", "manifest")]
    named = ["data.source=manifest", f"data.manifest={manifest}", "data.cache=none"]
    judged = [f"data.validation_subjects={','.join(subjects)}", "data.test_pairs=0"]
    return with_changes(config, [*plain, *named, *judged, *MOTIONS[motion]])


def rows_of(model: str, manifest: Path, subjects: list[str], motion: str, count: int) -> Any:
    """For each pair a dictionary stage -> figures, errors in mm."""
    import checkout  # noqa: F401

    from learned import weights
    from learned.config import with_changes
    from learned.data.parts import make_parts
    from learned.losses import MutualInformation
    from learned.validation import figures_of, register
    from varreg.options.options import Options

    path = Path(model) if Path(model).suffix else weights.find(model)
    network, _, card = weights.read(path)
    config = settings(card, manifest, subjects, motion)
    config = with_changes(config, [f"data.validation_pairs={count}"])
    pairs = make_parts(config).validation
    similarity = MutualInformation(Options.preset(config.loss.estimator))
    network.eval()
    rows = []
    for index in range(count):
        found = figures_of(register(network, pairs[0, index]), similarity)
        rows.append({n: {**f, "tre": f["tre"] * config.data.spacing} for n, f in found.items()})
    return rows


def table(rows: list[dict[str, dict[str, float]]]) -> str:
    """A row per stage."""
    lines = []
    for name in rows[0]:
        errors = np.array([row[name]["tre"] for row in rows])
        means = {key: np.mean([row[name][key] for row in rows]) for key in ("mi", "folds")}
        shown = [f"{value:.2f}" for value in (errors.mean(), np.median(errors), errors.max())]
        lines.append([name, *shown, f"{means['mi']:.3f}", f"{means['folds']:.2%}"])
    return markdown(("after", "error, mm", "median", "worst", "MI, nats", "folds"), lines)


def main() -> int:
    """Measure, print the table."""
    arguments = parser(__doc__)
    arguments.add_argument("--model", default="brain-2d", metavar="NAME|FILE")
    arguments.add_argument("--data", type=Path, required=True, metavar="MANIFEST")
    arguments.add_argument("--subjects", type=comma_list, required=True, metavar="ID,ID")
    arguments.add_argument("--motion", choices=sorted(MOTIONS), default="training")
    arguments.add_argument("--pairs", type=int, default=64, metavar="N")
    arguments.add_argument("--json", type=Path, metavar="FILE", help="write all numbers here too")
    given = arguments.parse_args()
    rows = rows_of(given.model, given.data, given.subjects, given.motion, given.pairs)
    machine = describe()
    print(summary(machine), "", table(rows), sep="\n")
    write_json(given.json, {"machine": machine, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
