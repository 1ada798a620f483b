"""Everything that only a GPU can show, in one command of at most eight minutes that writes its own report.

    python examples/benchmarks/gpu.py -o report.md
    python examples/benchmarks/gpu.py -o report.md --minutes 4 --only selftest,times

Parts, in this order: the self-test; times of registrations, of a GPU and of the CPU; kernels at the finest level of a
head, with the bytes that they must move; batches; memory. The report is written after each part, and a part that would
begin after the time is over is left out and named. Images are enlarged phantoms.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import checkout  # noqa: F401
import numpy as np
from choices import comma_list, parser
from machine import describe, summary
from synthetic import enlarged_pair
from tables import markdown

import varreg
from varreg.backends.cupy import selection
from varreg.backends.cupy.launch import Kernels
from varreg.selftest import report, running

SLICE, VOLUME = (224, 224), (240, 240, 155)
#: Seconds for the repeats of one registration, and launches of a kernel that are timed together.
SECONDS, LAUNCHES = 5.0, 20


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
    """

    device: int
    slice_: tuple[int, ...] = SLICE
    volume: tuple[int, ...] = VOLUME
    pairs: int = 256
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
        place: dict[str, Any] = dict(backend=backend, device=self.device, progress=False)
        return varreg.solve(*self.pair(shape, people), **place, **arguments)


def selftest(bench: Bench) -> str:
    """Forty-eight cases, twice each."""
    outcomes = running.run(bench.backend, bench.device)
    return (
        "```text\n" + "\n".join([*map(report.line, outcomes), report.verdict(outcomes)]) + "\n```"
    )


def times(bench: Bench) -> str:
    """Registrations on the GPU and on the CPU, the median of what fits into some seconds."""
    head = dict(affine="affine", deformable=True, preset="accurate")
    fine = dict(people=True, affine="affine", deformable=True, regularity="fine", iterations=10)
    cases: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
        ("slice, defaults", bench.slice_, {}),
        ("head, defaults", bench.volume, {}),
        ("slice, preset paper", bench.slice_, dict(preset="paper")),
        ("head, preset paper", bench.volume, dict(preset="paper", iterations=10)),
        ("head, preset accurate", bench.volume, head),
        ("heads of two people, fine", bench.volume, fine),
    ]
    rows = []
    for name, shape, arguments in cases:
        found = {b: _median(partial(bench.solve, shape, b, **arguments)) for b in ("cupy", "numba")}
        results = [bench.solve(shape, b, **arguments) for b in found]
        apart = np.linalg.norm(results[0].displacement - results[1].displacement, axis=0)
        rows.append(
            [name, *(f"{seconds:.3f}" for seconds in found.values()),
             f"{found['numba'] / found['cupy']:.1f}", f"{apart.mean():.3f}"]
        )  # fmt: skip
    return markdown(("registration", "GPU (s)", "CPU (s)", "times faster", "apart (voxels)"), rows)


def kernels(bench: Bench) -> str:
    """Each kernel of one evaluation with its gradient, alone, as often as it takes to be timed."""
    found: dict[str, list[tuple[float, int]]] = {}
    launch = Kernels.launch

    def timed(self: Kernels, name: str, blocks: int, *arguments: Any, **sizes: Any) -> None:
        wait = bench.backend.cupy.cuda.Device(bench.device).synchronize
        launch(self, name, blocks, *arguments, **sizes)
        wait()
        begun = time.perf_counter()
        for _ in range(LAUNCHES):
            launch(self, name, blocks, *arguments, **sizes)
        wait()
        seconds = (time.perf_counter() - begun) / LAUNCHES
        found.setdefault(name, []).append(
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
    said = "The largest call of each kernel; bytes are those of its arrays, each moved once.\n\n"
    header = ("kernel", "calls", "microseconds", "MB", "GB/s")
    return said + markdown(header, rows)


def batch(bench: Bench) -> str:
    """Slices one after the other and shared out to threads, and whether their maps are the same."""
    pairs = [enlarged_pair(bench.slice_, seed=k % 4)[::-1] for k in range(bench.pairs)]
    place: dict[str, Any] = dict(backend="cupy", device=bench.device, progress=False)
    rows, maps = [], []
    for threads in (1, 2, 4, 8):
        begun = time.perf_counter()
        results = varreg.solve_batch(pairs, threads=threads, **place)
        seconds = time.perf_counter() - begun
        maps.append(np.stack([result.displacement for result in results]))
        rows.append([str(threads), f"{seconds:.2f}", f"{len(pairs) / seconds:.0f}",
                     "yes" if np.array_equal(maps[0], maps[-1]) else "NO"])  # fmt: skip
    return markdown(("threads", "seconds", "pairs a second", "same bits as one by one"), rows)


def memory(bench: Bench) -> str:
    """Device memory that one registration takes from CuPy's pool."""
    pool, rows = bench.backend.cupy.get_default_memory_pool(), []
    for shape in (bench.slice_, bench.volume):
        pool.free_all_blocks()
        bench.solve(shape, "cupy", affine="affine", deformable=True)
        rows.append([" x ".join(map(str, shape)), f"{pool.total_bytes() / 1e6:.0f}"])
    return markdown(("image", "most MB"), rows)


PARTS: dict[str, Callable[[Bench], str]] = {
    "selftest": selftest, "times": times, "kernels": kernels, "batch": batch, "memory": memory,
}  # fmt: skip


def _median(compute: Callable[[], Any]) -> float:
    """Seconds; the first run, which may compile, does not count."""
    compute()
    found: list[float] = []
    while not found or (sum(found) < SECONDS and len(found) < 5):
        begun = time.perf_counter()
        compute()
        found.append(time.perf_counter() - begun)
    return statistics.median(found)


def run(bench: Bench, wanted: list[str], minutes: float, output: Path) -> None:
    """The parts in their order, written after each."""
    begun = time.perf_counter()
    title = f"# {selection.identity(bench.device)}\n\n{summary(describe())}"
    sections = [title]
    for name in wanted:
        left = 60 * minutes - (time.perf_counter() - begun)
        if left <= 0:
            sections.append(f"## {name}\n\nLeft out: the time was over.")
        else:
            part = time.perf_counter()
            try:
                text = PARTS[name](bench)
            except Exception as error:  # a report of what failed is worth more than none
                text = f"FAILED: {type(error).__name__}: {error}"
            said = f"{(PARTS[name].__doc__ or '').strip()} ({time.perf_counter() - part:.0f} s)"
            sections.append(f"## {name}\n\n{said}\n\n{text}")
        output.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
        sys.stdout.write(f"{sections[-1]}\n\n")


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    commands = parser(__doc__)
    commands.add_argument("-o", "--output", type=Path, default=Path("gpu-report.md"))
    commands.add_argument("--device", type=int, default=0)
    commands.add_argument("--minutes", type=float, default=6.0, help="after which no part begins")
    commands.add_argument("--only", type=comma_list, default=list(PARTS), metavar="PART,PART")
    given = commands.parse_args(arguments)
    run(Bench(given.device), list(given.only), given.minutes, given.output)


if __name__ == "__main__":
    main()
