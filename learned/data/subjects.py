"""Subjects of a configuration, dealt once to training, validation and test."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from varreg.errors import FileError, InputError

from ..config import Config, DataConfig
from .manifest import read_manifest
from .splits import Split, check_disjoint, split_subjects

#: Anatomies of the phantom; a process can keep as many.
PHANTOMS = tuple(f"phantom-{number}" for number in range(256))
SHARES = (0.75, 0.125, 0.125)
#: The split is the same for every seed of a training.
SPLIT_SEED = 0


def dealt_subjects(config: Config) -> Split:
    """Who trains, validates and tests; an atlas belongs to all three and is in none of them.

    Examples
    --------
    >>> from learned.config import preset
    >>> len(dealt_subjects(preset("smoke")).train)
    192
    """
    data = config.data
    if data.source == "dataset":
        raise InputError(
            "`data.source` is 'dataset', which only a script can give: learned.train.train(config, "
            "training=..., validation=..., resume=True)."
        )
    ids = {name: subject_ids(name, data) for name in data.shares()}
    for name, members in ids.items():
        if data.atlas is not None and name != "phantom" and data.atlas not in members:
            raise InputError(
                f"`data.atlas` is {data.atlas!r}, which the {name} do not have; they have "
                f"{', '.join(members[:20])}."
            )
    ids = {name: tuple(i for i in members if i != data.atlas) for name, members in ids.items()}
    return _split(ids, data.validation_subjects, wants_test=data.test_pairs > 0)


def subject_ids(name: str, data: DataConfig) -> tuple[str, ...]:
    """Subjects of a source, as its files name them."""
    if name == "phantom":
        return PHANTOMS
    if name == "labels":
        return tuple(label_files(str(data.labels)))
    return tuple(subject.id for subject in read_manifest(str(data.manifest)))


def label_files(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """The label maps of a folder, one for each subject.

    Parameters
    ----------
    folder : str or PathLike
        Holds ``.nii`` or ``.nii.gz`` files; their names without the suffix are the ids.

    Returns
    -------
    dict of str to Path
        In the order of the ids.

    Raises
    ------
    FileError
        If there is no such folder, or no such file in it.
    InputError
        If an id comes twice, as .nii and as .nii.gz.

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
            f"label_files: `folder` is {str(root)!r}, in which there is no .nii or .nii.gz file; "
            "give the folder of the label maps."
        )
    return result


def _split(ids: Mapping[str, Iterable[str]], named: tuple[str, ...], wants_test: bool) -> Split:
    """Phantoms for themselves, heads for themselves."""
    phantoms = set(ids.get("phantom", ()))
    heads = {i for name, members in ids.items() if name != "phantom" for i in members}
    check_disjoint({"the phantom": phantoms, "heads": heads})
    unknown = sorted(set(named) - phantoms - heads)
    if unknown:
        raise InputError(
            f"`data.validation_subjects` names {unknown[0]!r}, which no source has; they have "
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
    # of two heads one trains and one validates; nothing is left to test on
    shares = SHARES if wants_test and len(group) > 2 else (SHARES[0], 1 - SHARES[0], 0.0)
    return split_subjects(group, shares, seed=SPLIT_SEED)
