"""Registrations with known ground truth, correct and wrong ones of many kinds, for verdict.py.

Two disjoint sets of heads, people and seeds: ``limits`` was used to choose the limits of the checks, ``report``
for the results in the documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from head_cases import slices, volumes
from known_cases import HEADS, SEED, Case, head_images, reduced
from other_cases import other_anatomy, people, phantoms, stains, templates


def cases(data: Path, which: str, repeats: int = 3) -> Iterator[Case]:
    """All cases of a set."""
    rng = np.random.default_rng(SEED[which])
    for head in HEADS[which]:
        t1, t2 = head_images(data, head)
        yield from slices(head, t1, t2, rng, repeats)
        yield from volumes(head, reduced(t1), reduced(t2), rng, repeats)
    yield from other_anatomy(data, which, rng)
    yield from people(data, which)
    yield from templates(data, which, rng)
    yield from stains(data, which, rng)
    yield from phantoms(rng, repeats)
