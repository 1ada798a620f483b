"""Which subjects train, validate and test: never the same one in two parts.

Neighbouring slices of one head are almost copies, so a split by slices would measure memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from varreg.errors import InputError

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Ids of the subjects of each part; making one with a subject in two parts is an error.

    Attributes
    ----------
    train, validation, test : tuple of str
        Ids, sorted.

    Raises
    ------
    InputError
        If an id is in two parts or twice in one.

    Examples
    --------
    >>> Split(("a", "b"), ("c",), ()).validation
    ('c',)
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        check_disjoint({part: getattr(self, part) for part in PARTS})


def split_subjects(
    ids: Iterable[str],
    shares: tuple[float, float, float] = (0.7, 0.15, 0.15),
    *,
    seed: int,
) -> Split:
    """Deal subjects to three parts at random.

    Parameters
    ----------
    ids : iterable of str
        Each id once; their order does not matter.
    shares : (float, float, float)
        Of training, validation and test, in any unit; every part whose share is not 0 gets at
        least one subject.
    seed : int
        The same ids, shares and seed give the same parts, whatever the machine.

    Returns
    -------
    Split

    Raises
    ------
    InputError
        If an id comes twice, a share is not a number >= 0, or there are too few subjects.

    Examples
    --------
    >>> split = split_subjects("abcdefgh", (6, 1, 1), seed=0)
    >>> [len(part) for part in (split.train, split.validation, split.test)]
    [6, 1, 1]
    """
    names = sorted(ids)
    check_disjoint({"ids": names})
    counts = _counts(len(names), shares)
    dealt = [names[place] for place in np.random.default_rng(seed).permutation(len(names))]
    ends = np.cumsum(counts)
    first, second, third = (
        tuple(sorted(dealt[end - count : end])) for end, count in zip(ends, counts, strict=True)
    )
    return Split(first, second, third)


def check_disjoint(parts: Mapping[str, Iterable[str]]) -> None:
    """Refuse subjects that are in two parts, or twice in one.

    Parameters
    ----------
    parts : mapping of str to iterable of str
        Name of the part -> ids of its subjects.

    Raises
    ------
    InputError
        Names the parts and the subjects.

    Examples
    --------
    >>> check_disjoint({"train": ["a", "b"], "test": ["c"]})
    """
    owner: dict[str, str] = {}
    for part, names in parts.items():
        for name in names:
            if name not in owner:
                owner[name] = part
                continue
            where = (
                f"twice in {part!r}" if owner[name] == part else f"in {owner[name]!r} and {part!r}"
            )
            raise InputError(
                f"check_disjoint: the subject {name!r} is {where}; every subject must be in one "
                "part, once."
            )


def _counts(total: int, shares: tuple[float, float, float]) -> list[int]:
    """Subjects per part: largest remainders, and at least one where the share is not 0."""
    if len(shares) != 3 or not all(math.isfinite(s) and s >= 0 for s in shares) or not sum(shares):
        raise InputError(
            f"split_subjects: `shares` must be three numbers >= 0 that are not all 0; got {shares}."
        )
    wanted = [share > 0 for share in shares]
    if total < sum(wanted):
        raise InputError(
            f"split_subjects: `ids` has {total} subjects for {sum(wanted)} parts; add subjects or "
            "set the share of a part to 0."
        )
    exact = [total * share / sum(shares) for share in shares]
    counts = [max(int(value), int(some)) for value, some in zip(exact, wanted, strict=True)]
    while sum(counts) != total:
        step = 1 if sum(counts) < total else -1
        lack = [step * (value - count) for value, count in zip(exact, counts, strict=True)]
        open_parts = [k for k in range(3) if wanted[k] and (step > 0 or counts[k] > 1)]
        counts[max(open_parts, key=lambda k: lack[k])] += step
    return counts
