"""Certificates of the maps of different tools, compared with their true errors.

    python examples/benchmarks/certificates.py result truth
    python examples/benchmarks/certificates.py truth result learned ants-syn greedy-nmi-affine elastix \\
        --data MANIFEST --affine --seed 1 --peer-python PYTHON

The maps are the starts of refine.py.  All values except the error come from ``varreg.certify``, which does not
use the true map.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from choices import (
    add_pairs,
    add_runs,
    chosen_pairs,
    describe_pairs,
    pairs_line,
    parser,
    write_json,
)
from machine import describe, summary
from pairs import Pair, scores
from refine import peer_displacements, starts
from tables import markdown

#: Root mean square of the perturbation that the table shows, in voxels.
PERTURBATION = 0.5
HEADER = (
    "map", "error, voxels", "similarity, nats", "energy left, nats", "would move, mm", "95th", "gradient",
    "folded cells", "inverse, mm", "perturbed: rise",
)  # fmt: skip


def figures(pair: Pair, found: Any, threads: int) -> dict[str, float]:
    """What the table shows of one map of one pair."""
    import varreg

    displacement = np.asarray(getattr(found, "displacement", found))
    certificate = varreg.certify(pair.moving, pair.fixed, found, threads=threads)
    (perturbed,) = (p for p in certificate.perturbations if p.size == PERTURBATION)
    gradients, refinement = certificate.gradients, certificate.refinement
    return {
        "tre": scores(pair, displacement)["tre"],
        "similarity": certificate.similarity_as_given,
        "gain": refinement.gain,
        "moved": refinement.mean_moved,
        "moved95": refinement.percentile_moved,
        "gradient": gradients.here / gradients.affine,
        "folded": certificate.folds_as_given.share,
        "inverse": certificate.inverse.mean,
        "rising": np.nan if perturbed.share_rising is None else perturbed.share_rising,
    }


def table(rows: dict[str, list[dict[str, float]]]) -> str:
    """A row per map, means over the pairs."""
    styles = (".2f", ".3f", ".4f", ".2f", ".2f", ".0%", ".2%", ".3f", ".0%")
    lines = []
    for name, found in rows.items():
        means = [float(np.nanmean([row[key] for row in found])) for key in found[0]]
        lines.append([name, *(format(m, s) for m, s in zip(means, styles, strict=True))])
    return markdown(HEADER, lines)


def main() -> int:
    """Certify every map of every pair, print the table."""
    arguments = parser(__doc__)
    arguments.add_argument("maps", nargs="*", default=["truth", "result"], metavar="MAP")
    arguments.add_argument("--model", help="network for `learned`, a name or a path")
    add_pairs(arguments)
    add_runs(arguments)
    given = arguments.parse_args()
    import checkout  # noqa: F401

    try:
        here = starts(given.maps, given.model)
    except ValueError as error:
        arguments.error(str(error))
    pairs = chosen_pairs(given)
    rows = {}
    for name in given.maps:
        if name in here:
            found = [here[name](pair, given.threads) for pair in pairs]
        else:
            found = peer_displacements(name, pairs, given.threads, given.peer_python)
        rows[name] = [figures(*each, given.threads) for each in zip(pairs, found, strict=True)]
        print(f"{name}: done", file=sys.stderr)
    machine, described = describe(), describe_pairs(given, pairs)
    print(f"{summary(machine)}\n{pairs_line(described)}\n\n{table(rows)}")
    write_json(given.json, {"machine": machine, "pairs": described, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
