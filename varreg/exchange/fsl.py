"""FSL: FLIRT matrices and relative warp fields, both in FSL's scaled-voxel coordinates.

FSL's coordinates are voxels times spacing, with the first axis reversed if the determinant of
the image's affine is positive.  A FLIRT matrix maps moving to fixed; a warp field is defined on the fixed
image and holds moving minus fixed coordinates.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import FileError, GeometryError
from ..geometry.displacement import Float
from ..geometry.grid import Grid
from ..images.nifti import nifti_image
from ..images.payload import stored_voxels
from .chain import AffineMap, Chain, FieldMap
from .files import FUNCTION, explained
from .matrices import read_rows, write_rows
from .vector_images import opened

_DISPLACEMENT = 2006  # FSL_FNIRT_DISPLACEMENT_FIELD
_COEFFICIENTS = (2007, 2008, 2009, 2010)


def scaled_voxels(grid: Grid) -> Float:
    """Voxel -> FSL's coordinates (mm), (4, 4).

    Examples
    --------
    >>> scaled_voxels(Grid.with_spacing((4, 4, 4), 2.0))[0].tolist()
    [-2.0, 0.0, 0.0, 6.0]
    """
    matrix = np.diag([*grid.spacing, 1.0])
    if np.linalg.det(grid.affine) > 0:
        matrix[0, 0], matrix[0, 3] = -grid.spacing[0], (grid.shape[0] - 1) * grid.spacing[0]
    return matrix


def read_flirt(path: Path, fixed: Grid, moving: Grid) -> Chain:
    """Read the matrix written by ``flirt -in MOVING -ref FIXED -omat``.

    Parameters
    ----------
    path : Path
    fixed, moving : Grid
        3D.

    Returns
    -------
    Chain
        In RAS+ world.

    Raises
    ------
    FileError
        If the file does not hold a matrix.
    GeometryError
        If the images are 2D or the matrix is singular.
    """
    start, end = _world_to_scaled(fixed), _world_to_scaled(moving)
    inverse = AffineMap(read_rows(path)).inverse().matrix
    return Chain((AffineMap(np.linalg.solve(end, inverse @ start)),), 3)


def write_flirt(path: Path, matrix: Float, fixed: Grid, moving: Grid) -> None:
    """Write a RAS+ matrix, fixed -> moving, in FLIRT's convention."""
    start, end = _world_to_scaled(fixed), _world_to_scaled(moving)
    write_rows(path, np.linalg.inv(end @ matrix @ np.linalg.inv(start)))


def read_warp(path: Path, fixed: Grid, moving: Grid) -> Chain:
    """Read a relative FSL warp field.

    Parameters
    ----------
    path : Path
        NIfTI, shape (x, y, z, 3).
    fixed, moving : Grid
        3D; the warp field must be on the fixed grid.

    Returns
    -------
    Chain
        In RAS+ world.

    Raises
    ------
    FileError
        If the file is damaged, or holds coefficients or absolute coordinates.
    GeometryError
        If the field is not on the fixed grid.
    """
    image = opened(path)
    if len(image.shape) != 4 or image.shape[3] != 3:
        raise FileError(f"{FUNCTION}: {str(path)!r} has shape {image.shape}, not (x, y, z, 3).")
    if int(image.header["intent_code"]) in _COEFFICIENTS:
        raise FileError(
            f"{FUNCTION}: {str(path)!r} holds spline coefficients of FNIRT; make a field of them: "
            "`fnirtfileutils -i coefficients -r fixed -o field --withaff`."
        )
    start = _world_to_scaled(fixed)
    if not Grid(image.shape[:3], image.affine).same_space(fixed, 1e-3):
        raise GeometryError(
            f"{FUNCTION}: the warp field {str(path)!r} does not lie on `fixed`; give the image that "
            "it was made for as `fixed`."
        )
    with explained(path):
        stored = stored_voxels(image.dataobj)
        vectors = np.moveaxis(stored, -1, 0).astype(np.float64).reshape(3, -1)
    here = fixed.voxel_to_world(fixed.coordinates()).reshape(3, -1)
    scaled = AffineMap(start).points(here)
    _refuse_absolute(path, vectors, scaled)
    there = AffineMap(np.linalg.inv(_world_to_scaled(moving))).points(scaled + vectors)
    return Chain((FieldMap(fixed, (there - here).reshape(3, *fixed.shape), outside="edge"),), 3)


def write_warp(path: Path, chain: Chain, fixed: Grid, moving: Grid) -> None:
    """Write the whole map as a relative warp field, for ``applywarp --rel``."""
    start, end = _world_to_scaled(fixed), _world_to_scaled(moving)
    here = AffineMap(start).points(fixed.voxel_to_world(fixed.coordinates()).reshape(3, -1))
    there = AffineMap(end).points(chain.on_grid(fixed).reshape(3, -1))
    vectors = (there - here).reshape(3, *fixed.shape).astype(np.float32)
    image = nifti_image(np.ascontiguousarray(np.moveaxis(vectors, 0, -1)), fixed.affine)
    image.header["intent_code"] = _DISPLACEMENT  # no nibabel name exists
    image.header["descrip"] = b"varreg: relative warp, FSL mm"
    image.to_filename(path)


def _world_to_scaled(grid: Grid) -> Float:
    if grid.dim != 3:
        raise GeometryError("varreg: FSL's transforms are 3D, and the images are 2D.")
    return np.asarray(scaled_voxels(grid) @ np.linalg.inv(grid.affine))


def _refuse_absolute(path: Path, vectors: Float, scaled: Float) -> None:
    """Refuse absolute warp fields by FSL's own criterion: interpreted as absolute, the field is nearly the identity."""
    if (vectors - scaled).std(axis=1).sum() < vectors.std(axis=1).sum():
        raise FileError(
            f"{FUNCTION}: {str(path)!r} seems to hold absolute coordinates; make them relative: "
            "`convertwarp -r fixed -w field -o relative --relout`."
        )
