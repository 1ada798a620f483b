"""Tables 2 and 3: gain and cost of each further scale.

    python examples/paper/table2_3.py --preset reduced --data MANIFEST --labels FOLDER --output paper

Groups 1 to 4 are cascades with stages at the full resolution; at 1/2 and 1; at 1/4, 1/2 and 1; and at 1/8 to 1 of
it: 28, 56, 112 and 224 voxels with the preset `paper`.
"""

from __future__ import annotations

import sys
from itertools import pairwise

import shared  # noqa: F401
from command import main, table_of
from intervals import (
    Interval,
    all_above,
    all_below,
    difference,
    interval,
    ratio,
    spread_difference,
    texts,
    within,
)
from paper_numbers import TABLE_2, TABLE_3
from trainings import Study, group
from writing import NONE, Row, Table, claim, gain, mean_of, number, row

NAME = "table2_3"


def make(study: Study) -> Table:
    """Both tables."""
    side = study.base.model.shape[0]
    rows = []
    for k in TABLE_2:
        sizes = ", ".join(str(side // 2**n) for n in reversed(range(k)))
        rows.append(row(f"group {k}", study.figures(group(k)), TABLE_2[k], sizes=sizes))
    return table_of(
        study, "Tables 2 and 3: scales", "group", rows, _claims(rows), further=[_gains(rows)]
    )


def _gains(rows: list[Row]) -> dict[str, object]:
    """Table 3, with times of the GPU if there is one, else of the CPU."""
    device = "cpu" if rows[0]["figures"]["gpu"] is None else "gpu"
    header = (
        "group", "change of MI", "paper's", "change of TRE", f"more {device.upper()} (s)", "paper's, GPU",
        "MI per second", "paper's",
    )  # fmt: skip
    lines = []
    for k, (before, after) in enumerate(pairwise(rows), start=2):
        more, error, seconds = (
            mean_of(after, key) - mean_of(before, key) for key in ("mi", "tre", device)
        )
        paper = TABLE_3[k]
        rate = number(more / seconds, 2) if seconds > 0 else NONE
        lines.append(
            [f"{k} after {k - 1}", f"{more:+.3f}", f"{paper[0]:+.3f}", f"{error:+.3f}", f"{seconds:+.4f}",
             f"{paper[1]:+.4f}", rate, f"{paper[2]:.2f}"]
        )  # fmt: skip
    return {"title": "Table 3: gain of each scale", "header": header, "rows": lines}


def _claims(rows: list[Row]) -> list[dict[str, object]]:
    mi, tre, cpu = ([r["of_pairs"][key] for r in rows] for key in ("mi", "tre", "cpu"))
    gains = [gain(after, before, "mi") for before, after in pairwise(rows)]
    third = [
        _second_difference(mi[2], mi[1], *others) for others in ((mi[1], mi[0]), (mi[3], mi[2]))
    ]
    spreads = [spread_difference(after, before) for before, after in pairwise(mi)]
    best = [difference(tre[2], tre[k]) for k in (0, 1, 3)]
    cost = ratio(cpu[2], cpu[0])
    errors = ", ".join(f"{mean_of(r, 'tre'):.2f}" for r in rows)
    return [
        claim("every scale increases MI", "+0.053, +0.076, +0.011", texts(gains), all_above(0, *gains)),
        claim("the step to group 3 has the largest gain of MI", "larger than the others by 0.023, 0.065",
              texts(third), all_above(0, *third)),
        claim("the standard deviation of MI increases", "+0.002, +0.009, +0.014", texts(spreads), all_above(0, *spreads)),
        claim("three scales are the best choice", "by MI per second",
              f"TRE {errors}; group 3 after 1, 2, 4: {texts(best)}", all_below(0, *best)),
        claim("three scales cost 31 % more than one, within 10 points (section 3.3.10)", "0.0316 / 0.0217 = 1.46 on its GPU",
              f"{cost.text(2, sign=False)} times on the CPU", within(cost, 1.21, 1.41)),
    ]  # fmt: skip


def _second_difference(*values: list[float]) -> Interval:
    """Mean of (a - b) - (c - d)."""
    return interval(lambda a, b, c, d: (a - b - c + d).mean(-1), *values)


if __name__ == "__main__":
    sys.exit(main(NAME, make, __doc__))
