"""Displacement fields as NIfTI vector images: of ITK (also ANTs and greedy), and plain vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FileError, GeometryError
from ..geometry.displacement import Float
from ..geometry.grid import Grid
from ..images.nifti import nifti_image
from ..images.payload import refuse_long_header, stored_voxels
from .chain import FieldMap
from .files import FUNCTION, explained

_VECTORS = (1006, 1007)  # NIFTI_INTENT_DISPVECT, NIFTI_INTENT_VECTOR
_SHEAR = 1e-4  # largest cosine between two axes that count as orthogonal


def opened(path: Path) -> Any:
    """Open a NIfTI file, reading only its header."""
    import nibabel

    with explained(path):
        refuse_long_header(path)
        image = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image):
            raise FileError(f"{FUNCTION}: {str(path)!r} is not a NIfTI file.")
        return image


def is_itk(image: Any) -> bool:
    """Whether a NIfTI header is that of an ITK displacement field: 5D, vectors last.

    Examples
    --------
    >>> import nibabel
    >>> is_itk(nibabel.Nifti1Image(np.zeros((4, 4, 4, 3), np.float32), np.eye(4)))
    False
    """
    shape = image.shape
    return len(shape) == 5 and shape[3] == 1 and shape[4] in (2, 3)


def read_itk_field(path: Path) -> FieldMap:
    """Read a displacement field as written by ITK, ANTs and greedy.

    Parameters
    ----------
    path : Path
        NIfTI, shape (x, y, z, 1, d) or (x, y, 1, 1, 2), vectors in LPS+ mm.

    Returns
    -------
    FieldMap
        In RAS+ world.

    Raises
    ------
    FileError
        If the file is damaged or has other content.
    GeometryError
        If a vector is not finite.
    """
    image = opened(path)
    if not is_itk(image):
        raise FileError(
            f"{FUNCTION}: {str(path)!r} has shape {image.shape} and not that of a displacement "
            "field of ITK, (x, y, z, 1, d). A warp field of FSL is read as format='fsl'."
        )
    intent = int(image.header["intent_code"])
    if intent not in (0, *_VECTORS):
        raise FileError(f"{FUNCTION}: {str(path)!r} has intent code {intent}, not that of vectors.")
    dim = image.shape[-1]
    if dim == 2 and image.shape[2] != 1:
        raise FileError(f"{FUNCTION}: {str(path)!r} holds 2D vectors in a volume.")
    with explained(path):
        stored = stored_voxels(image.dataobj)
        affine = np.asarray(image.affine, dtype=np.float64)
        vectors = np.moveaxis(stored[:, :, :, 0, :], -1, 0).astype(np.float64)
    vectors[:2] *= -1
    if dim == 2:
        vectors = vectors[..., 0]
        affine = np.delete(np.delete(affine, 2, axis=0), 2, axis=1)
    return FieldMap(Grid(vectors.shape[1:], affine), vectors)


def write_itk_field(path: Path, grid: Grid, vectors: Float) -> None:
    """Write a displacement field as read by ITK, ANTs and greedy.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``.
    grid : Grid
        In RAS+ world; for a 2D field, in the x-y plane.
    vectors : (d, *S) array
        RAS+ mm.

    Raises
    ------
    GeometryError
        If the axes of the grid are not orthogonal, which ITK cannot represent.
    """
    refuse_shear(grid)
    turned = np.array(vectors, dtype=np.float32)
    turned[:2] *= -1
    image = _volume(grid, np.moveaxis(turned, 0, -1).reshape(*_shape_3d(grid), 1, grid.dim))
    image.header.set_intent("vector")
    image.header["descrip"] = b"varreg: fixed to moving, LPS mm"
    image.to_filename(path)


def refuse_shear(grid: Grid) -> None:
    """Raise unless the axes of a grid are orthogonal.

    Examples
    --------
    >>> refuse_shear(Grid.with_spacing((4, 4), (1, 2)))
    """
    if np.abs(grid.direction.T @ grid.direction - np.eye(grid.dim)).max() > _SHEAR:
        raise GeometryError(
            "varreg.write_transform: the axes of the fixed image are not orthogonal, and ITK, ANTs "
            "and greedy have no form for that; resample the fixed image, or write to='numpy'."
        )


def _volume(grid: Grid, array: NDArray[Any]) -> Any:
    """A NIfTI image; a 2D grid becomes a slice at z = 0."""
    affine = grid.affine
    if grid.dim == 2:
        affine = np.insert(np.insert(affine, 2, 0.0, axis=0), 2, 0.0, axis=1)
        affine[2, 2] = 1.0
    return nifti_image(array, affine)


def _shape_3d(grid: Grid) -> tuple[int, ...]:
    return (*grid.shape, 1)[:3]
