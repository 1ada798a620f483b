"""All GPU benchmarks in one command of at most eight minutes, with a report.

    python examples/benchmarks/gpu.py -o report.md
    python examples/benchmarks/gpu.py -o report.md --minutes 4 --only selftest,times
    python examples/benchmarks/gpu.py -o report.md --data MANIFEST --only peers

Parts, in this order: self-test; times of registrations on the GPU and the CPU; kernels at the finest level of a
head, with their memory traffic; batches; memory; FireANTs on the same pairs and card, if it is installed
(pip install fireants).  Each part has a share of the time, the report is written after each row, and omitted
parts are listed in it.  Images are enlarged phantoms with known maps; the last part uses heads of different people
from the MANIFEST of people.py if there is one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import checkout  # noqa: F401
import numpy as np
from budget import Item, Part, Report, Rows
from choices import comma_list, parser
from gpu_peers import peers
from gpu_times import times
from machine import cores, describe, summary
from synthetic import enlarged_pair

import varreg
from varreg.backends.cupy import selection
from varreg.backends.cupy.launch import Kernels
from varreg.selftest import report, running

SLICE, VOLUME = (224, 224), (240, 240, 155)
#: Launches of a kernel that are timed together.
LAUNCHES = 20


@dataclass
class Bench:
    """What the parts share.

    Attributes
    ----------
    device : int
    slice_, volume : tuple of int
        Shapes.
    pairs : int
        Of the batch.
    people : argparse.Namespace
        ``data`` (manifest of people.py or None), ``spacing``, ``limit``, ``threads`` and ``peer_python``.
    """

    device: int
    slice_: tuple[int, ...] = SLICE
    volume: tuple[int, ...] = VOLUME
    pairs: int = 256
    people: argparse.Namespace = field(default_factory=argparse.Namespace)
    images: dict[tuple[tuple[int, ...], bool], Any] = field(default_factory=dict)

    @property
    def backend(self) -> Any:
        return selection.device_backend(self.device)

    def pair(self, shape: tuple[int, ...], people: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """(moving, fixed) of one head, or of two people, whose cortex is folded differently."""
        if (shape, people) not in self.images:
            fixed, moving = enlarged_pair(shape)
            if people:
                moving = enlarged_pair(shape, seed=1)[1]
            self.images[shape, people] = moving, fixed
        return self.images[shape, people]

    def solve(
        self, shape: tuple[int, ...], backend: str, people: bool = False, **arguments: Any
    ) -> Any:
        return self.register(*self.pair(shape, people), backend, **arguments)

    def register(
        self, moving: np.ndarray, fixed: np.ndarray, backend: str, **arguments: Any
    ) -> Any:
        place: dict[str, Any] = dict(backend=backend, device=self.device, progress=False)
        return varreg.solve(moving, fixed, **place, **arguments)


def selftest(bench: Bench) -> Part:
    """Every case, twice."""
    outcomes: list[running.Outcome] = []

    def compared(case: Any) -> Rows:
        outcomes.extend(running.run(bench.backend, bench.device, [case]))
        return [[report.line(outcomes[-1])]]

    def text(rows: Rows) -> str:
        return "\n".join(
            ["```text", *(" ".join(row) for row in rows), report.verdict(outcomes), "```"]
        )

    def items() -> list[Item]:
        return [Item(str(case), partial(compared, case)) for case in running.all_cases()]

    return Part("selftest", str(selftest.__doc__), ("",), 0.25, items, text)


def kernels(bench: Bench) -> Part:
    """Each kernel of one evaluation with its gradient, alone, as often as it takes to be timed: the largest call of each.

    Bytes are those of its arrays, each moved once.
    """
    header = ("kernel", "calls", "microseconds", "MB", "GB/s")
    items = [Item("all kernels", partial(_kernel_rows, bench))]
    return Part("kernels", str(kernels.__doc__), header, 0.06, lambda: items)


def _kernel_rows(bench: Bench) -> Rows:
    found: dict[str, list[tuple[float, int]]] = {}
    launch = Kernels.launch

    def timed(self: Kernels, steps: Any, entries: Any) -> None:
        wait = bench.backend.cupy.cuda.Device(bench.device).synchronize
        launch(self, steps, entries)
        wait()
        begun = time.perf_counter()
        for _ in range(LAUNCHES):
            launch(self, steps, entries)
        wait()
        seconds = (time.perf_counter() - begun) / LAUNCHES
        arguments = [argument for step in steps for argument in step.arguments]
        found.setdefault(steps[0].name, []).append(
            (seconds, sum(getattr(a, "nbytes", 0) for a in arguments))
        )

    Kernels.launch = timed  # type: ignore[method-assign]
    try:
        bench.solve(bench.volume, "cupy", affine=None, deformable=True, iterations=1, levels=(1,))
    finally:
        Kernels.launch = launch  # type: ignore[method-assign]
    rows = []
    for name, calls in found.items():
        seconds, size = max(calls, key=lambda call: call[1])
        rows.append([name, str(len(calls)), f"{1e6 * seconds:.1f}", f"{size / 1e6:.1f}",
                     f"{size / seconds / 1e9:.0f}"])  # fmt: skip
    return rows


def batch(bench: Bench) -> Part:
    """Slices one after the other and shared out to threads, and whether their maps are the same."""
    maps: list[np.ndarray] = []

    def shared_out(threads: int) -> Rows:
        pairs = [enlarged_pair(bench.slice_, seed=k % 4)[::-1] for k in range(bench.pairs)]
        place: dict[str, Any] = dict(backend="cupy", device=bench.device, progress=False)
        begun = time.perf_counter()
        results = varreg.solve_batch(pairs, threads=threads, **place)
        seconds = time.perf_counter() - begun
        maps.append(np.stack([result.displacement for result in results]))
        return [[str(threads), f"{seconds:.2f}", f"{len(pairs) / seconds:.0f}",
                 "yes" if np.array_equal(maps[0], maps[-1]) else "NO"]]  # fmt: skip

    header = ("threads", "seconds", "pairs a second", "same bits as one by one")
    items = [Item(str(threads), partial(shared_out, threads)) for threads in (1, 4, 16, 32)]
    return Part("batch", str(batch.__doc__), header, 0.12, lambda: items)


def memory(bench: Bench) -> Part:
    """Device memory that one registration takes from CuPy's pool."""

    def most(shape: tuple[int, ...]) -> Rows:
        pool = bench.backend.cupy.get_default_memory_pool()
        pool.free_all_blocks()
        bench.solve(shape, "cupy", affine="affine", deformable=True)
        return [[" x ".join(map(str, shape)), f"{pool.total_bytes() / 1e6:.0f}"]]

    shapes = bench.slice_, bench.volume
    items = [Item(" x ".join(map(str, shape)), partial(most, shape)) for shape in shapes]
    return Part("memory", str(memory.__doc__), ("image", "most MB"), 0.03, lambda: items)


