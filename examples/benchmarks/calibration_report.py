"""Summary of calibration.py: coverage, width, rank correlation, area under the curve; reliability diagram."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import checkout  # noqa: F401
import numpy as np
from scipy.stats import rankdata, spearmanr
from tables import markdown

Row = dict[str, Any]
#: An error above this (mm) is one that a reader should be told of.
LARGE = 2.0
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
HEADER = (
    "pairs", "maps", "in the 90 % interval", "upper / lower end", "rank correlation",
    f"above {LARGE:g} mm", "area under the curve",
)  # fmt: skip


def measured(row: Row, count: int) -> tuple[float, float]:
    """d and s of the first trials, voxels."""
    from varreg.certificate.accuracy import LEAST_DISTANCE, scores

    d, s = scores(np.array(row["distances"])[: count + 1, : count + 1])
    return max(d / row["voxel"], LEAST_DISTANCE), s / row["voxel"]


def head(row: Row) -> str:
    """Whose head a row shows."""
    return str(row["name"].split()[0])


def calibration(rows: list[Row], count: int) -> Any:
    """The calibration by rows."""
    from varreg.certificate.interval import calibrated

    d, s = np.array([measured(row, count) for row in rows]).T
    errors = np.array([row["error"] / row["voxel"] for row in rows])
    return calibrated(d, s, errors, np.array([head(row) for row in rows]))


def other_heads(rows: list[Row], count: int) -> str:
    """Coverage at 90 % if any two of the heads calibrate and the others report."""
    known = [row for row in rows if row["set"] in ("calibrate", "report")]
    names, shares = sorted({head(row) for row in known}), []
    for two in itertools.combinations(names, 2):
        found = calibration([row for row in known if head(row) in two], count)
        rest = [row for row in known if head(row) not in two]
        shares.append(100 * covered(found, rest, count, 0.9).mean())
    each = ", ".join(f"{share:.0f}" for share in sorted(shares))
    each = f"{each} %, mean {np.mean(shares):.0f} %."
    return f"Coverage at 90 % for any two calibration heads of {', '.join(names)}: {each}"


def intervals(found: Any, rows: list[Row], count: int, level: float = 0.9) -> np.ndarray:
    """Lower and upper end, mm, (2, n)."""
    d, s = np.array([measured(row, count) for row in rows]).T
    return np.array(found.interval(d, s, level)) * [row["voxel"] for row in rows]


def covered(found: Any, rows: list[Row], count: int, level: float) -> np.ndarray:
    """Whether the error of each row lies in its interval."""
    (low, high), errors = intervals(found, rows, count, level), [row["error"] for row in rows]
    return (low <= errors) & (errors <= high)


def estimates(found: Any, rows: list[Row], count: int) -> np.ndarray:
    """Median error, mm."""
    d, s = np.array([measured(row, count) for row in rows]).T
    return found.median(d, s) * [row["voxel"] for row in rows]


def area(score: np.ndarray, large: np.ndarray) -> float:
    """Probability that a large error has a higher score than one that is not."""
    n = int(large.sum())
    if n in (0, len(large)):
        return float("nan")
    return float((rankdata(score)[large].sum() - n * (n + 1) / 2) / (n * (len(large) - n)))


def line(name: str, found: Any, rows: list[Row], count: int) -> tuple[str, ...]:
    """A row of the table."""
    errors, scores = np.array([r["error"] for r in rows]), estimates(found, rows, count)
    low, high = intervals(found, rows, count)
    inside = covered(found, rows, count, 0.9)
    width = float(np.median(high / low))
    rank = float(spearmanr(scores, errors)[0]) if len(rows) > 2 else float("nan")
    large = errors > LARGE
    return (
        name, str(len(rows)), f"{100 * inside.mean():.0f} %", f"{width:.1f}", _number(rank),
        str(int(large.sum())), _number(area(scores, large)),
    )  # fmt: skip


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def text(found: dict[int, Any], rows: list[Row]) -> str:
    """Tables by set, by dimension and by kind of map, and the coverage of other levels."""
    report = [r for r in rows if r["set"] == "report"]
    most = max(found)
    lines = [line(f"other heads, {n} trials", found[n], report, n) for n in sorted(found)[::-1]]
    groups = {f"- {d}": [r for r in report if r["kind"].startswith(d)] for d in ("2D", "3D")}
    for kind in sorted({r["kind"].split("; ")[1] for r in report}):
        groups[f"- {kind}"] = [r for r in report if r["kind"].split("; ")[1] == kind]
    for which in ("phantom", "people", "stains"):
        groups[which] = [r for r in rows if r["set"] == which]
    lines += [line(name, found[most], group, most) for name, group in groups.items() if group]
    levels = ", ".join(
        f"{100 * level:.0f} %: {100 * covered(found[most], report, most, level).mean():.0f} %"
        for level in LEVELS
    )
    return (
        f"{markdown(HEADER, lines)}\n\nCoverage of the levels: {levels}.\n{other_heads(rows, most)}"
    )


def draw(found: Any, rows: list[Row], file: Path) -> None:
    """Reliability diagram, and error against estimate with its interval."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
    left.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    sets = {
        "report": "other heads",
        "phantom": "artificial heads",
        "people": "people (shift)",
        "stains": "stains (shift)",
    }
    for which, name in sets.items():
        chosen = [r for r in rows if r["set"] == which]
        if chosen:
            shares = [covered(found, chosen, 8, level).mean() for level in LEVELS]
            left.plot(LEVELS, shares, "o-", markersize=3, label=f"{name}, {len(chosen)}")
    left.set(
        xlabel="level that is stated", ylabel="share of errors in the interval", aspect="equal"
    )
    left.legend(fontsize=8)
    chosen = [r for r in rows if r["set"] == "report"]
    low, high = intervals(found, chosen, 8)
    errors, middle = np.array([r["error"] for r in chosen]), estimates(found, chosen, 8)
    inside = covered(found, chosen, 8, 0.9)
    right.vlines(errors, low, high, color=np.where(inside, "0.75", "tab:red"), linewidth=0.8)
    right.plot(errors, middle, ".", markersize=3)
    limits = [0.8 * min(errors.min(), low.min()), 1.2 * max(errors.max(), high.max())]
    right.plot(limits, limits, color="0.6", linewidth=1)
    right.set(
        xscale="log",
        yscale="log",
        xlabel="true mean error (mm)",
        ylabel="90 % interval and median (mm)",
    )
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(file, dpi=110)
    pyplot.close(figure)
