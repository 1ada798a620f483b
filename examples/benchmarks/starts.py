"""Ablation of the preparation of a start in ``varreg.solve(start=map)``.

    python examples/benchmarks/starts.py truth rough folding
    python examples/benchmarks/starts.py --data MANIFEST --subjects ms07,ms19 --affine --seed 11 --seed 12

Each start is refined with all steps, and with one step replaced (start_parts.py).  The starts are those of
refine.py (``truth``, ``half``, ``learned``, every peer in a separate process), and

* ``field``: the displacement of ``half`` as an array, without its origin
* ``rough``: the true map plus smooth noise
* ``folding``: the true map with five folds
* ``other``: the true map of the next pair
* ``torn``: the true map plus white noise that folds everywhere

--maps FOLDER stores the maps of peers, for another run on the same pairs.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
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
from numpy.typing import NDArray
from pairs import Pair, scores
from peers import PEERS
from refine import half, learned, peer_displacements, result, truth
from scipy.ndimage import gaussian_filter
from start_parts import FULL, PARTS, without
from tables import markdown

Array = NDArray[Any]
#: Of ``rough``: root mean square of a component, and width of its Gaussian, voxels.
NOISE, WIDTH = 0.7, 2.0
#: Of ``torn``: root mean square of a component, voxels.
TEARS = 3.0
#: Of ``folding``: places, height and width of each bump, voxels.
PLACES, HEIGHT, BUMP = 5, 16.0, 6.0
DEFAULT_STARTS = ["truth", "rough", "folding", "half", "field", "other"]


def field(pair: Pair, threads: int) -> Array:
    """The displacement of varreg with half the iterations."""
    return np.asarray(half(pair, threads).displacement)


def rough(pair: Pair, threads: int) -> Array:
    """The true map and smooth noise."""
    noise = np.random.default_rng(0).normal(size=pair.displacement.shape)
    smooth = np.stack([gaussian_filter(component, WIDTH) for component in noise])
    return pair.displacement + NOISE * smooth / smooth.std()


def folding(pair: Pair, threads: int) -> Array:
    """The true map and places where it turns over."""
    rng, found = np.random.default_rng(0), pair.displacement.astype(float)
    inside, grid = np.argwhere(pair.mask), np.indices(pair.mask.shape)
    for place in inside[rng.choice(len(inside), PLACES, replace=False)]:
        column = place.reshape((-1,) + (1,) * pair.mask.ndim)
        bump = HEIGHT * np.exp(-0.5 * np.square((grid - column) / BUMP).sum(0))
        found[rng.integers(pair.mask.ndim)] += bump
    return found


def torn(pair: Pair, threads: int) -> Array:
    """The true map and white noise."""
    noise = np.random.default_rng(0).normal(size=pair.displacement.shape)
    return pair.displacement + TEARS * noise


def starts(name: str, pairs: list[Pair], given: Any) -> list[Any]:
    """A start of each pair."""
    known: dict[str, Callable[[Pair, int], Any]] = {
        "truth": truth, "half": half, "result": result, "field": field, "rough": rough,
        "folding": folding, "learned": partial(learned, model=given.model),
        "torn": torn,
    }  # fmt: skip
    if name == "other":
        return [pairs[(k + 1) % len(pairs)].displacement for k in range(len(pairs))]
    if name in known:
        return [known[name](pair, given.threads) for pair in pairs]
    if name not in PEERS:
        raise SystemExit(f"no start {name}; there are {', '.join([*known, 'other', *PEERS])}")
    return kept_peer(name, pairs, given)


def kept_peer(name: str, pairs: list[Pair], given: Any) -> list[Array]:
    """What a peer finds, or has found in an earlier run."""
    if given.maps is None:
        return list(peer_displacements(name, pairs, given.threads, given.peer_python))
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(pair.fixed.tobytes() + pair.moving.tobytes())
    file = given.maps / f"{name}-{digest.hexdigest()[:16]}.npz"
    if not file.exists():
        given.maps.mkdir(parents=True, exist_ok=True)
        np.savez(file, *peer_displacements(name, pairs, given.threads, given.peer_python))
    with np.load(file) as saved:
        return [saved[f"arr_{k}"] for k in range(len(pairs))]


def refined(pair: Pair, start: Any, given: Any) -> dict[str, Any]:
    """One registration."""
    import varreg

    begun = time.perf_counter()
    found = varreg.solve(
        pair.moving, pair.fixed, start=start, preset=given.preset, threads=given.threads,
        progress=False,
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    start_report = found.start
    deformable = [level.level for level in found.levels if level.stage == "deformable"]
    return {
        **scores(pair, found.displacement),
        "energy": found.energy.total,
        "seconds": seconds,
        "first": deformable[0],
        "instead": None if start_report is None else start_report.instead,
        "folded": start_report is not None and start_report.smallest_determinant <= 0,
        "unfolded": start_report is not None and start_report.unfolding is not None,
    }


def measured(pair: Pair, start: Any, given: Any) -> dict[str, Any]:
    """Cold, and from the start by each part: the fastest of a few runs in turn."""
    runs: dict[str, list[dict[str, Any]]] = {"cold": [], **{part: [] for part in PARTS}}
    for _ in range(given.repeats):
        runs["cold"].append(refined(pair, None, given))
        for part in PARTS:
            with without(part):
                runs[part].append(refined(pair, start, given))
    return {
        name: {**found[0], "seconds": min(run["seconds"] for run in found)}
        for name, found in runs.items()
    }


def measured_on_all(name: str, pairs: list[Pair], given: Any) -> dict[str, Any]:
    """A start on every pair."""
    rows, errors = [], []
    for pair, start in zip(pairs, starts(name, pairs, given), strict=True):
        displacement = np.asarray(getattr(start, "displacement", start))
        errors.append(scores(pair, displacement)["tre"])
        rows.append({"pair": pair.name, **measured(pair, start, given)})
    return {"start": name, "tre": float(np.mean(errors)), "pairs": rows}


def table(measurements: list[Any]) -> str:
    """One row per start and way; errors, energy and time against everything and a cold start."""
    header = ("start", "way", "TRE", "p95", "worst", "energy - full", "s / full", "s / cold")
    rows = []
    for entry in measurements:
        title = f"{entry['start']} ({entry['tre']:.2f})"
        for way in ("cold", *PARTS):
            of, full, cold = (
                {key: np.array([row[name][key] for row in entry["pairs"]], float)
                 for key in ("tre", "p95", "energy", "seconds")}
                for name in (way, FULL, "cold")
            )  # fmt: skip
            rows.append(
                [title, way, f"{of['tre'].mean():.3f}", f"{of['p95'].mean():.3f}",
                 f"{of['tre'].max():.3f}", f"{(of['energy'] - full['energy']).mean():+.4f}",
                 f"{np.median(of['seconds'] / full['seconds']):.2f}",
                 f"{np.median(of['seconds'] / cold['seconds']):.2f}"]
            )  # fmt: skip
            title = ""
    return markdown(header, rows)


def main() -> int:
    """Refine every start in every way, print the table."""
    arguments = parser(__doc__)
    arguments.add_argument("starts", nargs="*", default=DEFAULT_STARTS, metavar="START")
    arguments.add_argument("--model", help="network for `learned`, a name or a path")
    arguments.add_argument("--maps", type=Path, metavar="FOLDER", help="of what peers have found")
    arguments.add_argument(
        "--repeats", type=int, default=3, help="runs, of which the fastest counts"
    )
    arguments.add_argument("--preset", default="default", help="of the refinement")
    add_pairs(arguments)
    add_runs(arguments)
    given = arguments.parse_args()
    import checkout  # noqa: F401

    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(given.threads)  # of the peers
    pairs = chosen_pairs(given)
    refined(pairs[0], None, given)  # loads and compiles everything
    machine, described = describe(), describe_pairs(given, pairs)
    measurements: list[Any] = []
    for name in given.starts:
        measurements.append(measured_on_all(name, pairs, given))
        content = {"machine": machine, "pairs": described, "starts": measurements}
        write_json(given.json, content)  # what there is of a long run
        print(f"{name}: done", file=sys.stderr)
    print(f"{summary(machine)}\n{pairs_line(described)}, {given.threads} threads\n")
    print(table(measurements))
    print("\nTRE in voxels, of the start in brackets; times are medians over pairs.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