PARTS: dict[str, Callable[[Bench], Part]] = {
    "selftest": selftest, "times": times, "kernels": kernels, "batch": batch, "memory": memory,
    "peers": peers,
}  # fmt: skip


def run(
    bench: Bench, wanted: list[str], minutes: float, output: Path,
    now: Callable[[], float] = time.perf_counter,
) -> None:  # fmt: skip
    """The parts in their order, written after each row."""
    title = f"# {selection.identity(bench.device)}\n\n{summary(describe())}"
    written = Report(title, output, 60 * minutes, now)
    with written.ended_at_the_limit():
        written.add(PARTS[name](bench) for name in wanted)


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    commands = parser(__doc__)
    commands.add_argument("-o", "--output", type=Path, default=Path("gpu-report.md"))
    commands.add_argument("--device", type=int, default=0)
    commands.add_argument("--minutes", type=float, default=8.0, help="after which all is over")
    commands.add_argument("--only", type=comma_list, default=list(PARTS), metavar="PART,PART")
    commands.add_argument("--data", type=Path, metavar="MANIFEST", help="of people.py")
    commands.add_argument("--spacing", type=float, default=1.0, help="mm, of the people")
    commands.add_argument(
        "--limit", type=int, default=1, metavar="N", help="first N of their pairs"
    )
    commands.add_argument("--threads", type=int, default=cores(), help="of the peer")
    commands.add_argument(
        "--peer-python", default=sys.executable, metavar="FILE", help="that has it"
    )
    given = commands.parse_args(arguments)
    if unknown := set(given.only) - set(PARTS):
        commands.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    run(Bench(given.device, people=given), list(given.only), given.minutes, given.output)


if __name__ == "__main__":
    main()
