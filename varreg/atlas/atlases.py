"""Collections of labelled atlases."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FileError, InputError
from ..images.opening import SUFFIXES

FUNCTION = "varreg.label"
#: Suffixes of names in a folder, before the suffix of the image format.
IMAGE, LABELS = "_image", "_labels"
#: Table that lists the files if they have other names.
TABLES = ("atlases.tsv", "atlases.csv")
COLUMNS = ("image", "labels", "name")


@dataclass(frozen=True)
class Atlas:
    """One labelled image.

    Attributes
    ----------
    name : str
    image, labels : Any
        Paths or images.
    """

    name: str
    image: Any
    labels: Any


def as_atlases(value: Any) -> list[Atlas]:
    """The atlases of a folder, a table, or a list.

    Parameters
    ----------
    value : str, PathLike or sequence of (image, labels)
        A folder with ``NAME_image.nii.gz`` and ``NAME_labels.nii.gz`` for each atlas, or with a table ``atlases.tsv`` (or
        ``.csv``) of the columns ``image``, ``labels`` and optionally ``name``, with paths relative to its folder; or
        the path of such a table.

    Returns
    -------
    list of Atlas
        Sorted by name, or in the order of the table.

    Raises
    ------
    InputError, FileError
        If there are none, or labels or image of an atlas are missing.
    """
    if isinstance(value, (str, os.PathLike)):
        place = Path(os.fsdecode(value)).expanduser()
        return _of_folder(place) if place.is_dir() else _of_table(place)
    if not isinstance(value, Sequence) or not value:
        raise InputError(
            f"{FUNCTION}: `atlases` must be a folder, a table, or a list of (image, labels); got "
            f"{'an empty list' if isinstance(value, Sequence) else type(value).__name__}."
        )
    found = []
    for k, each in enumerate(value):
        if isinstance(each, Atlas):
            found.append(each)
            continue
        if not isinstance(each, (tuple, list)) or len(each) != 2:
            raise InputError(
                f"{FUNCTION}: `atlases[{k}]` must be (image, labels); got {type(each).__name__}"
                f"{f' of length {len(each)}' if isinstance(each, (tuple, list)) else ''}."
            )
        found.append(Atlas(_name(each[0]) or f"atlas {k + 1}", *each))
    return found


def _of_folder(folder: Path) -> list[Atlas]:
    for table in TABLES:
        if (folder / table).is_file():
            return _of_table(folder / table)
    stems = {_stem(file.name): file for file in sorted(folder.iterdir()) if _stem(file.name)}
    sides = {
        ending: {
            stem[: -len(ending)]: file for stem, file in stems.items() if stem.endswith(ending)
        }
        for ending in (IMAGE, LABELS)
    }
    images, labels = sides[IMAGE], sides[LABELS]
    alone = sorted(images.keys() ^ labels.keys())
    if alone:
        name = alone[0]
        lacks, has = (LABELS, IMAGE) if name in images else (IMAGE, LABELS)
        raise FileError(
            f"{FUNCTION}: the folder {str(folder)!r} holds {name + has!r} without {name + lacks!r}"
            f"{f', and {len(alone) - 1} more of that kind' if len(alone) > 1 else ''}; every atlas needs both."
        )
    if not images:
        raise FileError(
            f"{FUNCTION}: the folder {str(folder)!r} holds no atlases; name their files NAME{IMAGE}.nii.gz and "
            f"NAME{LABELS}.nii.gz, or write a table {TABLES[0]} with the columns image and labels."
        )
    return [Atlas(name, images[name], labels[name]) for name in sorted(images)]


def _of_table(path: Path) -> list[Atlas]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise FileError(
            f"{FUNCTION}: the atlases {str(path)!r} cannot be read ({error}); give a folder or a table."
        ) from error
    delimiter = "\t" if "\t" in text.partition("\n")[0] else ","
    rows = list(csv.DictReader(text.splitlines(), delimiter=delimiter))
    columns = set(rows[0]) if rows else set()
    if not rows or not {"image", "labels"} <= columns or not columns <= set(COLUMNS):
        raise InputError(
            f"{FUNCTION}: the table {str(path)!r} must have the columns image and labels, may have name, and a line for each "
            f"atlas; got {len(rows)} lines with {sorted(map(str, columns))}."
        )
    found = []
    for number, row in enumerate(rows, 2):
        files = {}
        for column in ("image", "labels"):
            files[column] = path.parent / Path(row[column] or "").expanduser()
            if not row[column] or not files[column].is_file():
                raise FileError(
                    f"{FUNCTION}: line {number} of {str(path)!r} names the {column} {row[column]!r}, which is not a file."
                )
        found.append(Atlas(row.get("name") or _name(files["image"]), **files))
    return found


def _name(value: Any) -> str:
    """Name of an atlas file, without the suffix of images."""
    if not isinstance(value, (str, os.PathLike)):
        return str(getattr(value, "name", ""))
    return _stem(Path(os.fsdecode(value)).name).removesuffix(IMAGE)


def _stem(name: str) -> str:
    """The name of an image file without its suffix; empty for any other file."""
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return ""
