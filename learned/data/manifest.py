"""Manifest of the training data: a JSON file of subjects with their images and label maps.

.. code-block:: json

    [{"id": "case01", "T1": "case01/t1.nii.gz", "T2": "case01/t2.nii.gz"},
     {"id": "case02", "T1": "case02/t1.nii.gz", "T2": "case02/t2.nii.gz", "coincide": false},
     {"id": "case03", "T2": "case03/t2.nii.gz", "labels": "case03/structures.nii.gz"}]

Paths are relative to the manifest.  The images of a subject coincide in world space unless ``coincide``
specifies otherwise.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from varreg.errors import FileError, InputError

#: Contrast names that are valid by default.
CONTRASTS = ("T1", "T1c", "T2", "T2*", "FLAIR", "PD", "DWI", "ADC", "SWI", "CT")
_LARGEST_FILE = 1 << 26  # bytes; a list of paths is never as large


@dataclass(frozen=True)
class Subject:
    """Images of one head in one or several contrasts.

    Attributes
    ----------
    id : str
        Name of the subject, by which training, validation and test sets are split.
    images : tuple of (contrast, Path)
        In the order of the manifest, at least one.
    groups : tuple of tuple of str
        Groups of contrasts that coincide in world space; images of different groups show the same anatomy,
        but are not aligned. Empty: all coincide.
    labels : tuple of (contrast, Path)
        Label maps, each with the contrast of an image it coincides with; at most one for each group.

    Examples
    --------
    >>> Subject("a", (("T1", Path("t1.nii")), ("T2", Path("t2.nii")))).contrasts
    ('T1', 'T2')
    """

    id: str
    images: tuple[tuple[str, Path], ...]
    groups: tuple[tuple[str, ...], ...] = ()
    labels: tuple[tuple[str, Path], ...] = ()

    @property
    def contrasts(self) -> tuple[str, ...]:
        """Contrast names, in the order of `images`."""
        return tuple(contrast for contrast, _ in self.images)

    def coinciding(self) -> tuple[Subject, ...]:
        """One subject for each group of coinciding images, with the label map of the group."""
        groups = self.groups or (self.contrasts,)
        images, labels = (
            [tuple(entry for entry in entries if entry[0] in group) for group in groups]
            for entries in (self.images, self.labels)
        )
        return tuple(
            Subject(self.id, some, labels=map_) for some, map_ in zip(images, labels, strict=True)
        )


def read_manifest(
    path: str | os.PathLike[str], contrasts: Sequence[str] = CONTRASTS
) -> tuple[Subject, ...]:
    """Read and validate a manifest.

    Parameters
    ----------
    path : str or PathLike
        JSON file: a list of objects with ``id``, at least one contrast, and optionally ``coincide`` and
        ``labels``; see the documentation of the manifest.
    contrasts : sequence of str
        Valid contrast names.

    Returns
    -------
    tuple of Subject
        In the order of the file.

    Raises
    ------
    FileError
        If the manifest cannot be read as JSON, or a file named in it does not exist.
    InputError
        If an entry is invalid: an id or a contrast occurs twice, a contrast is unknown, a subject has no
        image, or ``coincide`` or ``labels`` is invalid.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("t1.nii", "t2.nii"):
    ...         _ = (Path(folder) / name).write_bytes(b"voxels")
    ...     manifest = Path(folder) / "manifest.json"
    ...     _ = manifest.write_text('[{"id": "a", "T1": "t1.nii", "T2": "t2.nii"}]')
    ...     [subject.id for subject in read_manifest(manifest)]
    ['a']
    """
    file = Path(os.fsdecode(path)).expanduser()
    entries = _parsed(file)
    if not isinstance(entries, list) or not entries:
        raise InputError(
            f"read_manifest: {str(file)!r} must contain a non-empty list of subjects, e.g. "
            '[{"id": "case01", "T1": "t1.nii.gz", "T2": "t2.nii.gz"}]; got '
            f"{type(entries).__name__}."
        )
    subjects = tuple(
        _subject(entry, number, file, tuple(contrasts)) for number, entry in enumerate(entries)
    )
    seen: set[str] = set()
    for subject in subjects:
        if subject.id in seen:
            raise InputError(
                f"read_manifest: {str(file)!r} has the id {subject.id!r} twice; merge the two "
                "entries, or rename one if they are different people."
            )
        seen.add(subject.id)
    return subjects


def _parsed(file: Path) -> Any:
    """Content of the JSON file."""
    try:
        if file.stat().st_size > _LARGEST_FILE:
            raise ValueError("it is larger than 64 MB")
        return json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(
            f"read_manifest: `path` is {str(file)!r}, which cannot be read ({error}); specify a "
            "JSON file in UTF-8."
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Object with unique keys; by default, json silently keeps the last of two equal keys."""
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"one entry has {', '.join(map(repr, twice))} twice")
    return result


