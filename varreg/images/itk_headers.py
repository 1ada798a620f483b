"""Headers of MetaImage and NRRD, validated before ITK reads the files."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import FileError

_LONGEST_HEADER = 1 << 16  # bytes
_DATA_FILE = re.compile(
    rb"^\s*(?:elementdatafile\s*[=:]|data ?file\s*:)\s*(.*?)\s*$", re.IGNORECASE | re.MULTILINE
)


def itk_reader(path: Path, name_of: str) -> str:
    """Name of the ITK reader of a file.

    Parameters
    ----------
    path : Path
    name_of : str
        Function and file, for the message.

    Returns
    -------
    str
        "MetaImageIO" or "NrrdImageIO".

    Raises
    ------
    FileError
        If it is of neither type, or its voxels are neither in the file itself nor in one beside it: ITK would follow
        any path.

    Examples
    --------
    >>> itk_reader(Path("a.mhd"), "varreg.solve: `moving`")  # doctest: +SKIP
    'MetaImageIO'
    """
    with open(path, "rb") as stream:
        header = stream.read(_LONGEST_HEADER)
    nrrd = header.startswith(b"NRRD")
    found = _DATA_FILE.search(header.split(b"\n\n")[0] if nrrd else header)
    if found is None and not nrrd:
        raise FileError(f"{name_of} is neither MetaImage nor NRRD.")
    name = "LOCAL" if found is None else found.group(1).decode("utf-8")
    if name.upper() != "LOCAL" and not _is_beside(path, name):
        raise FileError(
            f"{name_of} states that its voxels are in {name!r}; they must be in the file itself"
            " or in one file beside it."
        )
    return "NrrdImageIO" if nrrd else "MetaImageIO"


def _is_beside(path: Path, name: str) -> bool:
    """Whether the name is that of a single file in the same folder, not a list or a pattern of files."""
    plain = name == Path(name).name and "%" not in name and not name.upper().startswith("LIST")
    beside = path.parent / name
    return plain and beside.is_file() and not beside.is_symlink()
