"""Automatic model choice of varreg.solve, compared with the true model.

    python examples/benchmarks/model_choice.py --data DATA [--set report] [--only 2D,3D,thick] [--threads 1]

T1 and T2 of one head, the T2 warped by a known random map: rigid, affine, or with a deformation of given
root-mean-square size on top of a rigid map; also with noise, unwarped (coinciding), and resampled to thick slices, of
different orientation in each contrast.  Every pair is registered by a rigid map only, by an affine map and a deformation,
and with the defaults.  The limits were chosen on the heads of ``--set limits``; ``report`` holds others.

One row per kind: errors in voxels (thick slices: mm), mean over pairs of the mean over the head, and 95th percentile over
all points; the choice by default; the gain of a deformation over its affine part, as a share of the energy, smallest and
largest.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import checkout  # noqa: F401
import numpy as np
from known_cases import HEADS, SEED, Array, head_images, image, reduced
from known_maps import POINTS, seen
from pairs import HEAD
from scipy import ndimage
from tables import markdown

import varreg

#: Kinds: model of the affine part (None coincides), size of the deformation in voxels, noise in units of the head.
KINDS: dict[str, tuple[str | None, float, float]] = {
    "coinciding": (None, 0.0, 0.0),
    "rigid": ("rigid", 0.0, 0.0),
    "rigid, noise": ("rigid", 0.0, 0.05),
    "affine": ("affine", 0.0, 0.0),
    "deformed by 0.3": ("rigid", 0.3, 0.0),
    "deformed by 0.6": ("rigid", 0.6, 0.0),
    "deformed by 1": ("rigid", 1.0, 0.0),
    "deformed by 1, noise": ("rigid", 1.0, 0.05),
    "deformed by 2": ("rigid", 2.0, 0.0),
}
#: Thickness of thick slices, voxels.
THICK = 5
MODELS: dict[str, dict[str, Any]] = {
    "rigid": dict(affine="rigid", deformable=False),
    "deformable": dict(affine="affine", deformable=True),
    "default": {},
}


class Pair(NamedTuple):
    kind: str
    moving: Any
    fixed: Any
    at: Array
    answer: Array


def pairs(data: Path, which: str, parts: list[str]) -> Iterator[Pair]:
    """All pairs of a set."""
    rng = np.random.default_rng([SEED[which], 3])
    for head in HEADS[which]:
        t1, t2 = head_images(data, head)
        if "2D" in parts:
            for share in (0.4, 0.55, 0.7):
                level = round(share * t1.shape[2])
                yield from _known("2D", t1[:, :, level], t2[:, :, level], rng)
        if "3D" in parts:
            yield from _known("3D", reduced(t1), reduced(t2), rng)
        if "thick" in parts:
            for axis in (0, 1, 0, 1):
                yield _thick(t1, t2, axis, rng)


def _known(dimension: str, t1: Array, t2: Array, rng: np.random.Generator) -> Iterator[Pair]:
    for kind, (model, rms, noise) in KINDS.items():
        if model is None:
            moving, at = t2, rng.permutation(np.argwhere(t1 > HEAD))[:POINTS].astype(float)
            answer = at
        else:
            moving, at, answer = seen(t1, t2, rng, 1.0, rms, model)
        shown = [a + noise * rng.standard_normal(a.shape) for a in (moving, t1)]
        yield Pair(f"{dimension}, {kind}", *map(image, shown), at, answer)


def _thick(t1: Array, t2: Array, axis: int, rng: np.random.Generator) -> Pair:
    """T1 in axial slices; T2, moved rigidly, in slices across another axis."""
    moving, at, answer = seen(t1, t2, rng, 1.0, 0.0, "rigid")
    return Pair("thick slices, rigid", _sliced(moving, axis), _sliced(t1, 2), at, answer)


def _sliced(a: Array, axis: int) -> Any:
    smooth = ndimage.uniform_filter1d(a, THICK, axis=axis)
    index = [slice(None)] * 3
    index[axis] = slice(THICK // 2, None, THICK)
    affine = np.eye(4)
    affine[axis, axis], affine[axis, 3] = THICK, THICK // 2
    return varreg.Image.from_array(smooth[tuple(index)].astype(np.float32), affine=affine)


def measured(pair: Pair, threads: int) -> dict[str, Any]:
    """Errors of every model at the points, and the choice."""
    found = {
        name: varreg.solve(pair.moving, pair.fixed, threads=threads, progress=False, **settings)
        for name, settings in MODELS.items()
    }
    errors = {
        name: np.linalg.norm(np.asarray(r.points(pair.at)) - pair.answer, axis=1)
        for name, r in found.items()
    }
    return {"errors": errors, "choice": found["default"].model}


def row(kind: str, found: list[dict[str, Any]]) -> list[str]:
    cells = [kind, str(len(found))]
    for name in MODELS:
        errors = [one["errors"][name] for one in found]
        mean, high = np.mean([e.mean() for e in errors]), np.percentile(np.concatenate(errors), 95)
        cells.append(f"{mean:.2f} / {high:.2f}")
    chosen = Counter(
        f"{one['choice'].affine}{' + u' if one['choice'].deformable else ''}" for one in found
    )
    cells.append(", ".join(f"{name} {count}" for name, count in chosen.most_common()))
    gains = [
        100 * one["choice"].deformable_gain
        for one in found
        if one["choice"].deformable_gain is not None
    ]
    return [*cells, f"{min(gains):.1f} - {max(gains):.1f} %" if gains else ""]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", choices=sorted(HEADS), default="report")
    parser.add_argument("--only", default="2D,3D,thick")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for pair in pairs(args.data, args.set, args.only.split(",")):
        found[pair.kind].append(measured(pair, args.threads))
    head = ["kind", "pairs", *MODELS, "chosen", "gain"]
    print(markdown(head, [row(kind, some) for kind, some in found.items()]))


if __name__ == "__main__":
    main()
