"""Conversion of arrays to nibabel images: portable data types and header codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    import nibabel

    from .image import Image

_ALIGNED = 2  # NIFTI_XFORM_ALIGNED_ANAT: coordinates aligned to something else
_VECTOR = 1007  # NIFTI_INTENT_VECTOR

_NIFTI_TYPES = ("uint8", "int16", "int32", "uint16", "int8", "uint32", "float32", "float64")
_MGH_TYPES = ("uint8", "int16", "int32", "float32")


def storable(array: np.ndarray, *, function: str, mgh: bool = False) -> np.ndarray:
    """Return an array of a data type that the format supports and other tools read.

    Supported types are kept.  Other integers (notably int64, which many NIfTI
    readers refuse) become the smallest type that holds their values; bool becomes uint8; other
    floating-point types become float64, or float32 for half precision and for MGH.

    Parameters
    ----------
    array : ndarray
        Real numbers.
    function : str
        Name for the message.
    mgh : bool
        For MGH and MGZ instead of NIfTI.

    Returns
    -------
    ndarray
        `array` itself if its type is kept.

    Raises
    ------
    InputError
        If the numbers are not real or if integers fit no type of the format.

    Examples
    --------
    >>> storable(np.array([0, 300]), function="varreg.write_image").dtype
    dtype('int16')
    """
    types = _MGH_TYPES if mgh else _NIFTI_TYPES
    if array.dtype.name in types:
        return array
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind == "f":
        wide = array.dtype.itemsize > 4 and "float64" in types
        return array.astype(np.float64 if wide else np.float32)
    if array.dtype.kind in "iu":
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
        for candidate in types:
            limits = np.iinfo(candidate) if "int" in candidate else None
            if limits is not None and limits.min <= low and high <= limits.max:
                return array.astype(candidate)
        raise InputError(
            f"{function}: `array` has integers from {low} to {high}, too large for the file type; "
            "renumber the labels or convert to float64."
        )
    raise InputError(
        f"{function}: `array` must hold real numbers; got dtype {array.dtype}. Write real and "
        "imaginary parts or channels one by one."
    )


def nifti_image(array: np.ndarray, affine: np.ndarray) -> nibabel.Nifti1Image:
    """Make a NIfTI image whose sform and, if it can hold it, qform are the affine.

    Parameters
    ----------
    array : ndarray
        In a type that `storable` returns.
    affine : (4, 4) array
        Voxel -> world (mm).

    Returns
    -------
    nibabel.Nifti1Image
        Units mm; form codes 2 ("aligned").

    Examples
    --------
    >>> int(nifti_image(np.zeros((4, 4, 4), np.uint8), np.eye(4)).header["sform_code"])
    2
    """
    import nibabel

    image = nibabel.Nifti1Image(array, affine)
    image.set_sform(affine, code=_ALIGNED)
    image.set_qform(affine, code=_ALIGNED)
    # A quaternion cannot represent shears; tools that prefer the qform must not read another position.
    size = np.linalg.norm(affine[:3, :3], axis=0).min()
    if np.abs(image.get_qform() - affine)[:3].max() > 1e-3 * size:
        image.set_qform(affine, code=0)
    image.header.set_xyzt_units("mm")
    return image


def vector_to_nifti(image: Image, field: np.ndarray) -> nibabel.Nifti1Image:
    """Make a NIfTI vector image on the grid of an image.

    Parameters
    ----------
    image : Image
        Defines shape and geometry.
    field : (d, *S) array
        Components first, in the unit of the caller; stored unchanged.

    Returns
    -------
    nibabel.Nifti1Image
        Float32, shape (x, y, z, 1, d), intent code 1007 (vector).

    Raises
    ------
    InputError
        If the field does not have the shape ``(d, *S)``.

    Examples
    --------
    >>> from varreg.images.accepted import Image
    >>> vector_to_nifti(Image.from_array(np.eye(8)), np.zeros((2, 8, 8))).shape
    (8, 8, 1, 1, 2)
    """
    field = np.asarray(field)
    expected = (image.grid.dim, *image.grid.shape)
    if field.shape != expected:
        raise InputError(
            f"varreg.vector_to_nifti: `field` must have shape {expected}, components first; "
            f"got {field.shape}."
        )
    spread = np.asarray(field, dtype=np.float32).reshape(len(field), *image.shape_3d)
    vectors = np.moveaxis(spread, 0, -1)[..., None, :]
    result = nifti_image(vectors, image.volume_affine)
    result.header.set_intent(_VECTOR)
    return result
