"""u at the nodes of its grid as a NIfTI vector image in float64, bitwise exact."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ..geometry.displacement import Float
from ..images import slices
from ..images.image import Image
from ..images.nifti import nifti_image
from ..images.payload import refuse_long_header, stored_voxels
from .records import Damage

_DEFLATE = 1032  # largest expansion factor of DEFLATE


def write_nodes(path: Path, nodes: Float, fixed: Image) -> None:
    """Write u on the grid of its nodes.

    Parameters
    ----------
    path : Path
        ``.nii.gz``.
    nodes : (d, *m) array
        In mm along the axes of the fixed array; ITK and FSL vector images use other conventions.
    fixed : Image
        An image on the fixed grid.
    """
    affine = fixed.grid.resized(nodes.shape[1:]).affine
    if nodes.ndim == 3:
        frame = np.eye(4) if fixed.frame is None else fixed.frame
        affine = slices.join_affine(affine, frame, frame[:3, 2], 2)
    stored = np.moveaxis(nodes, 0, -1).reshape(_stored_shape(nodes.shape))
    image = nifti_image(stored, affine)
    image.header.set_intent("vector")
    image.header["descrip"] = b"varreg u, mm along the fixed array axes"
    image.to_filename(path)


def read_nodes(path: Path, shape: tuple[int, ...]) -> Float:
    """Read u; the header is compared with the expected shape before memory is allocated.

    Parameters
    ----------
    path : Path
        A file written by :func:`write_nodes`.
    shape : tuple of int
        (d, *m).

    Returns
    -------
    (d, *m) float64 array

    Raises
    ------
    FileError
        If the file has other content; exceptions of nibabel and gzip are not converted.
    """
    import nibabel

    refuse_long_header(path)
    image = nibabel.Nifti1Image.from_filename(path)
    if image.shape != _stored_shape(shape) or image.get_data_dtype() != np.float64:
        raise Damage(f"{path.name} holds {image.shape} numbers and not nodes of shape {shape}")
    if math.prod(shape) * 8 > path.stat().st_size * _DEFLATE:
        raise Damage(f"{path.name} is too short for {math.prod(shape)} numbers")
    stored = np.asarray(stored_voxels(image.dataobj), dtype=np.float64)
    return np.ascontiguousarray(np.moveaxis(stored.reshape(*shape[1:], shape[0]), -1, 0))


def _stored_shape(nodes: tuple[int, ...]) -> tuple[int, ...]:
    """(d, *m) -> (x, y, z, 1, d), with z = 1 in 2D."""
    return (*nodes[1:], *(1,) * (4 - len(nodes)), 1, nodes[0])
