"""Table 6: comparison with other methods.

    python examples/paper/table6.py --preset reduced --data MANIFEST --labels FOLDER --output paper \\
        --peer-python peers/bin/python

SyN is that of ANTs (antspyx), VM the network of the package voxelmorph, C-F-I-R the cascade with one scale;
TransMorph and DiffuseMorph use backbones of MONAI (learned/baselines describes the differences from the
originals).  All networks follow the same AT-Net and are trained with the same pairs, loss and number of steps.
If a package is not installed, only its row is missing.  `varreg.solve` is an additional row.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import shared  # noqa: F401
import torch
from command import main, table_of
from figures import draw_images
from intervals import all_above, ratio, texts
from others import solved, syn, syn_displacements, varreg_solver
from paper_numbers import TABLE_6
from torch import Tensor
from trainings import CFIR, OURS, Record, Study, group
from writing import Row, Table, by_name, claim, gain, mean_of, row

from learned.data.datasets import Pair
from learned.spatial import warp

NAME = "table6"
VOXELMORPH, TRANSMORPH, DIFFUSEMORPH = (
    group(1, baseline=name) for name in ("voxelmorph", "transmorph", "diffusemorph")
)


#: Network of each row.
NETWORKS = {
    "VM": VOXELMORPH,
    "C-F-I-R": CFIR,
    "ours": OURS,
    "TransMorph": TRANSMORPH,
    "DiffuseMorph": DIFFUSEMORPH,
}


def make(study: Study) -> Table:
    """The six methods of the paper, and the solver."""
    records = {
        "SyN": syn(study),
        **{name: study.figures(variant) for name, variant in NETWORKS.items()},
        "varreg.solve": varreg_solver(study),
    }
    rows = [
        row(name, record, TABLE_6.get(name), parameters=_count(record.get("parameters")))
        for name, record in records.items()
    ]
    _draw(study, records)
    return table_of(
        study, "Table 6: other methods", "method", rows, _claims(rows), pictures=["figure7.png"],
        remarks=["figure7.png corresponds to Figures 6 and 7 of the paper: both images, and the moving image warped by each method."],
    )  # fmt: skip


@torch.inference_mode()
def _draw(study: Study, records: dict[str, Record]) -> None:
    """Draw three pairs before and after each method, like Figures 6 and 7 of the paper."""
    pairs = _shown(study)
    totals: dict[str, list[Tensor]] = {}
    if "error" not in records["SyN"]:
        totals["SyN"] = [u for u, _ in syn_displacements(pairs, study.peer_python, study.threads)]
    for name, variant in NETWORKS.items():
        if "error" not in records[name]:
            net = study.cascade(variant)
            totals[name] = [net(p.moving[None], p.fixed[None]).total[0] for p in pairs]
    totals["varreg.solve"] = [solved(p, study.threads) for p in pairs]
    rows = []
    for k, pair in enumerate(pairs):
        images = {"moving": pair.moving[0].numpy(), "fixed": pair.fixed[0].numpy()}
        for name, found in totals.items():
            images[name] = warp(pair.moving[None], found[k][None].float())[0, 0].numpy()
        rows.append((f"pair {k + 1}", images))
    draw_images(rows, study.output / "figure7.png")


def _shown(study: Study) -> list[Pair]:
    """Three pairs, preferably synthesised from label maps, whose pictures may be published."""
    folder = study.base.data.labels
    painted = {f.name.split(".")[0] for f in Path(folder).iterdir()} if folder else set()
    return sorted(study.pairs, key=lambda pair: pair.subject not in painted)[:3]


def _count(parameters: int | None) -> str:
    return "-" if parameters is None else f"{parameters / 1000:.0f} k"


def _claims(rows: list[Row]) -> list[dict[str, object]]:
    found = by_name(rows)
    order = [name for name in TABLE_6 if name in found]  # the order of the paper, by its MI
    by_mi, by_error = (sorted(order, key=lambda n: mean_of(found[n], key)) for key in ("mi", "tre"))
    complete = len(order) == len(TABLE_6)
    steps = [gain(found[after], found[before], "mi") for before, after in pairwise(order)]
    claims = [
        claim("order of the methods by MI", " < ".join(TABLE_6), f"{' < '.join(by_mi)}; differences in the paper's order: "
              f"{texts(steps)}", all_above(0, *steps) if complete else None),
    ]  # fmt: skip
    if "ours" in found:
        ours = found["ours"]
        errors = "by error: " + " < ".join(f"{n} {mean_of(found[n], 'tre'):.2f}" for n in by_error)
        worse = [(n, gain(found[n], ours, "tre")) for n in ("SyN", "VM", "C-F-I-R") if n in found]
        claims += [
            claim(f"ours is more accurate than {name}", "by MI", f"TRE {more.text(2)}; {errors}", all_above(0, more))
            for name, more in worse
        ]  # fmt: skip
        claims += _about_time(found)
    return claims


def _about_time(found: dict[str, Row]) -> list[dict[str, object]]:
    seconds = {name: r["of_pairs"].get("cpu") for name, r in found.items()}
    claims = []
    for text, name, theirs, least in (
        ("ours is ten times faster than SyN on a CPU", "SyN", "3.2312 / 0.3235 s", 10),
        ("TransMorph is slower than ours on a CPU", "TransMorph", "1.51 times", 1),
        ("DiffuseMorph is slower than ours on a CPU", "DiffuseMorph", "5.67 times", 1),
    ):
        if name in found:
            factor = ratio(seconds[name], seconds["ours"])
            claims.append(
                claim(text, theirs, f"{factor.text(2, sign=False)} times", all_above(least, factor))
            )
    return claims


if __name__ == "__main__":
    sys.exit(main(NAME, make, __doc__))
