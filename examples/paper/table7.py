"""Table 7: ablation.

    python examples/paper/table7.py --preset reduced --data MANIFEST --labels FOLDER --output paper

The paper has no row that differs from its full model only by dual consistency, whose effect is therefore unknown; this
row is added, and one with the fixed-point inverse.  Without AT-Net displacements may have any mean, because
otherwise no network could translate an image.
"""

from __future__ import annotations

import sys

import shared  # noqa: F401
from command import main, table_of
from intervals import all_above, all_below, spread_difference, texts
from paper_numbers import TABLE_7
from trainings import CFIR, OURS, Study, Variant, group
from writing import Row, Table, by_name, claim, gain, mean_of, row

NAME = "table7"
WITHOUT = "loss.consistency=0"
#: Row -> network, number of the experiment, and presence (x) of scales, dual consistency and affine stage.
VARIANTS: dict[str, tuple[Variant, int | None, str]] = {
    "0 baseline": (group(1, WITHOUT, affine=False), 0, "- - -"),
    "1 + scales": (group(3, WITHOUT, affine=False), 1, "x - -"),
    "2 C-F-I-R": (CFIR, 2, "- x x"),
    "3 + affine": (group(1, WITHOUT), 3, "- - x"),
    "4 ours": (OURS, 4, "x x x"),
    "scales + affine": (group(3, WITHOUT), None, "x - x"),
    "ours, fixed-point inverse": (group(3, "loss.inverse=fixed-point"), None, "x x x"),
}


def make(study: Study) -> Table:
    """The paper's five rows and two additional ones."""
    rows = []
    for name, (variant, number, parts) in VARIANTS.items():
        scales, consistency, affine = parts.split()
        paper = None if number is None else TABLE_7[number]
        more = {"scales": scales, "consistency": consistency, "affine": affine}
        rows.append(row(name, study.figures(variant), paper, **more))
    return table_of(study, "Table 7: ablation", "experiment", rows, _claims(rows))


def _claims(rows: list[Row]) -> list[dict[str, object]]:
    found = by_name(rows)
    baseline, scales, _, affine, ours, without = (found[name] for name in list(VARIANTS)[:6])
    parts = [gain(r, baseline, "mi") for r in (scales, affine)]
    others = [r for r in found.values() if r["name"] in VARIANTS and r is not ours]
    fuller = [gain(ours, r, "mi") for r in others if "inverse" not in r["name"]]
    nearer = [gain(r, ours, "tre") for r in others]
    consistency = gain(ours, without, "tre")
    spread = spread_difference(*(r["of_pairs"]["mi"] for r in (ours, scales)))
    best = min(others + [ours], key=lambda r: mean_of(r, "tre"))["name"]
    return [
        claim("scales alone increase MI more than the affine stage alone", "+0.214, +0.192",
              f"MI {texts(parts)}; scales minus affine {gain(scales, affine, 'mi').text()}",
              all_above(0, gain(scales, affine, "mi"))),
        claim("the full model has the highest MI", "1.329", f"MI minus that of the other rows {texts(fuller)}", all_above(0, *fuller)),
        claim("dual consistency improves the accuracy of the full model", "no such row",
              f"MI {gain(ours, without, 'mi').text()}, TRE {consistency.text(2)}", all_below(0, consistency)),
        claim("it reduces the standard deviation of MI", "0.122 after 0.135 (which also has no affine stage)", spread.text(),
              all_below(0, spread)),
        claim("the full model is the most accurate", "by MI",
              f"smallest error: {best}; TRE of the other rows minus that of 4 ours: {texts(nearer, 2)}", all_above(0, *nearer)),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(NAME, make, __doc__))
