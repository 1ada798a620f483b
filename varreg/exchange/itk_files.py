"""Transform files that SimpleITK reads and writes: .tfm, .txt, .h5, and vector images."""

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
    """Read a transform file of ITK.

    Parameters
    ----------
    path : Path
        ``.tfm``, ``.txt``, ``.mat`` or ``.xfm``; of ``.h5`` see :func:`read_hdf5`.

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


def read_hdf5(path: Path, inverse: bool = False, x5: bool = False) -> Chain:
    """Read an HDF5 file, which is X5 or ITK's.

    Parameters
    ----------
    path : Path
        ``.x5`` or ``.h5``.
    inverse : bool
        The inverse instead: of an affine map, or where X5 holds it.
    x5 : bool
        It has been said to be X5; else its name or what is in it says so.

    Returns
    -------
    Chain
        In RAS+ world.

    Raises
    ------
    FileError
        If it is damaged, or takes more memory or time than a file of its size can.
    InputError
        If it holds a kind of transform that is not known, or no inverse.
    BackendError
        If h5py (X5) or SimpleITK (ITK) is not installed.
    """
    if x5 or path.name.lower().endswith(X5):
        hdf5()
        return read_apart(path, "x5", inverse)
    return read_apart(path, "hdf5", inverse)


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
        reader = itk_reader(path, f"{FUNCTION}: {str(path)!r}")
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
