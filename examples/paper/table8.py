"""Table 8, Figures 8 and 9, section 3.3.7: pairwise comparison of the cascade with C-F-I-R.

    python examples/paper/table8.py --preset reduced --data MANIFEST --labels FOLDER --output paper

NCC of both on the same pairs with Wilcoxon's signed-rank test, the fraction of pairs in which ours is better, and
a box plot; the same for MI and for the error, and the displacements of three pairs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import shared  # noqa: F401
import torch
from command import main, table_of
from figures import draw_boxes, draw_fields
from intervals import interval, within
from paper_numbers import MARGIN, P_MI, P_NCC, TABLE_6, TABLE_8, WIN_RATE
from scipy.stats import wilcoxon
from trainings import CFIR, OURS, Study
from writing import Table, claim, row

from learned.cascade import Cascade
from learned.data.datasets import Pair

NAME = "table8"
#: Figure of a pair -> whether larger is better, and number of decimal places.
MEASURES = {"ncc": (True, 4), "mi": (True, 4), "tre": (False, 3)}


def make(study: Study) -> Table:
    """Table 8, and both figures."""
    records = {"C-F-I-R": study.figures(CFIR), "ours": study.figures(OURS)}
    rows = [row(name, record, TABLE_6[name]) for name, record in records.items()]
    values = {
        key: {name: [p[key] for p in record["pairs"]] for name, record in records.items()}
        for key in MEASURES
    }
    tests = {key: compared(*values[key].values(), better) for key, (better, _) in MEASURES.items()}
    title = f"NCC of {len(study.pairs)} pairs, p = {tests['ncc']['p']:.3g}"
    draw_boxes(values["ncc"], title, "NCC", study.output / "figure9.png")
    _draw_fields(study.cascade(OURS), study.pairs[:3], study.output / "figure8.png")
    return table_of(
        study, "Table 8: pair by pair", "method", rows, _claims(tests, values["mi"]),
        further=[_statistics(values["ncc"]), _tests(tests)], pictures=["figure8.png", "figure9.png"],
        values=values, tests=tests,
        remarks=[_remark(study)],
    )  # fmt: skip


def _remark(study: Study) -> str:
    subjects = len({pair.subject for pair in study.pairs})
    return (
        "figure8.png and figure9.png correspond to Figures 8 and 9 of the paper. The test treats pairs as "
        f"independent, as in the paper; they are of only {subjects} subjects, so p is too small."
    )


def compared(before: list[float], after: list[float], more_is_better: bool) -> dict[str, Any]:
    """Comparison of two methods on the same pairs.

    Returns
    -------
    dict
        "statistic" and "p" of Wilcoxon's two-sided signed-rank test (1 without differences), "wins":
        fraction of pairs in which `after` is better, "margin": mean difference in these pairs,
        "difference": mean difference over all pairs.
    """
    difference = np.array(after) - np.array(before)
    gain = difference if more_is_better else -difference
    statistic, p = wilcoxon(difference) if np.any(difference) else (0.0, 1.0)
    return {
        "statistic": float(statistic),
        "p": float(p),
        "wins": float((gain > 0).mean()),
        "margin": float(gain[gain > 0].mean()) if (gain > 0).any() else 0.0,
        "difference": float(difference.mean()),
    }


def _statistics(values: dict[str, list[float]]) -> dict[str, Any]:
    """Statistics of NCC, as in the paper's Table 8."""
    lines = []
    for name, of_pairs in values.items():
        array, paper = np.array(of_pairs), TABLE_8[name]
        low, median, high = np.percentile(array, (25, 50, 75))
        here = (
            f"{array.mean():.4f} ± {array.std(ddof=1):.4f}",
            f"{median:.4f} [{low:.4f}, {high:.4f}]",
            f"{array.min():.4f} / {array.max():.4f}",
        )
        theirs = (
            f"{paper['mean']:.4f} ± {paper['std']:.4f}",
            f"{paper['median']:.4f} [{paper['low']:.4f}, {paper['high']:.4f}]",
            f"{paper['min']:.4f} / {paper['max']:.4f}",
        )
        cells = [cell for both in zip(here, theirs, strict=True) for cell in both]
        lines.append([name, *cells, str(len(array))])
    header = (
        "NCC", "mean ± std", "paper's", "median [quartiles]", "paper's", "min / max", "paper's", "pairs",
    )  # fmt: skip
    return {"title": "NCC of every pair", "header": header, "rows": lines}


def _tests(tests: dict[str, dict[str, Any]]) -> dict[str, Any]:
    paper = {
        "ncc": (f"{P_NCC}", "-", "+0.0048"),
        "mi": (f"{P_MI}", f"{WIN_RATE:.0%}, margin {MARGIN}", "-"),
        "tre": ("-", "-", "-"),
    }
    lines = []
    for key, found in tests.items():
        digits, (p, wins, difference) = MEASURES[key][1], paper[key]
        here = f"{found['wins']:.0%}, margin {found['margin']:.{digits}f}"
        change = f"{found['difference']:+.{digits}f}"
        lines.append([key.upper(), f"{found['p']:.3g}", p, here, wins, change, difference])
    header = (
        "ours against C-F-I-R",
        "p",
        "paper's",
        "pairs won",
        "paper's",
        "mean change",
        "paper's",
    )
    return {"title": "Wilcoxon's signed-rank test, two-sided", "header": header, "rows": lines}


def _claims(tests: dict[str, dict[str, Any]], mi: dict[str, list[float]]) -> list[dict[str, Any]]:
    def is_better(key: str) -> bool | None:
        found = tests[key]
        return (found["difference"] > 0) == MEASURES[key][0] if found["p"] < 0.05 else None

    wins = interval(lambda ours, cfir: (ours > cfir).mean(-1), mi["ours"], mi["C-F-I-R"])
    says = {key: f"{t['difference']:+.4f}, p = {t['p']:.3g}" for key, t in tests.items()}
    return [
        claim("NCC is higher than that of C-F-I-R", f"+0.0048, p = {P_NCC}", says["ncc"], is_better("ncc")),
        claim("MI is higher than that of C-F-I-R", f"p = {P_MI}", says["mi"], is_better("mi")),
        claim("ours has higher MI in three quarters of the pairs, within 10 points", f"{WIN_RATE:.0%}",
              f"{wins.text(2, sign=False)}", within(wins, WIN_RATE - 0.1, WIN_RATE + 0.1)),
        claim("ours is more accurate than C-F-I-R", "by MI and NCC", f"TRE {says['tre']}",
              is_better("tre")),
    ]  # fmt: skip


@torch.inference_mode()
def _draw_fields(cascade: Cascade, pairs: list[Pair], file: Path) -> None:
    """Figure 8: displacements after the affine stage."""
    fields = []
    for pair in pairs:
        prediction = cascade(pair.moving[None], pair.fixed[None])
        fields.append((pair.subject, prediction.displacement[0].numpy()))
    draw_fields(fields, file)


if __name__ == "__main__":
    sys.exit(main(NAME, make, __doc__))
