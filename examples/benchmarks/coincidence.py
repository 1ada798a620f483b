"""Thresholds of gain and motion that distinguish a rigid map from correct headers.

    python examples/benchmarks/coincidence.py --data DATA [--set limits] [--only 2D,3D,1mm] [--threads 1]

Two contrasts of one head, one of them warped by a rigid map of known size: from 0, where the images coincide, to 1
voxel (root mean square over the head).  T1 with T2, FLAIR and T1 with contrast agent, if available, and T2 with T1;
three slices (2D), volumes at 2 mm (3D) and at original resolution (1mm).  Every pair is registered by a rigid map
only; its gain and the motion of the head determine whether the headers are kept instead.  The limits were chosen on
the heads of ``--set limits``.

One table per part, one row per motion: mean error in voxels (root mean square over the head) of the rigid map, and
the error if each rule keeps the headers; in parentheses the number of pairs for which it does.  Gain: of the rigid map,
as a share of the energy, smallest and largest.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import checkout  # noqa: F401
import numpy as np
from known_cases import HEADS, Array, image, reduced
from known_maps import about
from pairs import read_volume
from scipy import linalg, ndimage
from tables import markdown

import varreg
from varreg.backends.numba import backend
from varreg.initial.simplest_affine import moved, share_gained
from varreg.optimise.model_choice import LEAST_MOTION
from varreg.options.options import Options
from varreg.stages.levels import affine_energy
from varreg.stages.preparation import prepared

#: Size of the motion, voxels.
MOTIONS = (0.0, 0.1, 0.2, 0.35, 0.5, 1.0)
#: Keys of the manifest, and which of them are registered: fixed, moving.
CONTRASTS = ("T1", "T2", "FLAIR", "T1c")
COUPLES = ((0, 1), (0, 2), (0, 3), (1, 0))
#: Dimension of each part, and over cubes of how many voxels its volumes are averaged.
PARTS = {"2D": (2, 1), "3D": (3, 2), "1mm": (3, 1)}
#: Where slices lie, percent of the volume.
LEVELS = (40, 55, 70)
#: Points of the head at which errors are measured, and the intensity of the head there.
POINTS, HEAD = 2000, 0.1
#: Turn that comes with a shift of one voxel, standard deviation about each axis, radians.
TURN = 0.5 / 60
#: Rules that keep the headers, by the gain of a rigid map (share of the energy) and how far it moves the head (voxels).
RULES: dict[str, Callable[[float, float], bool]] = {
    "rigid": lambda gain, motion: gain <= 0,
    "2 %": lambda gain, motion: gain <= 0.02 and motion < LEAST_MOTION,
    "4 %": lambda gain, motion: gain <= 0.04 and motion < LEAST_MOTION,
    "only half a voxel": lambda gain, motion: motion < LEAST_MOTION,
}


class Couple(NamedTuple):
    """Two contrasts that coincide; volumes are to be averaged over cubes of `cube` voxels."""

    fixed: Array
    moving: Array
    cube: int
    seed: tuple[int, ...]


class Found(NamedTuple):
    """Errors of the rigid map and of the headers, and what the map gains and moves (voxels)."""

    rigid: float
    headers: float
    gain: float
    motion: float


def couples(data: Path, which: str, part: str) -> Iterator[Couple]:
    dimension, cube = PARTS[part]
    for head in HEADS[which]:
        shown = contrasts(data, head)
        for (a, b), level in itertools.product(COUPLES, LEVELS if dimension == 2 else (0,)):
            if a not in shown or b not in shown:
                continue
            cut = round(level / 100 * shown[a].shape[2]) if dimension == 2 else slice(None)
            seed = (1, sum(map(ord, head)), b, dimension, cube, level)
            yield Couple(shown[a][:, :, cut], shown[b][:, :, cut], cube, seed)


def contrasts(data: Path, head: str) -> dict[int, Array]:
    entry = next(e for e in json.loads((data / "manifest.json").read_text()) if e["id"] == head)
    return {k: read_volume(data / entry[key]) for k, key in enumerate(CONTRASTS) if key in entry}


def rigid_map(size: float, points: Array, rng: np.random.Generator) -> Array:
    """A random turn and shift that move the points by `size`, root mean square."""
    d = points.shape[1]
    skew = np.zeros((d, d))
    skew[np.triu_indices(d, 1)] = -TURN * rng.standard_normal(d * (d - 1) // 2)
    skew, shift = skew - skew.T, rng.standard_normal(d)
    shift /= np.linalg.norm(shift)
    share = size
    for _ in range(20 if size else 0):
        matrix = about(linalg.expm(share * skew), share * shift, points.mean(0))
        share *= size / distance(applied(matrix, points), points)
    return about(linalg.expm(share * skew), share * shift, points.mean(0))


def applied(matrix: Array, points: Array) -> Array:
    return points @ matrix[:-1, :-1].T + matrix[:-1, -1]


def distance(points: Array, others: Array) -> float:
    return float(np.sqrt(np.square(points - others).sum(1).mean()))


def measured(couple: Couple, size: float, threads: int) -> Found:
    """The moving image through a map of a given size (voxels of the images registered), and what is found."""
    fixed, moving, cube, seed = couple
    rng = np.random.default_rng(list(seed))
    at = rng.choice(np.argwhere(fixed > HEAD), POINTS, replace=False).astype(float)
    matrix = rigid_map(size * cube, at, rng)
    if size:
        back = np.linalg.inv(matrix)
        moving = ndimage.affine_transform(
            moving, back[:-1, :-1], back[:-1, -1], order=3, mode="nearest"
        )
    shown = [image(reduced(np.maximum(a, 0), cube), cube) for a in (moving, fixed)]
    # the first of the averaged voxels lies in the middle of its cube
    first = (cube - 1) / 2
    answer, at = applied(matrix, at) - first, at - first
    rigid = varreg.solve(*shown, affine="rigid", deformable=False, threads=threads, progress=False)
    errors = [distance(points, answer) / cube for points in (np.asarray(rigid.points(at)), at)]
    gain, motion = judged(*shown, rigid.affine, threads)
    return Found(*errors, gain, motion / cube)


def judged(moving: Any, fixed: Any, matrix: Array, threads: int) -> tuple[float, float]:
    """What a rigid map gains over the headers (share of the energy) and moves the head (mm), as solve compares them."""
    options = Options().for_dimension(fixed.ndim)
    problem = prepared(moving, fixed, None, None, options, backend, threads)
    energies = [affine_energy(problem, m, True).total for m in (np.eye(len(matrix)), matrix)]
    return share_gained(*energies), moved(problem, matrix)


def row(size: float, found: list[Found]) -> list[str]:
    cells = [f"{size:g}", str(len(found))]
    for keeps in RULES.values():
        kept = [keeps(one.gain, one.motion) for one in found]
        errors = [one.headers if k else one.rigid for one, k in zip(found, kept, strict=True)]
        cells.append(f"{np.mean(errors):.2f} ({sum(kept)})")
    gains = [100 * one.gain for one in found]
    return [*cells, f"{min(gains):.1f} - {max(gains):.1f} %"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", choices=sorted(HEADS), default="report")
    parser.add_argument("--only", default="2D,3D", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--motions", default=",".join(f"{m:g}" for m in MOTIONS))
    parser.add_argument("--limit", type=int, help="only the first pairs of every part")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    sizes = [float(size) for size in args.motions.split(",")]
    for part in args.only.split(","):
        found: dict[float, list[Found]] = {size: [] for size in sizes}
        for couple in itertools.islice(couples(args.data, args.set, part), args.limit):
            for size in sizes:
                found[size].append(measured(couple, size, args.threads))
        head = ["motion, voxels", f"{part}: pairs", *RULES, "gain"]
        print(markdown(head, [row(size, some) for size, some in found.items()]) + "\n")


if __name__ == "__main__":
    main()
