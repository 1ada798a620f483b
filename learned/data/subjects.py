"""Split of the subjects into disjoint training, validation and test sets.

Neighbouring slices of one head are almost identical, so a split by slices would measure memorisation.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from varreg.errors import FileError, InputError

from ..config import Config, DataConfig
from .manifest import read_manifest

PARTS = ("train", "validation", "test")
#: Anatomies of the phantom; all of them fit into the cache of a process.
PHANTOMS = tuple(f"phantom-{number}" for number in range(256))
SHARES = (0.75, 0.125, 0.125)
#: The split is the same for every seed of a training.
SPLIT_SEED = 0


@dataclass(frozen=True)
class Split:
    """Subject ids of each part; a subject in two parts is an error.

    Attributes
    ----------
    train, validation, test : tuple of str
        Ids, sorted.

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
    """Split subjects into three parts at random.

    Parameters
    ----------
    ids : iterable of str
        Unique ids, in any order.
    shares : (float, float, float)
        Relative sizes of training, validation and test sets; every part with a share above 0 gets at
        least one subject.
    seed : int
        The same ids, shares and seed give the same split on every machine.

    Returns
    -------
    Split

    Raises
    ------
    InputError
        If an id occurs twice, a share is not a number >= 0, or there are too few subjects.

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
    """Raise an InputError if a subject is in two parts, or twice in one; `parts` maps names to ids.

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
                f"check_disjoint: the subject {name!r} is {where}; every subject must occur once, "
                "in one part."
            )


def _counts(total: int, shares: tuple[float, float, float]) -> list[int]:
    """Subjects per part by the largest-remainder method, at least one where the share is not 0."""
    if len(shares) != 3 or not all(math.isfinite(s) and s >= 0 for s in shares) or not sum(shares):
        raise InputError(
            f"split_subjects: `shares` must be three numbers >= 0, not all 0; got {shares}."
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


def dealt_subjects(config: Config) -> Split:
    """Split of the subjects of a configuration. The atlas is used in all parts and is in none of them.

    Examples
    --------
    >>> from learned.config import preset
    >>> len(dealt_subjects(preset("smoke")).train)
    192
    """
    data = config.data
    if data.source == "dataset":
        raise InputError(
            "`data.source` is 'dataset', which requires a script: learned.train.train(config, "
            "training=..., validation=..., resume=True)."
        )
    ids = {name: subject_ids(name, data) for name in data.shares()}
    for name, members in ids.items():
        if data.atlas is not None and name != "phantom" and data.atlas not in members:
            raise InputError(
                f"`data.atlas` is {data.atlas!r}, which is not a subject of `data.{name}`; its subjects are "
                f"{', '.join(members[:20])}."
            )
    ids = {name: tuple(i for i in members if i != data.atlas) for name, members in ids.items()}
    return _split(ids, data.validation_subjects, wants_test=data.test_pairs > 0)


def subject_ids(name: str, data: DataConfig) -> tuple[str, ...]:
    """Subject ids of a source."""
    if name == "phantom":
        return PHANTOMS
    if name == "labels":
        return tuple(label_files(str(data.labels)))
    return tuple(subject.id for subject in read_manifest(str(data.manifest)))


def label_files(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """Label maps of a folder, one for each subject.

    Parameters
    ----------
    folder : str or PathLike
        Folder of ``.nii`` or ``.nii.gz`` files; their names without the suffix are the ids.

    Returns
    -------
    dict of str to Path
        Paths by id, sorted by id.

    Raises
    ------
    FileError
        If the folder does not exist or contains no such file.
    InputError
        If an id occurs twice, as .nii and as .nii.gz.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "head01.nii.gz").write_bytes(b"voxels")
    ...     list(label_files(folder))
    ['head01']
    """
    root = Path(os.fsdecode(folder)).expanduser()
    result: dict[str, Path] = {}
    for file in sorted(root.iterdir()) if root.is_dir() else ():
        match = re.fullmatch(r"(.+?)\.nii(\.gz)?", file.name, re.IGNORECASE)
        if match is None:
            continue
        if match[1] in result:
            raise InputError(
                f"label_files: {str(root)!r} has {match[1]!r} as .nii and as .nii.gz; remove one."
            )
        result[match[1]] = file
    if not result:
        raise FileError(
            f"label_files: `folder` is {str(root)!r}, which contains no .nii or .nii.gz file; "
            "specify the folder of the label maps."
        )
    return result


def _split(ids: Mapping[str, Iterable[str]], named: tuple[str, ...], wants_test: bool) -> Split:
    """Split of phantoms and of heads, separately."""
    phantoms = set(ids.get("phantom", ()))
    heads = {i for name, members in ids.items() if name != "phantom" for i in members}
    check_disjoint({"the phantom": phantoms, "heads": heads})
    unknown = sorted(set(named) - phantoms - heads)
    if unknown:
        raise InputError(
            f"`data.validation_subjects` contains {unknown[0]!r}, which is not a subject of any source; the subjects are "
            f"{', '.join(sorted(heads)[:20]) or 'phantom-0 to phantom-255'}."
        )
    dealt = [_dealt(group, set(named), wants_test) for group in (phantoms, heads) if group]
    train, validation, test = (
        tuple(sorted(name for split in dealt for name in getattr(split, part)))
        for part in ("train", "validation", "test")
    )
    return Split(train, validation, test)


def _dealt(group: set[str], named: set[str], wants_test: bool) -> Split:
    validation = group & named
    if validation:
        return Split(tuple(sorted(group - validation)), tuple(sorted(validation)), ())
    # two heads are used for training and validation; none is left for the test
    shares = SHARES if wants_test and len(group) > 2 else (SHARES[0], 1 - SHARES[0], 0.0)
    return split_subjects(group, shares, seed=SPLIT_SEED)
