"""Motion of the head by 20 further steps, compared with the estimate in the result.

    python examples/benchmarks/further_steps.py --data DATA [--set report] [--every 7] [--threads 1]

``result.motion.further`` is an estimate: the displacement by the last six steps together.  Here a subset of the correct
pairs of verdict_cases.py is registered again with 20 more steps at the finest level, which begins with the same steps.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import checkout  # noqa: F401
import numpy as np
from known_cases import HEADS, Case
from verdict_cases import cases

import varreg
from varreg.checks.head import head_of
from varreg.images.intensities import unit_intensities
from varreg.images.level_image import LevelImage
from varreg.optimise.history import Stop

MORE = 20


def moved(case: Case, threads: int) -> tuple[float, float] | None:
    """What was said and what was true, mm; None if the solver ended before its budget."""
    first = varreg.solve(case.moving, case.fixed, threads=threads)
    budget = first.options.iterations
    if first.stop is not Stop.BUDGET or not isinstance(budget, tuple):
        return None
    longer = (*budget[:-1], budget[-1] + MORE)
    second = varreg.solve(case.moving, case.fixed, threads=threads, iterations=longer)
    image = LevelImage(unit_intensities(case.fixed.data, None), None, case.fixed.grid)
    change = (second.u - first.u)[:, head_of(image).shown]
    if first.motion is None or first.motion.further is None:
        return None
    return first.motion.further, float(np.linalg.norm(change, axis=0).mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", choices=sorted(HEADS), default="report")
    parser.add_argument("--every", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    usual = (
        c
        for c in cases(args.data, args.set)
        if not c.settings and np.isfinite(c.tolerance) and c.at is not None
    )
    ratios = []
    for number, case in enumerate(usual):
        found = moved(case, args.threads) if number % args.every == 0 else None
        if found is None:
            continue
        estimate, true = found
        ratios.append(true / estimate)
        print(
            f"{case.kind:22s} {case.name:28s} said {estimate:.3f} mm, moved {true:.3f} mm, ratio {true / estimate:.2f}",
            flush=True,
        )
    low, middle, high = np.percentile(ratios, (5, 50, 95))
    print(
        f"{len(ratios)} pairs: true / said has median {middle:.2f}, 90 % between {low:.2f} and {high:.2f}."
    )


if __name__ == "__main__":
    main()
