"""Run time of the network for one slice, compared with voxelmorph's U-Net of default size.

    python examples/benchmarks/learned_methods.py --voxelmorph-python vxm/bin/python

Both process the same 224 x 224 slices with the same number of threads, in sequence: first our
network, then voxelmorph's in a separate process, then ours again.  Times do not depend on weights,
so that without --model our network has the paper's size and is untrained.  voxelmorph requires a separate
environment: python -m venv vxm && vxm/bin/python -m pip install voxelmorph (its torch version, from 0.3).

``learned`` and ``learned_varreg`` are methods: (fixed, moving) -> displacement (d, *S) in voxels.
``python examples/benchmarks/accuracy.py learned learned+varreg varreg`` compares them with others.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from choices import parser, write_json
from machine import cores, describe, summary
from methods import Method
from peers import Array
from tables import markdown

SLICE = (224, 224)
REPEATS = 20
PACKAGES = ("torch", "safetensors")
Times = dict[str, float]


def learned(fixed: Array, moving: Array, threads: int | None = None, model: Any = None) -> Array:
    """One pass through the network `model` (a name, path or Registrar; None: the default one)."""
    return _prediction(fixed, moving, threads, model).displacement


def learned_varreg(
    fixed: Array, moving: Array, threads: int | None = None, model: Any = None
) -> Array:
    """The network's answer, refined by varreg."""
    start = _prediction(fixed, moving, threads, model)
    import varreg

    return varreg.solve(moving, fixed, start=start, threads=threads, progress=False).displacement


def learned_methods(model: Any = None) -> dict[str, Method]:
    """Both methods, with a network of choice."""
    runs: dict[str, Callable[..., Array]] = {"learned": learned, "learned+varreg": learned_varreg}
    return {name: Method(name, partial(run, model=model), PACKAGES) for name, run in runs.items()}


def learned_times(
    threads: int, model: Any = None, shape: tuple[int, ...] = SLICE, repeats: int = REPEATS
) -> Times:
    """Median seconds of the network alone, and of predict from two arrays to the warped image."""
    import checkout  # noqa: F401
    import torch
    from synthetic import enlarged_pair

    from learned.cascade import Cascade
    from learned.inference import Registrar, registrar

    if model is None:
        ready = Registrar(Cascade.build(shape=shape), shape, "untrained")
    else:
        ready = registrar(model)
    fixed, moving = enlarged_pair(shape)
    torch.set_num_threads(threads)
    images = torch.rand(2, 1, 1, *ready.shape)
    with torch.inference_mode():
        network = median_seconds(lambda: ready.network(*images), repeats)
    whole = median_seconds(lambda: ready.predict(moving, fixed, threads=threads), repeats)
    return {"network": network, "predict": whole}


def voxelmorph_times(python: str, threads: int) -> tuple[Times, str]:
    """Seconds of voxelmorph's U-Net by another interpreter, or none and the reason."""
    command = [
        python,
        str(Path(__file__).resolve()),
        "--only-voxelmorph",
        "--threads",
        str(threads),
    ]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return {}, f"voxelmorph is not installed there: cannot start {python} ({error.strerror})"
    if ended.returncode:
        messages = ended.stderr.strip().splitlines() or [
            f"its process ended with {ended.returncode}"
        ]
        return {}, messages[-1]
    found: Times = json.loads(ended.stdout.strip().splitlines()[-1])
    return found, ""


def time_voxelmorph(threads: int) -> Times:
    """Median seconds of voxelmorph's default pairwise network, displacement and warped image."""
    try:
        import torch
        from voxelmorph.nn.models import VxmPairwise
    except ImportError as error:
        sys.exit(f"voxelmorph is not installed there ({error}): pip install voxelmorph")
    torch.set_num_threads(threads)
    network = VxmPairwise(ndim=2, source_channels=1, target_channels=1).eval()
    images = torch.rand(2, 1, 1, *SLICE)
    with torch.inference_mode():
        seconds = median_seconds(lambda: network(*images, return_warped_source=True), REPEATS)
    return {"network": seconds, "parameters": sum(p.numel() for p in network.parameters())}


def median_seconds(work: Callable[[], Any], repeats: int) -> float:
    """After one call that warms up."""
    work()
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return float(np.median(found))


def _prediction(fixed: Array, moving: Array, threads: int | None, model: Any) -> Any:
    import checkout  # noqa: F401

    import learned as package

    chosen = {} if model is None else {"model": model}
    return package.predict(moving, fixed, threads=threads, **chosen)


def main() -> int:
    """Measure both, print a table."""
    arguments = parser(__doc__)
    arguments.add_argument("--model", metavar="NAME|FILE", help="a trained network")
    arguments.add_argument("--threads", type=int, default=cores(), help="[default: all cores]")
    arguments.add_argument(
        "--voxelmorph-python", default=sys.executable, metavar="FILE",
        help="interpreter that has voxelmorph [default: this one]",
    )  # fmt: skip
    arguments.add_argument("--json", type=Path, metavar="FILE", help="write all numbers here too")
    # how this script calls itself in the other environment
    arguments.add_argument("--only-voxelmorph", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.only_voxelmorph:
        print(json.dumps(time_voxelmorph(given.threads)))
        return 0
    before = learned_times(given.threads, given.model)
    theirs, reason = voxelmorph_times(given.voxelmorph_python, given.threads)
    after = learned_times(given.threads, given.model)
    machine = {**describe(), "threads": given.threads}
    print(f"{summary(machine)}\n\n{_table(before, theirs, after)}\n\n{reason}".rstrip())
    times = {"before": before, "after": after, "voxelmorph": theirs, "reason": reason}
    write_json(given.json, {"machine": machine, "times": times})
    return 0


def _table(before: Times, theirs: Times, after: Times) -> str:
    """Milliseconds per slice; the two of ours are those before and after voxelmorph's."""
    rows = [
        [f"learned, {name}", f"{1e3 * before[name]:.1f}", f"{1e3 * after[name]:.1f}"]
        for name in before
    ]
    if theirs:
        rows.append(["voxelmorph, network", f"{1e3 * theirs['network']:.1f}", ""])
    return markdown(("224 x 224, ms per slice", "first", "again"), rows)


if __name__ == "__main__":
    sys.exit(main())
