"""Figures 4 and 5, section 3.3.2: width and learning rate.

    python examples/paper/figure4_5.py --preset reduced --data MANIFEST --labels FOLDER --output paper

Three widths and two learning rates of Adam (its largest values); the picture shows mutual information during the training.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import shared  # noqa: F401
from command import main, table_of
from figures import draw_curves
from intervals import Interval, all_above, all_below, interval, texts
from trainings import OURS, Study, Variant, group
from writing import Row, Table, claim, gain, row

NAME = "figure4_5"
WIDTHS = (4, 8, 16)
#: Learning rates of Figure 5, chosen in the paper, and of Figure 4.
KEPT, HIGH = "0.001", "0.01"
Key = tuple[int, str]


def variant(study: Study, width: int, rate: str) -> Variant:
    """Three scales with a width and a learning rate; default values are not listed as changes, so that the network
    is that of the other tables."""
    changes = []
    if width != study.base.model.dt_width:
        changes.append(f"model.dt_width={width}")
    if float(rate) != study.base.optimiser.learning_rate:
        changes.append(f"optimiser.learning_rate={rate}")
    return group(3, *changes) if changes else OURS


def make(study: Study) -> Table:
    """Table of six networks, and their training curves."""
    rows, curves = {}, {}
    for rate in (HIGH, KEPT):
        for width in WIDTHS:
            chosen = variant(study, width, rate)
            more = {"width": str(width), "learning rate": rate}
            rows[width, rate] = row(f"{width}, {rate}", study.figures(chosen), **more)
            curves[width, rate] = study.recorded(
                f"curve-{study.key(chosen)}", lambda chosen=chosen: _curve(study, chosen)
            )["mi"]
    panels = {
        f"learning rate {r}": {f"width {w}": curves[w, r] for w in WIDTHS} for r in (HIGH, KEPT)
    }
    draw_curves(panels, "step", "MI of the batch (nats)", study.output / "figure4_5-curves.png")
    return table_of(
        study, "Figures 4 and 5: learning rate and width", "width, learning rate", list(rows.values()),
        _claims(rows, curves), pictures=["figure4_5-curves.png"],
        remarks=["The paper shows curves, but no figures."],
    )  # fmt: skip


def _curve(study: Study, chosen: Variant) -> dict[str, list[float]]:
    """Mutual information of every batch of a finished training."""
    file = Path(study.config(chosen).train.output) / "training.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return {"mi": [line["similarity"] for line in lines if line["stage"] == "deformable"]}


def _claims(rows: dict[Key, Row], curves: dict[Key, list[float]]) -> list[dict[str, object]]:
    rates = [gain(rows[w, KEPT], rows[w, HIGH], "mi") for w in WIDTHS]
    rough = [_roughness(curves[w, HIGH], curves[w, KEPT]) for w in WIDTHS]
    narrow = [gain(rows[4, KEPT], rows[w, KEPT], "mi") for w in (8, 16)]
    wide = gain(rows[8, KEPT], rows[16, KEPT], "mi")
    errors = [gain(rows[4, KEPT], rows[w, KEPT], "tre") for w in (8, 16)]
    return [
        claim("curves at 0.01 are more erratic than at 0.001", "Figures 4 and 5",
              f"changes between steps larger by {texts(rough, 4)} nats", all_above(0, *rough)),
        claim("0.001 is the better learning rate", "0.001 is chosen", f"MI {texts(rates)}", all_above(0, *rates)),
        claim("width 4 is inferior to 8 and 16", "by MI", f"MI {texts(narrow)}; TRE {texts(errors, 2)}",
              all_below(0, *narrow)),
        claim("width 8 outperforms 16", "by MI",
              f"MI {wide.text()}; TRE {gain(rows[8, KEPT], rows[16, KEPT], 'tre').text(2)}", all_above(0, wide)),
    ]  # fmt: skip


def _roughness(one: list[float], other: list[float]) -> Interval:
    """Difference of the mean absolute changes between steps of two curves on the same batches."""
    steps = (np.abs(np.diff(curve)) for curve in (one, other))
    return interval(lambda a, b: (a - b).mean(-1), *steps)


if __name__ == "__main__":
    sys.exit(main(NAME, make, __doc__))
