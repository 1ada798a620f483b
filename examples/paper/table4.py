"""Table 4: what do the weights of the loss do?

    python examples/paper/table4.py --preset reduced --data MANIFEST --labels FOLDER --output paper

A row that the paper does not have shows its largest weight of dual consistency with an inverse that is one:
the paper's formula has the wrong sign, and its term punishes displacements.
"""

from __future__ import annotations

import sys

import shared  # noqa: F401
from command import main, table_of
from paper_numbers import TABLE_4, WEIGHTS
from trainings import Study, Variant, group
from writing import Table, by_name, claim, mean_of, row

NAME = "table4"
KEYS = ("smoothness", "mutual_information", "background", "consistency")
STRONG = (1, 50, 100, 500)
RIGHT = "1, 50, 100, 500; fixed-point inverse"


def weighted(weights: tuple[float, ...], *changes: str) -> Variant:
    """Three scales with other weights."""
    values = [f"loss.{key}={w:g}" for key, w in zip(KEYS, weights, strict=True)]
    return group(3, *(() if weights == WEIGHTS else values), *changes)


def label(weights: tuple[float, ...]) -> str:
    """lambda_1 to lambda_4."""
    return ", ".join(f"{w:g}" for w in weights)


def make(study: Study) -> Table:
    """The paper's rows and one more."""
    rows = [row(label(w), study.figures(weighted(w)), paper) for w, paper in TABLE_4.items()]
    rows.append(row(RIGHT, study.figures(weighted(STRONG, "loss.inverse=fixed-point"))))
    return table_of(
        study, "Table 4: weights of the loss", "smoothness, MI, background, consistency", rows, _claims(rows)
    )  # fmt: skip


def _claims(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    found = by_name(rows)
    kept = found[label(WEIGHTS)]
    rising = [mean_of(found[label((1, w, 100, 100))], "mi") for w in (4, 20, 30, 50)]
    strong, right = (mean_of(found[name], "mi") for name in (label(STRONG), RIGHT))
    smooth = mean_of(found[label((10, 50, 100, 100))], "mi")
    best = min(found.values(), key=lambda r: mean_of(r, "tre"))["name"]
    reference, error = mean_of(kept, "mi"), mean_of(kept, "tre")
    return [
        claim("the weight of MI matters most; 20 is worse than 4, 30 and 50", "1.098, 0.931, 1.273, 1.329",
              ", ".join(f"{v:.3f}" for v in rising), min(rising) == rising[1]),
        claim("more weight on MI raises MI", "text of section 3.3.3; its row of 20 does not",
              ", ".join(f"{v:.3f}" for v in rising), rising == sorted(rising)),
        claim("five times the weight of dual consistency costs a quarter of MI or more", "0.908 after 1.329",
              f"{strong:.3f} after {reference:.3f}; with a right inverse {right:.3f}",
              strong < 0.75 * reference),
        claim("ten times the weight of smoothness costs 5.8 % of MI, within 3 points", "1.251 after 1.329",
              f"{smooth:.3f} after {reference:.3f}", abs(1 - smooth / reference - 0.058) < 0.03),
        claim("1, 50, 100, 100 is the best choice", "by MI",
              f"least error: {best}; TRE of 1, 50, 100, 100 {error:.2f}", best == label(WEIGHTS)),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(NAME, make, __doc__))
