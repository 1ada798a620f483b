"""Profile of the run time: iterations, stages, scaling, threads, memory, start-up.

    python examples/benchmarks/speed.py --only iterations,stages,start
    python examples/benchmarks/speed.py --data MANIFEST --json speed.json

Images are enlarged phantoms; with --data the volume and the slice are those of the first pair.
"""

from __future__ import annotations

import inspect
import itertools
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from choices import comma_list, parser, write_json
from end_to_end import CUBES, by_threads, scaling, spread
from level_times import level_times
from machine import cores, describe, summary, triad_lines, triads
from pairs import manifest_pairs
from processes import peak_memory, starting_times
from synthetic import enlarged_pair
from tables import markdown

SLICE, VOLUME = (224, 224), (240, 240, 155)


class Bench:
    """The images and the memory triad, made when first needed, and the sizes asked for."""

    def __init__(self, data: Path | None, cubes: tuple[int, ...], volume: bool) -> None:
        self.data, self.cubes, self.with_volume = data, cubes, volume

    @cached_property
    def triad(self) -> dict[int, dict[str, float]]:
        """Threads -> triad."""
        return triads()

    @cached_property
    def slices(self) -> tuple[np.ndarray, np.ndarray]:
        """(fixed, moving) in 2D."""
        return self._pair(SLICE)

    @cached_property
    def volumes(self) -> tuple[np.ndarray, np.ndarray]:
        """(fixed, moving) in 3D."""
        return self._pair(VOLUME)

    @property
    def images(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The slice and, unless it was left out, the volume."""
        return [self.slices, self.volumes] if self.with_volume else [self.slices]

    def _pair(self, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        if self.data is None:
            return enlarged_pair(shape)
        pair = next(manifest_pairs(self.data, len(shape), affine=True, limit=1))
        return pair.fixed, pair.moving


def iterations(bench: Bench) -> tuple[Any, str]:
    """One evaluation and one gradient per level, in ms, and the ratio of both to the memory triad."""
    found = []
    for (fixed, moving), threads in itertools.product(bench.images, bench.triad):
        found += level_times(fixed, moving, threads, bench.triad[threads]["gb_per_s"])
    header = ("level", "threads", "evaluation", "gradient", "both", "whole", "both / triad")
    rows = [
        [
            named(row["shape"]),
            str(row["threads"]),
            f"{row['evaluation']:.2f}",
            f"{row['gradient']:.2f}",
            f"{row['evaluation'] + row['gradient']:.2f}",
            f"{row['whole']:.2f}",
            f"{row['triads']:.2f}",
        ]
        for row in found
    ]
    return {"triad": bench.triad, "levels": found}, (
        f"{triad_lines(bench.triad)}\n\n{markdown(header, rows)}"
    )


def stages(bench: Bench) -> tuple[Any, str]:
    """Seconds of a registration with the default options, by stage."""
    found = [by_threads(*images, [cores()])[cores()] for images in bench.images]
    header = ("image", *found[0])
    rows = [
        [named(images[0].shape), *(f"{s:.3f}" for s in seconds.values())]
        for images, seconds in zip(bench.images, found, strict=True)
    ]
    return found, markdown(header, rows)


def threads(bench: Bench) -> tuple[Any, str]:
    """Seconds of a registration with one thread and with all threads."""
    counts = sorted({1, cores()})
    found = [by_threads(*images, counts) for images in bench.images]
    header = ("image", *(f"{n} thread{'s' * (n > 1)}" for n in counts), "speed-up")
    rows = []
    for images, measured in zip(bench.images, found, strict=True):
        totals = [measured[count]["total"] for count in counts]
        times = [f"{total:.3f}" for total in totals]
        rows.append([named(images[0].shape), *times, f"{totals[0] / totals[-1]:.2f}"])
    return found, markdown(header, rows)


def sizes(bench: Bench) -> tuple[Any, str]:
    """Seconds per million voxels of cubes: one iteration at full resolution and the deformable stage
    (10 iterations per level, every row compared), and a registration with the default options."""
    found = scaling(bench.cubes, cores())
    keys = ("iteration", "deformable", "whole")
    rows = [
        [f"{row['size']}^3", *(f"{row[key]:.4f}" for key in keys), f"{row['whole_seconds']:.2f}"]
        for row in found
    ]
    rows.append(["spread (%)", *(f"{spread([r[key] for r in found]):.0f}" for key in keys), ""])
    return found, markdown(("cube", *keys, "whole (s)"), rows)


def memory(bench: Bench) -> tuple[Any, str]:
    """Peak memory of a process that registers one pair, in MB and in float32 images."""
    fixed, moving = bench.images[-1]
    found, size = peak_memory(fixed, moving), fixed.nbytes / 1e6
    rows = [[name, f"{mb:.0f}", f"{mb / size:.1f}"] for name, mb in found.items()]
    return found, markdown((named(fixed.shape), "MB", "images"), rows)


def start(bench: Bench) -> tuple[Any, str]:
    """Seconds until the first result, in new processes."""
    found = starting_times(*bench.slices)
    return found, markdown(("2D", "s"), [[name, f"{s:.3f}"] for name, s in found.items()])


PARTS: dict[str, Callable[[Bench], tuple[Any, str]]] = {
    "iterations": iterations,
    "stages": stages,
    "threads": threads,
    "scaling": sizes,
    "memory": memory,
    "start": start,
}


def named(shape: tuple[int, ...]) -> str:
    """(224, 224) -> '224 x 224'."""
    return " x ".join(map(str, shape))


def main() -> int:
    """Measure the parts that were asked for, print their tables."""
    arguments = parser(__doc__)
    arguments.add_argument("--only", type=comma_list, default=list(PARTS), metavar="PART,PART",
                           help=", ".join(PARTS))  # fmt: skip
    arguments.add_argument("--data", type=Path, metavar="MANIFEST", help="real heads")
    arguments.add_argument("--cubes", type=comma_list, help="sizes for the scaling [128,...,384]")
    arguments.add_argument("--no-volume", action="store_true", help="the slice only: seconds")
    arguments.add_argument("--json", type=Path, metavar="FILE", help="write all numbers here too")
    given = arguments.parse_args()
    unknown = set(given.only) - set(PARTS)
    if unknown:
        arguments.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    cubes = tuple(map(int, given.cubes)) if given.cubes else CUBES
    bench, found = Bench(given.data, cubes, not given.no_volume), {"machine": describe()}
    print(summary(found["machine"]))
    for name in given.only:
        found[name], table = PARTS[name](bench)
        print(f"\n## {name}\n\n{inspect.getdoc(PARTS[name])}\n\n{table}", flush=True)
    write_json(given.json, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
