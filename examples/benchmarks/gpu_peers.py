"""Comparison of varreg with FireANTs on the same pairs and card, for gpu.py."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from budget import Item, Part, Rows
from methods import find_methods
from pairs import Pair, save_pairs, scores
from people import measured_apart as people_apart
from people import people
from people import scores as people_scores
from runs import measured_apart
from synthetic import enlarged_answer

PEER = "fireants"
VISIBLE = "CUDA_VISIBLE_DEVICES"
SHARE = 0.2
#: Both tools align and deform.
WHOLE: dict[str, Any] = {"affine": "affine", "deformable": True}


def peers(bench: Any) -> Part:
    """varreg and FireANTs, which is optional, on the same pairs: seconds from arrays to a displacement, after a warm-up."""
    if getattr(bench.people, "data", None) is None:
        header: tuple[str, ...] = ("method, pair", "TRE (voxels)", "p95", "folds (%)", "s")
        return Part("peers", str(peers.__doc__), header, SHARE, partial(_phantoms, bench))
    header = ("method, pair", "Dice", "cortex", "HD95 (mm)", "SDlogJ", "folds (%)", "s")
    return Part("peers", str(peers.__doc__), header, SHARE, partial(_people, bench))


def _phantoms(bench: Any) -> Iterator[Item]:
    """On phantoms, whose map is known."""
    shapes = {"slice": bench.slice_, "head": bench.volume}
    for where, backend in (("GPU", "cupy"), (PEER, ""), ("CPU", "numba")):
        for kind, shape in shapes.items():
            if backend:
                name = f"varreg on the {where}, {kind}"
                yield Item(name, partial(_solved, bench, name, shape, backend))
            else:
                name = f"{PEER}, {kind}"
                yield Item(name, partial(_peer, bench, name, shape))


def _pair(bench: Any, shape: tuple[int, ...]) -> Pair:
    moving, fixed = bench.pair(shape)
    return Pair("phantom", fixed, moving, *enlarged_answer(shape))


def _solved(bench: Any, name: str, shape: tuple[int, ...], backend: str) -> Rows:
    pair = _pair(bench, shape)
    seconds, displacement = _timed(bench, pair.moving, pair.fixed, backend)
    found = scores(pair, displacement)
    return [[name, *(f"{found[key]:.3f}" for key in ("tre", "p95", "folds")), f"{seconds:.2f}"]]


def _timed(bench: Any, moving: Any, fixed: Any, backend: str) -> tuple[float, Any]:
    """Seconds to a displacement, and that, after a run on every third voxel that loads and compiles."""
    thin = (slice(None, None, 3 if fixed.ndim == 3 else 1),) * fixed.ndim
    small = (np.ascontiguousarray(image[thin]) for image in (moving, fixed))
    bench.register(*small, backend, iterations=1, **WHOLE)
    begun = time.perf_counter()
    displacement = bench.register(moving, fixed, backend, **WHOLE).displacement
    return time.perf_counter() - begun, displacement


def _missing(bench: Any) -> str:
    """What the peer lacks, if that can be told from here."""
    here = bench.people.peer_python == sys.executable
    (method,) = find_methods([PEER])
    return f"not installed: {', '.join(method.missing)}" if here and method.missing else ""


def _peer(bench: Any, name: str, shape: tuple[int, ...]) -> Rows:
    """In a process of its own, which ends with the time of this part."""
    if missing := _missing(bench):
        return [[name, missing]]
    bench.backend.cupy.get_default_memory_pool().free_all_blocks()
    with tempfile.TemporaryDirectory() as folder:
        save_pairs([_pair(bench, shape)], Path(folder))
        (method,) = find_methods([PEER])
        place = Path(folder), bench.people.threads, bench.people.peer_python
        with only_card(bench.device):
            row, _ = measured_apart(method, *place)
    if "error" in row:
        return [[name, row["error"]]]
    return [
        [name, *(f"{row[key]:.3f}" for key in ("tre", "p95", "folds")), f"{row['seconds']:.2f}"]
    ]


def _people(bench: Any) -> Iterator[Item]:
    """On heads of different people with labels."""
    yield Item("varreg on the GPU", partial(_solved_people, bench))
    yield Item(PEER, partial(_peer_people, bench))


def _solved_people(bench: Any) -> Rows:
    given, rows = bench.people, []
    for pair, arrays in people(given.data, given.spacing, given.limit):
        seconds, displacement = _timed(bench, arrays[2], arrays[0], "cupy")
        found = people_scores(displacement, arrays, given.spacing)
        rows.append(_cells(f"varreg on the GPU, {pair}", {**found, "seconds": seconds}))
    return rows


def _peer_people(bench: Any) -> Rows:
    if missing := _missing(bench):
        return [[PEER, missing]]
    bench.backend.cupy.get_default_memory_pool().free_all_blocks()
    with only_card(bench.device):
        found = people_apart(PEER, bench.people)
    return [_cells(f"{PEER}, {one['pair']}", one) for one in found] or [[PEER, "failed"]]


@contextlib.contextmanager
def only_card(number: int) -> Iterator[None]:
    """Let processes that begin in here see one card, of those that are seen here, so that it is the one of varreg."""
    before = os.environ.get(VISIBLE)
    os.environ[VISIBLE] = str(number) if before is None else before.split(",")[number]
    try:
        yield
    finally:
        os.environ.pop(VISIBLE)
        if before is not None:
            os.environ[VISIBLE] = before


def _cells(name: str, found: dict[str, Any]) -> list[str]:
    numbers = [f"{found[key]:.3f}" for key in ("dice", "cortex", "surface", "sdlogj", "folds")]
    return [name, *numbers, f"{found['seconds']:.2f}"]
