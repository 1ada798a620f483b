"""The input transform: a map of any type as a Transform between the two images."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError, GeometryError, InputError
from ..exchange.reading import is_object, read_transform
from ..geometry.displacement import Float
from ..geometry.field import refuse_impossible
from ..geometry.grid import Grid
from ..images.frames import frame_of_map
from ..images.image import Image
from ..images.voxels import real_array
from ..io.result_fields import read_fields
from ..io.result_folder import is_result
from ..options.options import Options
from ..transforms.held import held_transform
from ..transforms.transform import Transform
from .affine_part import affine_and_rest, with_affine_part


@dataclass(frozen=True)
class InputTransform:
    """A map on the grids of two images, and its origin.

    Attributes
    ----------
    transform : Transform
        With nodes only if there is a deformable part.
    kind : str
        Description of the input for messages, such as "a Result".
    options : Options or None
        Options it was computed with, if known.
    minimised : bool
        Whether it was computed by the solver.
    registered : (Transform, Image) or None
        The original map and the image it warped, if known, to verify the images.
    """

    transform: Transform
    kind: str
    options: Options | None = None
    minimised: bool = False
    registered: tuple[Transform, Image] | None = None


def input_transform(
    value: Any, fixed: Image, moving: Image, *, argument: str, function: str
) -> InputTransform:
    """The map as a Transform on the grids of the two images.

    Parameters
    ----------
    value : Transform, object with a ``transform``, object of another tool, array or path
        A :class:`varreg.Transform`, a :class:`varreg.Result`, a ``learned`` prediction; an
        :class:`varreg.Inverse`; a transform of SimpleITK or nitransforms; a matrix
        (d + 1, d + 1), fixed world -> moving world (mm); a total displacement (d, *S) in fixed
        voxels, as ``Result.displacement``; the folder of a saved result, or a transform file, or
        several (see ``varreg.read_transform``).
    fixed, moving : Image
    argument, function : str
        For the messages.

    Returns
    -------
    InputTransform
        A transform of another fixed grid is evaluated at the fixed voxels; the map between the worlds
        is unchanged, up to interpolation between voxels.

    Raises
    ------
    InputError, GeometryError, FileError
        If it is not a map, not finite, or of another dimension or shape.

    Examples
    --------
    >>> image = Image.from_array(np.eye(8))
    >>> shift = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> input_transform(shift, image, image, argument="transform", function="f").transform.nodes is None
    True
    """
    where = argument, function
    if isinstance(value, (str, os.PathLike)):
        return _from_path(value, fixed, moving, *where)
    held = held_transform(value)
    if held is not None:
        options = getattr(value, "options", None)
        known = options if isinstance(options, Options) else None
        placed, ours = _placed(held, fixed, moving, *where), bool(getattr(value, "levels", ()))
        placed = placed if ours else with_affine_part(placed)
        warped = getattr(value, "warped", None)
        registered = (held, warped) if isinstance(warped, Image) else None
        return InputTransform(placed, _kind(value), known, ours, registered)
    if is_object(value):
        return _from_files(value, _kind(value), fixed, moving, *where)
    if is_paths(value):
        return _from_files(value, f"the chain of {len(value)} files", fixed, moving, *where)
    return _from_array(value, fixed, moving, *where)


def _kind(value: Any) -> str:
    """Class name with the indefinite article."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"


def is_paths(value: Any) -> bool:
    """Whether the value is a sequence of paths."""
    held = isinstance(value, (list, tuple)) and len(value) > 0
    return held and all(isinstance(path, (str, os.PathLike)) for path in value)


def _from_path(
    path: Any, fixed: Image, moving: Image, argument: str, function: str
) -> InputTransform:
    """Read a saved result, or any supported transform file."""
    folder = Path(os.fsdecode(path)).expanduser()
    if is_result(path):
        saved = read_fields(path)
        transform = _placed(saved["transform"], fixed, moving, argument, function)
        kind = f"the saved result {folder.name!r}"
        registered = saved["transform"], saved["warped"]
        return InputTransform(transform, kind, saved["options"], bool(saved["levels"]), registered)
    if not folder.exists():
        raise FileError(
            f"{function}: `{argument}` is {os.fspath(path)!r}, which is not a file; give the "
            "folder of a saved result or a transform file."
        )
    return _from_files(path, f"the file {folder.name!r}", fixed, moving, argument, function)


def _from_files(
    source: Any, kind: str, fixed: Image, moving: Image, argument: str, function: str
) -> InputTransform:
    """Read transform files of other tools."""
    read = read_transform(source, fixed, moving)
    return InputTransform(with_affine_part(_placed(read, fixed, moving, argument, function)), kind)


def _from_array(
    value: Any, fixed: Image, moving: Image, argument: str, function: str
) -> InputTransform:
    """Interpret an array as a matrix or a total displacement."""
    d, shape = fixed.grid.dim, fixed.grid.shape
    array = real_array(value, argument=argument, function=function).astype(np.float64)
    if array.shape not in ((d + 1, d + 1), (d, *shape)):
        raise InputError(
            f"{function}: `{argument}` has shape {array.shape}; for these images it may be a matrix"
            f" {(d + 1, d + 1)}, fixed world -> moving world, or a displacement {(d, *shape)} in voxels"
            " of the fixed image."
        )
    refuse_impossible(array, f"{function}: `{argument}`")
    matrix: Float = array
    nodes, kind = None, "a matrix"
    if array.ndim == d + 1:
        matrix, nodes = affine_and_rest(array, fixed.grid)
        kind = "a displacement"
    try:
        transform = Transform(
            fixed.grid, moving.grid, matrix, nodes, frame=frame_of_map(fixed, moving)
        )
    except GeometryError as error:
        raise GeometryError(f"{function}: `{argument}` is not usable: {error}") from None
    return InputTransform(transform, kind)


def _placed(
    transform: Transform, fixed: Image, moving: Image, argument: str, function: str
) -> Transform:
    """The same map between the worlds, on the grids of the two images."""
    if transform.fixed.dim != fixed.grid.dim:
        raise GeometryError(
            f"{function}: `{argument}` maps {transform.fixed.dim}D images, and these are"
            f" {fixed.grid.dim}D."
        )
    frame = frame_of_map(fixed, moving)
    if frame is not None and transform.frame is not None:
        limit = np.full((4, 4), 1e-3)
        limit[:3, 3] = 1e-2 * float(fixed.grid.spacing.min())  # mm
        if (np.abs(frame - transform.frame) > limit).any():
            raise GeometryError(
                f"{function}: `{argument}` belongs to slices of another plane than these images."
            )
    nodes, constraint = transform.nodes, transform.constraint
    if nodes is not None and not transform.fixed.same_space(fixed.grid):
        nodes, constraint = _read_at(transform, fixed.grid), "zero-mean"
    return Transform(fixed.grid, moving.grid, transform.affine, nodes, constraint, frame)


def _read_at(transform: Transform, grid: Grid) -> Float:
    """u (mm along the axes of `grid`) at the voxels of `grid`, (d, *S)."""
    source = transform.fixed
    turn = np.linalg.solve(grid.direction, source.direction)
    field = np.empty((grid.dim, *grid.shape))
    for plane in range(grid.shape[0]):  # one plane at a time, to limit memory
        voxels = np.indices((1, *grid.shape[1:]), dtype=np.float64)
        voxels[0] += plane
        points = source.world_to_voxel(grid.voxel_to_world(voxels))
        field[:, plane] = np.tensordot(turn, transform.u_at(points), 1)[:, 0]
    return field
