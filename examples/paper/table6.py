"""Table 6: how does the cascade compare with other methods?

    python examples/paper/table6.py --preset reduced --data MANIFEST --labels FOLDER --output paper \\
        --peer-python peers/bin/python

SyN is ANTs' through antspyx, VM the network of the package voxelmorph, C-F-I-R the cascade of one scale,
TransMorph and DiffuseMorph networks on MONAI's backbones (learned/baselines says where they differ from
the originals).  All networks stand behind the same AT-Net and are trained on the same pairs, loss and steps.
A package that is missing costs its own row only.  `varreg.solve` is shown as well.
"""

from __future__ import annotations

import sys

import shared  # noqa: F401
from command import main, table_of
from others import syn, varreg_solver
from paper_numbers import TABLE_6
from trainings import CFIR, OURS, Study, group
from writing import Row, Table, by_name, claim, mean_of, row

NAME = "table6"
VOXELMORPH, TRANSMORPH, DIFFUSEMORPH = (
    group(1, baseline=name) for name in ("voxelmorph", "transmorph", "diffusemorph")
)


def make(study: Study) -> Table:
    """The paper's six methods and the solver."""
    records = {
        "SyN": syn(study),
        "VM": study.figures(VOXELMORPH),
        "C-F-I-R": study.figures(CFIR),
        "ours": study.figures(OURS),
        "TransMorph": study.figures(TRANSMORPH),
        "DiffuseMorph": study.figures(DIFFUSEMORPH),
        "varreg.solve": varreg_solver(study),
    }
    rows = [
        row(name, record, TABLE_6.get(name), parameters=_count(record.get("parameters")))
        for name, record in records.items()
    ]
    return table_of(study, "Table 6: other methods", "method", rows, _claims(rows))


def _count(parameters: int | None) -> str:
    return "-" if parameters is None else f"{parameters / 1000:.0f} k"


def _claims(rows: list[Row]) -> list[dict[str, object]]:
    found = by_name(rows)
    order = [
        name for name in TABLE_6 if name in found
    ]  # the paper's table is in the order of its MI
    by_mi = sorted(order, key=lambda name: mean_of(found[name], "mi"))
    by_error = sorted(order, key=lambda name: mean_of(found[name], "tre"))
    complete = len(order) == len(TABLE_6)
    claims = [
        claim("MI orders the methods", " < ".join(TABLE_6), " < ".join(by_mi),
              by_mi == order if complete else None),
        claim("ours is more accurate than SyN, VM and C-F-I-R", "by MI",
              "by error: " + " < ".join(f"{n} {mean_of(found[n], 'tre'):.2f}" for n in by_error),
              _is_first(by_error, ("ours", "SyN", "VM", "C-F-I-R"))),
    ]  # fmt: skip
    if {"SyN", "ours"} <= set(found):
        factor = found["SyN"]["figures"]["cpu"] / found["ours"]["figures"]["cpu"]
        claims.append(
            claim("ours is ten times as fast as SyN on a CPU", "3.2312 / 0.3235 s", f"{factor:.1f} times",
                  factor >= 10)
        )  # fmt: skip
    for name, theirs in (("TransMorph", 1.51), ("DiffuseMorph", 5.67)):
        if name in found:
            factor = found[name]["figures"]["cpu"] / found["ours"]["figures"]["cpu"]
            claims.append(
                claim(f"{name} is slower than ours on a CPU", f"{theirs} times", f"{factor:.2f} times",
                      factor > 1)
            )  # fmt: skip
    return claims


def _is_first(order: list[str], among: tuple[str, ...]) -> bool | None:
    """Whether the first of some stands before the others, if they are all there."""
    if not set(among) <= set(order):
        return None
    return [name for name in order if name in among][0] == among[0]


if __name__ == "__main__":
    sys.exit(main(NAME, make, __doc__))
