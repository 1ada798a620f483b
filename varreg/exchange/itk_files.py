"""Transform files that SimpleITK reads and writes: .tfm, .txt, .h5, and vector images."""

from __future__ import annotations

from pathlib import Path

from ..errors import FileError
from .chain import Chain
from .files import FUNCTION, explained
from .itk_objects import chain_of_itk, field_of_itk, itk_of_chain, simpleitk
from .optional import needed

HDF5 = (".h5", ".hdf5", ".hdf")
_DEFLATE = 1032  # the largest factor by which DEFLATE can expand


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
        If it is damaged, or claims more than it can hold.
    InputError
        If it holds a kind of transform that is not known.
    BackendError
        If SimpleITK is not installed.
    """
    itk = simpleitk()
    with explained(path):
        if path.suffix.lower() in HDF5:
            _refuse_claim(path)
        transform = itk.ReadTransform(str(path))
    return chain_of_itk(transform)


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
    itk = simpleitk()
    with explained(path):
        image = itk.ReadImage(str(path))
    return Chain((field_of_itk(image),), image.GetDimension())


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


def _refuse_claim(path: Path) -> None:
    """Raise if the data sets of an HDF5 file are larger than a file of this size can hold."""
    h5py = needed("h5py", "reading a transform in HDF5")
    claimed = 0

    def add(_: str, entry: object) -> None:
        nonlocal claimed
        if isinstance(entry, h5py.Dataset):
            claimed += int(entry.size or 0) * entry.dtype.itemsize

    with h5py.File(path, "r") as file:
        file.visititems(add)
    if claimed > path.stat().st_size * _DEFLATE:
        raise FileError(
            f"{FUNCTION}: {str(path)!r} claims {claimed} bytes, more than it can hold; it is damaged."
        )
