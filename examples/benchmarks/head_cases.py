"""Cases of two contrasts of one head: correct and wrong maps, slices, volumes, slabs, rotated, mirrored, coinciding."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from known_cases import REDUCED, Array, Case, image
from known_maps import forced, seen
from pairs import HEAD, fitted

#: Kind of pairs that need no registration: a warning says so, and they count neither as right nor as wrong.
COINCIDE = "coinciding"


def slices(
    head: str, t1: Array, t2: Array, rng: np.random.Generator, repeats: int
) -> Iterator[Case]:
    area = (t1 > HEAD).sum((0, 1)).astype(float)
    filled = np.flatnonzero(area > 0.6 * area.max())
    for z in filled[[len(filled) // 4, len(filled) // 2, (3 * len(filled)) // 4]]:
        one, two = fitted(t1[:, :, z], 224), fitted(t2[:, :, z], 224)
        yield from cases_of(f"{head}:z{z}", one, two, rng, 1.0, repeats)


def volumes(
    head: str, t1: Array, t2: Array, rng: np.random.Generator, repeats: int
) -> Iterator[Case]:
    yield from cases_of(head, t1, t2, rng, float(REDUCED), max(repeats // 2, 1))
    for axis, thick in itertools.product(range(3), (50, 30)):
        moving, at, answer = seen(t1, t2, rng, REDUCED, 1.0, "rigid")
        n = round(thick / REDUCED)
        first = int(np.argwhere(t1 > HEAD)[:, axis].mean() - n / 2)
        index = (slice(None),) * axis + (slice(first, first + n),)
        kept = (at[:, axis] >= first * REDUCED) & (at[:, axis] < (first + n) * REDUCED)
        inside = at[kept].copy()
        inside[:, axis] -= first * REDUCED
        yield Case(
            "3D, head -> slab", f"{head} {axis} {thick}", image(moving, REDUCED), image(t1[index], REDUCED),
            at=inside, answer=answer[kept],
        )  # fmt: skip
        kept = (answer[:, axis] >= first * REDUCED) & (answer[:, axis] < (first + n) * REDUCED)
        there = answer[kept].copy()
        there[:, axis] -= first * REDUCED
        yield Case(
            "3D, slab -> head", f"{head} {axis} {thick}", image(moving[index], REDUCED), image(t1, REDUCED),
            at=at[kept], answer=there,
        )  # fmt: skip


def cases_of(
    head: str, t1: Array, t2: Array, rng: np.random.Generator, spacing: float, repeats: int
) -> Iterator[Case]:
    d = t1.ndim
    for k in range(repeats):
        for model, rms in (("rigid", 0.0), ("affine", 0.0), ("affine", 3.0), ("rigid", 3.0)):
            for one, two, way in ((t1, t2, "T2 -> T1"), (t2, t1, "T1 -> T2")):
                moving, at, answer = seen(one, two, rng, spacing, rms, model)
                pair = image(moving, spacing), image(one, spacing)
                kind = f"{d}D, {'warp' if rms else 'no warp'}"
                yield Case(kind, f"{head} {way} {model} {k}", *pair, at=at, answer=answer)
        moving, at, answer = seen(t1, t2, rng, spacing, 2.0, "rigid")
        pair = image(moving, spacing), image(t1, spacing)
        for name, settings in forced(at, answer, spacing, rng):
            yield Case(f"{d}D, {name}", f"{head} {k}", *pair, settings, at, answer)
    flipped = np.ascontiguousarray(t2[::-1])
    for k in range(repeats):
        # no rotation matches it, so that no answer is right
        moving, _, _ = seen(t1, flipped, rng, spacing, 1.0, "rigid")
        yield Case(f"{d}D, mirrored", f"{head} {k}", image(moving, spacing), image(t1, spacing))
    index = np.argwhere(t1 > HEAD)[:: 1 + t1.size // 10**5] * spacing
    pair = image(t2, spacing), image(t1, spacing)
    yield Case(f"{d}D, {COINCIDE}", head, *pair, at=index, answer=index)
    moving, at, answer = seen(t1, t2, rng, spacing, 1.0, "rigid")
    planes = [(0, 1)] if d == 2 else [(0, 1), (1, 2), (0, 2)]
    for plane, turns in itertools.product(planes, (1, 2, 3)):
        turned, there = np.rot90(moving, turns, plane), answer.copy()
        shape = list(moving.shape)
        for _ in range(turns):
            i, j = plane
            there[:, i], there[:, j] = (
                (shape[j] - 1) * spacing - there[:, j].copy(),
                there[:, i].copy(),
            )
            shape[i], shape[j] = shape[j], shape[i]
        yield Case(
            f"{d}D, turned", f"{head} {plane} {90 * turns}", image(turned, spacing), image(t1, spacing),
            at=at, answer=there,
        )  # fmt: skip
