"""Accuracy and run time of registration tools on pairs with known ground truth.

    python examples/benchmarks/accuracy.py varreg varreg-precise
    python examples/benchmarks/accuracy.py --data MANIFEST --affine --seed 1 --seed 2 \\
        --peer-python PYTHON varreg ants-syn greedy-nmi-affine elastix

Methods: identity; varreg, varreg-PRESET for every preset, varreg-cubic, varreg-{mi,nmi,lncc,mind},
varreg-iterations-{half,double,fourfold}; learned, learned+varreg; ants-syn, ants-synonly, greedy-nmi, greedy-nmi-affine,
elastix, fireants, fireants-cpu.  README.md in this folder explains the columns.
"""

from __future__ import annotations

import argparse
import sys

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
from methods import DEFAULT, find_methods
from runs import measure, measure_all, payload
from tables import accuracy_table


def main() -> int:
    """Run the methods, print the table; 1 if one of them failed."""
    arguments = parser(__doc__)
    arguments.add_argument("methods", nargs="*", metavar="METHOD", default=["identity", DEFAULT])
    add_pairs(arguments)
    add_runs(arguments)
    # how a comparison calls itself once per peer
    arguments.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    try:
        methods = find_methods(given.methods)
        pairs = chosen_pairs(given)
    except (ValueError, OSError) as error:
        arguments.error(str(error))
    if given.in_this_process:
        rows = measure(methods, pairs, given.threads)
        write_json(given.json, payload(rows))
        return int(any("error" in row for row in rows))
    rows, peers = measure_all(methods, pairs, given.threads, given.peer_python)
    machine = {**describe(), **peers, "threads": given.threads}
    described = describe_pairs(given, pairs)
    print(pairs_line(described), summary(machine), "", accuracy_table(rows, DEFAULT), sep="\n")
    write_json(given.json, {"machine": machine, "pairs": described, "rows": rows})
    return int(any("error" in row for row in rows))


if __name__ == "__main__":
    sys.exit(main())
