"""Transform files that SimpleITK reads and writes: .tfm, .txt, .h5, and vector images."""

from __future__ import annotations

from pathlib import Path

from ..images.itk_headers import itk_reader
from .chain import Chain
from .files import FUNCTION, explained
from .itk_child import read_apart
from .itk_objects import itk_of_chain, simpleitk

HDF5 = (".h5", ".hdf5", ".hdf")


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
