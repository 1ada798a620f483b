"""Files of other medical formats, by SimpleITK: MetaImage, NRRD, DICOM."""

from __future__ import annotations

import itertools
import locale
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import BackendError, FileError
from .foreign import read_foreign
from .itk_headers import itk_reader
from .stored import Stored

ITK_SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr", ".dcm")

#: Number of files of a folder that are examined for the DICOM signature.
LOOKED_AT = 32

_EXPANSION = 1032  # largest expansion of DEFLATE; headers that claim more are refused


def read_itk(path: Path, *, argument: str, function: str) -> Stored:
    """Read a file of one of `ITK_SUFFIXES`, or the one DICOM series in a folder.

    Parameters
    ----------
    path : Path
        Exists.
    argument, function : str
        Names for the messages.

    Returns
    -------
    Stored

    Raises
    ------
    BackendError
        If SimpleITK is not installed.
    InputError
        If it has several components.
    FileError
        If a folder has none or several series.
    Exception
        Any exception of the reader; `varreg.images.reading.read_path` converts it.

    Examples
    --------
    >>> read_itk(Path("t1.nrrd"), argument="moving", function="varreg.solve")  # doctest: +SKIP
    """
    if path.is_dir() and not holds_dicom(path):
        raise _no_series(path, argument, function)
    sitk = _simpleitk(f"{function}: `{argument}` is {str(path)!r}; reading it")
    with _quiet(sitk):
        if path.is_dir():
            image = sitk.ReadImage(_series(sitk, path, argument, function))
        else:
            reader = "GDCMImageIO"
            if path.suffix.lower() != ".dcm":
                reader = itk_reader(path, f"{function}: `{argument}` is {str(path)!r}, which")
            _refuse_claim(sitk, path)
            image = sitk.ReadImage(str(path), imageIO=reader)
    found = read_foreign(image, argument=argument, function=function)
    return replace(found, array=found.array.copy(), name=path.name)


def _no_series(folder: Path, argument: str, function: str) -> FileError:
    return FileError(
        f"{function}: `{argument}` is {str(folder)!r}, which is a folder without a DICOM series; give the image file in it."
    )


def holds_dicom(folder: Path) -> bool:
    """Whether one of the first files of a folder has the DICOM signature; a large folder is not searched completely."""
    files = (file for file in sorted(folder.iterdir()) if file.is_file())
    for file in itertools.islice(files, LOOKED_AT):
        with open(file, "rb") as stream:
            if stream.read(132)[128:] == b"DICM":
                return True
    return False


def _simpleitk(purpose: str) -> Any:
    """Import SimpleITK on first use."""
    try:
        import SimpleITK
    except ImportError as error:
        raise BackendError(
            f"{purpose} needs SimpleITK: python -m pip install 'varreg[io]', or convert it to NIfTI."
        ) from error
    return SimpleITK


@contextmanager
def _quiet(sitk: Any) -> Iterator[None]:
    """Suppress warnings that ITK prints from C++, and restore the locale that its NRRD reader changes."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    spoken = locale.setlocale(locale.LC_ALL)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)
        locale.setlocale(locale.LC_ALL, spoken)


def _series(sitk: Any, folder: Path, argument: str, function: str) -> Any:
    """The files of the only series in a folder, in the order of their slices."""
    found = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if len(found) == 1:
        return sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), found[0])
    if not found:
        raise _no_series(folder, argument, function)
    sizes = [
        len(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), name)) for name in found
    ]
    listed = ", ".join(f"{name} ({size} files)" for name, size in zip(found, sizes, strict=True))
    raise FileError(
        f"{function}: `{argument}` is {str(folder)!r}, which holds {len(found)} DICOM series: {listed}; put one of them "
        "into a folder of its own."
    )


def _refuse_claim(sitk: Any, path: Path) -> None:
    """Refuse a file whose header claims more than it can hold, since readers allocate what the header claims."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    claimed = reader.GetNumberOfComponents()
    for size in reader.GetSize():
        claimed *= size
    files = [path]
    if path.suffix.lower() in (".mhd", ".nhdr"):  # the voxels are in a separate file
        files = [file for file in path.parent.iterdir() if file.is_file()]
    held = sum(file.stat().st_size for file in files) * _EXPANSION
    if claimed > held:
        raise ValueError(f"its header claims {claimed} values, more than the file can hold")
