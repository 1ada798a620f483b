"""Transform files read and written by SimpleITK: .tfm, .txt, .h5, and vector images."""

from __future__ import annotations

from pathlib import Path

from ..images.itk_headers import itk_reader
from .chain import Chain
from .files import FUNCTION, explained
from .itk_objects import itk_of_chain, simpleitk
from .library_child import read_apart
from .x5 import X5, hdf5

HDF5 = (".h5", ".hdf5", ".hdf")


def read_itk_file(path: Path) -> Chain:
    """Read an ITK transform file.

    Parameters
    ----------
    path : Path
        ``.tfm``, ``.txt``, ``.mat`` or ``.xfm``; for ``.h5`` see :func:`read_hdf5`.

    Returns
    -------
    Chain
        In RAS+ world.

    Raises
    ------
    FileError
        If it is damaged, or needs more memory or time than expected for its size.
    InputError
        If it holds an unknown type of transform.
    BackendError
        If SimpleITK is not installed.
    """
    simpleitk()
    return read_apart(path, "transform")


def read_hdf5(path: Path, inverse: bool = False, x5: bool = False) -> Chain:
    """Read an HDF5 file in X5 or ITK format.

    Parameters
    ----------
    path : Path
        ``.x5`` or ``.h5``.
    inverse : bool
        Read the inverse instead: of an affine map, or as stored in X5.
    x5 : bool
        The file is X5; otherwise the format is detected from name or content.

    Returns
    -------
    Chain
        In RAS+ world.

    Raises
    ------
    FileError
        If it is damaged, or needs more memory or time than expected for its size.
    InputError
        If it holds an unknown type of transform, or no inverse.
    BackendError
        If h5py (X5) or SimpleITK (ITK) is not installed.
    """
    if x5 or path.name.lower().endswith(X5):
        hdf5()
        return read_apart(path, "x5", inverse)
    return read_apart(path, "hdf5", inverse)


def read_itk_image(path: Path) -> Chain:
    """Read a displacement field in a format that nibabel does not support, e.g. ``.mha`` or ``.nrrd``.

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
        If it is not a displacement field.
    BackendError
        If SimpleITK is not installed.
    """
    simpleitk()
    with explained(path):
        reader = itk_reader(path, f"{FUNCTION}: {str(path)!r}")
    return read_apart(path, reader)


def write_itk_file(path: Path, chain: Chain) -> None:
    """Write a chain to an ITK transform file.

    Parameters
    ----------
    path : Path
        ``.h5``, or for an affine map also ``.tfm`` or ``.txt``.
    chain : Chain
        In RAS+ world.

    Raises
    ------
    BackendError
        If SimpleITK is not installed.
    """
    simpleitk().WriteTransform(itk_of_chain(chain), str(path))
