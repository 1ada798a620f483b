"""A network on images much larger than in its training: as a whole, or in windows.

    python examples/benchmarks/windows.py --model brain-2d --times 2

Pairs of synthesised phantoms, larger than in training by a given factor along each axis, warped by a known random map.
The network is applied to the whole images; and to windows of its training size, which overlap by half and are averaged
with Gaussian weights (``monai.inferers.sliding_window_inference``).  A row: mean and worst error in voxels, share of
folded cells, seconds per pair.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from choices import parser, write_json
from tables import markdown

MOTIONS = {"small": (2.0, 0.01, 0.01), "medium": (5.0, 0.03, 0.03), "large": (10.0, 0.06, 0.06)}


def pairs(shape: tuple[int, ...], motion: str, count: int) -> Any:
    """Phantoms moved by at most a turn (degrees), a shift and a bend (shares of the extent)."""
    from learned.data.datasets import PairDataset
    from learned.data.painted_sources import PhantomSource
    from learned.data.random_maps import WarpRanges

    turn, shift, bend = MOTIONS[motion]
    warp = WarpRanges(turn, (1 - shift, 1 + shift), 0.0, shift, bend, mild=0.0)
    source = PhantomSource(range(1000, 1000 + count), shape, mosaics=0.0)
    return PairDataset([(source, 1.0)], length=count, seed=7, warp=warp)


def ways(registrar: Any) -> dict[str, Callable[[Any, Any], Any]]:
    """What takes two images (1, 1, *S) and gives the displacement (1, d, *S)."""
    import torch
    from monai.inferers import sliding_window_inference

    network = registrar.network

    def whole(moving: Any, fixed: Any) -> Any:
        return network(moving, fixed).total

    def windows(moving: Any, fixed: Any) -> Any:
        return sliding_window_inference(
            torch.cat((moving, fixed), 1), registrar.shape, 4,
            lambda both: whole(both[:, :1], both[:, 1:]), overlap=0.5, mode="gaussian",
        )  # fmt: skip

    return {"nothing": lambda moving, _: torch.zeros(1, moving.ndim - 2, *moving.shape[2:]),
            "whole": whole, "windows": windows}  # fmt: skip


def measured(registrar: Any, times: float, motion: str, count: int) -> list[dict[str, Any]]:
    """The rows of one kind of motion."""
    import torch

    from learned.inverse import fold_fraction
    from learned.validation import target_registration_error

    shape = tuple(round(times * n) for n in registrar.shape)
    found, dataset = [], pairs(shape, motion, count)
    for name, way in ways(registrar).items():
        errors, folds, seconds = [], [], []
        for k in range(count):
            pair = dataset[k]
            begun = time.perf_counter()
            with torch.inference_mode():
                total = way(pair.moving[None], pair.fixed[None])
            seconds.append(time.perf_counter() - begun)
            error = target_registration_error(total, pair.truth[None], pair.visible[None])
            errors.append(float(error))
            folds.append(float(fold_fraction(total)))
        print(f"{motion}, {name}: {sum(errors) / count:.2f} voxels", file=sys.stderr)
        found.append(
            {"motion": motion, "way": name, "error": sum(errors) / count, "worst": max(errors),
             "folds": 100 * sum(folds) / count, "seconds": sorted(seconds)[count // 2]}
        )  # fmt: skip
    return found


def main() -> None:
    """Measure and print."""
    arguments = parser(__doc__)
    arguments.add_argument("--model", default="brain-2d", help="a name or a file")
    arguments.add_argument("--times", type=float, default=2.0, help="as large as in training")
    arguments.add_argument(
        "--limit", type=int, default=12, metavar="N", help="pairs of each motion"
    )
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--json", type=Path, metavar="FILE")
    given = arguments.parse_args()
    import checkout  # noqa: F401
    import torch

    from learned.inference import load

    torch.set_num_threads(given.threads)
    registrar = load(given.model)
    if registrar.trained_spacing is None:
        sys.exit(f"{given.model} takes images of its own size only")
    rows = [r for motion in MOTIONS for r in measured(registrar, given.times, motion, given.limit)]
    header = ("motion", "network sees", "error", "worst", "folds (%)", "s")
    cells = [
        [r["motion"], r["way"], *(f"{r[k]:.2f}" for k in ("error", "worst", "folds", "seconds"))]
        for r in rows
    ]
    print(markdown(header, cells))
    write_json(given.json, {"rows": rows})


if __name__ == "__main__":
    main()
