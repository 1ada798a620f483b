"""The list of subjects whose contrasts coincide, as a JSON file.

.. code-block:: json

    [{"id": "case01", "T1": "case01/t1.nii.gz", "T2": "case01/t2.nii.gz"}]

Paths are relative to the file itself.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from varreg.errors import FileError, InputError

#: Contrasts that a manifest may name unless the caller says otherwise.
CONTRASTS = ("T1", "T1c", "T2", "T2*", "FLAIR", "PD", "DWI", "ADC", "SWI", "CT")
_LARGEST_FILE = 1 << 26  # bytes; a list of paths is never as long


@dataclass(frozen=True)
class Subject:
    """One head in several contrasts that coincide in world space.

    Attributes
    ----------
    id : str
        Name of the subject; splits are made by it.
    images : tuple of (contrast, Path)
        In the order of the manifest, at least two.

    Examples
    --------
    >>> Subject("a", (("T1", Path("t1.nii")), ("T2", Path("t2.nii")))).contrasts
    ('T1', 'T2')
    """

    id: str
    images: tuple[tuple[str, Path], ...]

    @property
    def contrasts(self) -> tuple[str, ...]:
        """Names of the contrasts, in the order of `images`."""
        return tuple(contrast for contrast, _ in self.images)


def read_manifest(
    path: str | os.PathLike[str], contrasts: Sequence[str] = CONTRASTS
) -> tuple[Subject, ...]:
    """Read and check a list of subjects.

    Parameters
    ----------
    path : str or PathLike
        JSON: a list of objects with ``id`` and at least two contrasts.
    contrasts : sequence of str
        The names that count as contrasts.

    Returns
    -------
    tuple of Subject
        In the order of the file.

    Raises
    ------
    FileError
        If the manifest or an image in it does not exist or cannot be read as JSON.
    InputError
        If an entry is no such object, an id or a contrast comes twice, a contrast is not known, or
        a subject has fewer than two.

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
            f"read_manifest: {str(file)!r} must hold a list of subjects that is not empty, e.g. "
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
                f"read_manifest: {str(file)!r} has the id {subject.id!r} twice; join the two "
                "entries, or rename one if they are different people."
            )
        seen.add(subject.id)
    return subjects


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


def _parsed(file: Path) -> Any:
    """What the JSON file holds."""
    try:
        if file.stat().st_size > _LARGEST_FILE:
            raise ValueError("it is larger than 64 MB")
        return json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(
            f"read_manifest: `path` is {str(file)!r}, which cannot be read ({error}); give a JSON "
            "file in UTF-8."
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; JSON itself would silently keep the last of two equal keys."""
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"one entry has {', '.join(map(repr, twice))} twice")
    return result


def _subject(entry: Any, number: int, file: Path, contrasts: tuple[str, ...]) -> Subject:
    """One entry of the list."""
    where = f"read_manifest: entry {number} of {str(file)!r}"
    name = entry.get("id") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not name.strip():
        raise InputError(
            f"{where} must be an object whose 'id' is a text that is not empty; got {entry!r}."
        )
    where += f" ({name!r})"
    images = []
    for contrast, value in entry.items():
        if contrast == "id":
            continue
        _refuse_unknown(contrast, contrasts, where)
        images.append((contrast, _existing(value, contrast, file, where)))
    if len(images) < 2:
        raise InputError(
            f"{where} has {len(images)} contrast(s); a pair needs two. Add another contrast or "
            "remove the entry."
        )
    return Subject(name, tuple(images))


def _refuse_unknown(contrast: str, contrasts: tuple[str, ...], where: str) -> None:
    """Raise unless the contrast is one of the known, with the nearest as a suggestion."""
    if contrast in contrasts:
        return
    nearest = {known.casefold(): known for known in contrasts}
    close = difflib.get_close_matches(contrast.casefold(), list(nearest), 1)
    hint = f" Did you mean {nearest[close[0]]!r}?" if close else ""
    raise InputError(
        f"{where} has the unknown contrast {contrast!r}; known are "
        f"{', '.join(map(repr, contrasts))}.{hint} Names only tell contrasts apart: give "
        "it one of these, or read the manifest by read_manifest(..., contrasts=...)."
    )


def _existing(value: Any, contrast: str, file: Path, where: str) -> Path:
    """Path of an image that is there."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise InputError(f"{where}: {contrast!r} must be the path of an image; got {value!r}.")
    image = file.parent / Path(value).expanduser()
    if not image.is_file():
        raise FileError(
            f"{where}: {contrast!r} is {value!r}, which is not a file (looked for {str(image)!r}); "
            "paths are relative to the manifest."
        )
    return image