def _subject(entry: Any, number: int, file: Path, contrasts: tuple[str, ...]) -> Subject:
    """Subject of one entry of the manifest."""
    where = f"read_manifest: entry {number} of {str(file)!r}"
    name = entry.get("id") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"{where} must be an object with 'id', a non-empty string; got {entry!r}.")
    where += f" ({name!r})"
    images = []
    for contrast, value in entry.items():
        if contrast in ("id", "coincide", "labels"):
            continue
        _refuse_unknown(contrast, contrasts, where)
        images.append((contrast, _existing(value, contrast, file, where)))
    if not images:
        raise InputError(f"{where} has no image; add a contrast or remove the entry.")
    names = [contrast for contrast, _ in images]
    groups = _groups(entry.get("coincide", True), names, where)
    labels = _labels(entry.get("labels", {}), groups, where)
    maps = ((c, _existing(value, "labels", file, where)) for c, value in labels.items())
    return Subject(name, tuple(images), groups if len(groups) > 1 else (), tuple(maps))


def _groups(value: Any, names: list[str], where: str) -> tuple[tuple[str, ...], ...]:
    """Groups of coinciding contrasts of a subject; a contrast in no list is a group of its own."""
    if isinstance(value, bool):
        return (tuple(names),) if value else tuple((name,) for name in names)
    lists = value if isinstance(value, list) else [value]
    named = [name for members in lists if isinstance(members, list) for name in members]
    if not all(isinstance(members, list) and members for members in lists) or any(
        name not in names or named.count(name) > 1 for name in named
    ):
        raise InputError(
            f"{where}: 'coincide' must be true, false, or a list of lists of the contrasts that coincide, "
            f'each once, e.g. [["T1", "T1c"], ["T2"]], of {names}; got {value!r}.'
        )
    return (*map(tuple, lists), *((name,) for name in names if name not in named))


def _labels(value: Any, groups: tuple[tuple[str, ...], ...], where: str) -> dict[str, Any]:
    """Paths of the label maps, at most one per group, keyed by a contrast of the group."""
    if isinstance(value, str) and len(groups) == 1:
        return {groups[0][0]: value}
    maps = value if isinstance(value, dict) else None
    per_group = [] if maps is None else [[c for c in maps if c in group] for group in groups]
    if not per_group or sum(map(len, per_group)) < len(value) or max(map(len, per_group)) > 1:
        raise InputError(
            f"{where}: 'labels' must be the path of the label map, which all images share if they coincide, "
            f"or an object with the path for one contrast of each group, the groups being {groups}; got "
            f"{value!r}."
        )
    return dict(value)


def _refuse_unknown(contrast: str, contrasts: tuple[str, ...], where: str) -> None:
    """Raise if the contrast is unknown, with the nearest valid name as a suggestion."""
    if contrast in contrasts:
        return
    nearest = {known.casefold(): known for known in contrasts}
    close = difflib.get_close_matches(contrast.casefold(), list(nearest), 1)
    hint = f" Did you mean {nearest[close[0]]!r}?" if close else ""
    raise InputError(
        f"{where} has the unknown contrast {contrast!r}; valid names are "
        f"{', '.join(map(repr, contrasts))}.{hint} Names only distinguish contrasts: use one "
        "of these, or define others with read_manifest(..., contrasts=...)."
    )


def _existing(value: Any, contrast: str, file: Path, where: str) -> Path:
    """Path of an existing image, relative to the manifest."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise InputError(f"{where}: {contrast!r} must be the path of an image; got {value!r}.")
    image = file.parent / Path(value).expanduser()
    if not image.is_file():
        raise FileError(
            f"{where}: {contrast!r} is {value!r}, which is not a file (looked for {str(image)!r}); "
            "paths are relative to the manifest."
        )
    return image
