"""Table 5: time and accuracy of inverses.

    python examples/paper/table5.py --preset reduced --data MANIFEST --labels FOLDER --output paper

As in the paper, all methods use one DT-Net at full resolution: predicting a velocity for VM-diff, with a second
output for LT-Net, and unchanged for the formulas.  The paper reports times only; here the residual of the inverse,
the distance from x to x + v(x) + u(x + v(x)), is reported too.
"""

from __future__ import annotations

import sys
from statistics import median

import shared  # noqa: F401
from command import main, table_of
from evaluation import mean_and_deviation
from intervals import all_above, all_below, texts
from inverses import inverse_figures
from paper_numbers import TABLE_5
from trainings import CFIR, Study, Variant, group
from writing import Row, Table, by_name, claim, gain, number, row

NAME = "table5"
#: Dual consistency uses the network's own inverse.
WITH_OWN = ("loss.consistency=0",)
VELOCITY = group(1, *WITH_OWN, baseline="velocity", consistency=100.0)
TWO_HEADS = group(1, *WITH_OWN, baseline="learned-inverse", consistency=100.0)
#: Row -> network, formula, name in the paper.
METHODS: dict[str, tuple[Variant, str | None, str | None]] = {
    "VM-diff: flow of -v": (VELOCITY, None, "VM-diff"),
    "LT-Net: second head": (TWO_HEADS, None, "LT-Net"),
    "paper: -u(x + u(x))": (CFIR, "paper", "ours"),
    "-u(x)": (CFIR, "minus", None),
    "fixed point, 5 steps": (CFIR, "fixed-point-5", None),
    "fixed point, 20 steps": (CFIR, "fixed-point-20", None),
}


def make(study: Study) -> Table:
    """The three methods of the paper, and three formulas."""
    rows = []
    for name, (variant, formula, theirs) in METHODS.items():
        found = inverse_figures(study, variant, formula)["pairs"]
        left = mean_and_deviation(p["residual"] for p in found)
        more = {
            "inverse residual": f"{left[0]:.4f}",
            "worst": f"{max(p['worst'] for p in found):.2f}",
        }
        made = row(name, study.figures(variant), TABLE_5.get(theirs or ""), **more)
        # network and inverse together, as in the paper
        made["figures"]["cpu"] = median(p["cpu"] for p in found)
        if made["figures"]["gpu"] is not None:
            made["figures"]["gpu"] = median(p["gpu"] for p in found)
        alone = [p["inverse"] for p in found if p["inverse"] is not None]
        made["extra"]["inverse alone (s)"] = number(median(alone) if alone else None)
        made["residual"] = left
        made["of_pairs"] |= {key: [p[key] for p in found] for key in ("cpu", "residual")}
        rows.append(made)
    return table_of(
        study, "Table 5: inverses", "inverse", rows, _claims(rows),
        remarks=["The residual is in voxels, over the foreground; times include DT-Net and inverse."],
    )  # fmt: skip


def _claims(rows: list[Row]) -> list[dict[str, object]]:
    found = by_name(rows)
    velocity, heads, paper, minus, five, twenty = (found[name] for name in METHODS)
    seconds = ", ".join(f"{r['figures']['cpu']:.4f}" for r in (velocity, heads, paper))
    slower = [gain(r, paper, "cpu") for r in (velocity, heads)]
    sign, step = gain(paper, minus, "residual"), gain(paper, five, "residual")
    others = ", ".join(
        f"{name} {r['residual'][0]:.4f}"
        for name, r in (("20 steps", twenty), ("flow", velocity), ("second head", heads))
    )
    return [
        claim("the paper's inverse is the fastest", "0.2353, 0.2752, 0.2132 s on a CPU",
              f"{seconds} s; difference from the paper's: {texts(slower, 4)}", all_above(0, *slower)),
        claim("-u(x + u(x)) is the inverse (section 2.1.3)", "no residual given",
              f"residual minus that of -u(x): {sign.text(4)} voxels", all_below(0, sign)),
        claim("a single step suffices", "no residual given",
              f"residual minus that of five steps: {step.text(4)} voxels; {others}", all_below(0, step)),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(NAME, make, __doc__))
