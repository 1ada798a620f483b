"""Transform files that SimpleITK reads and writes: .tfm, .txt, .h5, and vector images."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import FileError
from .chain import Chain
from .files import FUNCTION, explained
from .itk_child import read_apart
from .itk_objects import itk_of_chain, simpleitk

HDF5 = (".h5", ".hdf5", ".hdf")
_LONGEST_HEADER = 1 << 16  # bytes
_DATA_FILE = re.compile(
    rb"^\s*(?:elementdatafile\s*[=:]|data ?file\s*:)\s*(.*?)\s*$", re.IGNORECASE | re.MULTILINE
)


def read_itk_file(path: Path) -> Chain:
    """Read a transform file of ITK.

    Parameters
    ----------
    path : Path
        ``.tfm``, ``.txt``, ``.mat``, ``.xfm`` or ``.h5``.

    Returns
    -------
    Chain
        In RAS+ world.

    Raises
    ------
    FileError
        If it is damaged, or takes more memory or time than a file of its size can.
    InputError
        If it holds a kind of transform that is not known.
    BackendError
        If SimpleITK is not installed.
    """
    simpleitk()
    return read_apart(path, "transform")


def read_itk_image(path: Path) -> Chain:
    """Read a displacement field in a file that nibabel does not know, e.g. ``.mha`` or ``.nrrd``.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Chain
        In RAS+ world.

    Raises
    ------
    FileError
        If it is damaged.
    InputError
        If it is no displacement field.
    BackendError
        If SimpleITK is not installed.
    """
    simpleitk()
    with explained(path):
        reader = _image_type(path)
    return read_apart(path, reader)


def write_itk_file(path: Path, chain: Chain) -> None:
    """Write a chain into one file of ITK.

    Parameters
    ----------
    path : Path
        ``.h5``, or of an affine map also ``.tfm`` or ``.txt``.
    chain : Chain
        In RAS+ world.

    Raises
    ------
    BackendError
        If SimpleITK is not installed.
    """
    simpleitk().WriteTransform(itk_of_chain(chain), str(path))


def _image_type(path: Path) -> str:
    """ITK's reader of a file; raises unless its voxels are in the file itself or in one beside it."""
    with open(path, "rb") as stream:
        header = stream.read(_LONGEST_HEADER)
    nrrd = header.startswith(b"NRRD")
    found = _DATA_FILE.search(header.split(b"\n\n")[0] if nrrd else header)
    if found is None and not nrrd:
        raise FileError(f"{FUNCTION}: {str(path)!r} is neither MetaImage nor NRRD.")
    name = "LOCAL" if found is None else found.group(1).decode("utf-8")
    if name.upper() != "LOCAL" and not _is_beside(path, name):
        raise FileError(
            f"{FUNCTION}: {str(path)!r} says that its voxels are in {name!r}; they must be in the file itself"
            " or in one file beside it."
        )
    return "NrrdImageIO" if nrrd else "MetaImageIO"


def _is_beside(path: Path, name: str) -> bool:
    """Whether it is the name of one file in the same folder, and not of a list or a pattern of files."""
    plain = name == Path(name).name and "%" not in name and not name.upper().startswith("LIST")
    beside = path.parent / name
    return plain and beside.is_file() and not beside.is_symlink()
