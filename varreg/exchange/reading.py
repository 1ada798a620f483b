"""read_transform: conversion of any transform to varreg.Transform."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..errors import FileError, InputError
from ..geometry.grid import Grid
from ..images.grids import grid_pair
from ..io.result_fields import read_fields
from ..io.result_folder import is_result
from ..transforms.held import held_transform
from ..transforms.inverse import Inverse
from ..transforms.transform import Transform
from . import itk_files
from .chain import AffineMap, Chain, Part, inverse_of
from .composing import chain_of, inverted, tool_grid, transform_of
from .files import FUNCTION, checked_path, is_text, text_of
from .formats import FORMATS
from .x5 import X5

_NIFTI = (".nii", ".nii.gz")
_ITK_IMAGES = (".mha", ".mhd", ".nrrd", ".nhdr")


def read_transform(
    source: Any,
    fixed: Any = None,
    moving: Any = None,
    *,
    format: str | None = None,
    invert: bool | Sequence[bool] = False,
) -> Transform:
    """Read a transform of another tool or of varreg.

    Parameters
    ----------
    source : path, object, or sequence of them
        A transform file (ITK and ANTs: ``.mat``, ``.tfm``, ``.txt``, ``.h5``, displacement fields;
        greedy; FSL; elastix; X5; NumPy), the folder of a saved result, a SimpleITK or nitransforms
        object, a `Transform`, a `Result` or the like.  In a sequence the first is applied to fixed
        points first, the order of ``antsApplyTransforms -t``, ``greedy -r`` and ``fwdtransforms``.
    fixed, moving : Grid, Image, array, nibabel image or path
        The images of the transform: it maps points of `fixed` to points of `moving`.
        Optional for a saved result.
    format : {"itk", "ants", "greedy", "fsl", "elastix", "x5", "numpy", "result"}, optional
        Detected from the file by default; a bare 4 x 4 matrix in text may be greedy's (RAS) or
        FLIRT's, so its format must be given.
    invert : bool or sequence of bool
        Sources to be inverted first: affine transforms, and X5 files that hold their inverse.

    Returns
    -------
    Transform
        Exact for an affine map, and for a displacement field on the fixed grid that is followed by
        an affine map.  Anything else is sampled at the fixed voxels, with the product of all affine
        parts as A.

    Raises
    ------
    FileError
        If a file cannot be read; the message says why.
    InputError
        If a source cannot be identified.
    GeometryError
        If the transform does not fit the images.
    BackendError
        If a library that the format requires is missing; the message contains the pip command.

    Examples
    --------
    >>> import numpy as np
    >>> import varreg
    >>> grid = varreg.Grid.with_spacing((8, 8))
    >>> shift = np.array([[1.0, 0, 2], [0, 1, 0], [0, 0, 1]])
    >>> transform = varreg.Transform(grid, grid, shift)
    >>> varreg.read_transform([transform, transform], grid, grid).points([0, 0]).tolist()
    [4.0, 0.0]
    """
    if format is not None and (not isinstance(format, str) or format not in FORMATS):
        raise InputError(f"{FUNCTION}: `format` is {format!r}; give one of {', '.join(FORMATS)}.")
    sources = list(source) if isinstance(source, (list, tuple)) else [source]
    flags = _flags(invert, len(sources))
    if len(sources) == 1 and not flags[0] and fixed is None and moving is None:
        if (whole := _own(sources[0], format)) is not None:
            return whole
    target, start, frame = grid_pair(fixed, moving, FUNCTION)
    if len(sources) == 1 and not flags[0]:
        if (whole := _direct(sources[0], format, target, start, frame)) is not None:
            return whole
    grids = tool_grid(target, frame), tool_grid(start, frame)
    parts = list[Part]()
    for one, flag in zip(sources, flags, strict=True):
        parts += (_inverse if flag else _chain)(one, format, *grids).parts
    return transform_of(Chain(tuple(parts), target.dim), target, start, frame)


def _flags(invert: Any, count: int) -> list[bool]:
    """Whether to invert, for each source."""
    flags = [invert] * count if isinstance(invert, bool) else invert
    if not isinstance(flags, (list, tuple)) or not all(isinstance(f, bool) for f in flags):
        raise InputError(
            f"{FUNCTION}: `invert` must be True or False, or a list of these; got {invert!r}."
        )
    if count == 0 or len(flags) != count:
        raise InputError(
            f"{FUNCTION}: {count} sources were given and {len(flags)} values of `invert`; "
            "give at least one source and a value for each."
        )
    return list(flags)


def is_object(source: Any) -> bool:
    """Whether the source is an object, not an array, that :func:`read_transform` accepts."""
    tools = ("SimpleITK", "nitransforms")
    return isinstance(source, Inverse) or type(source).__module__.split(".")[0] in tools


def _own(source: Any, format: str | None) -> Transform | None:
    """The transform of a varreg object that has its own grids."""
    if isinstance(source, Inverse):
        return inverted(source.transform)
    if (held := held_transform(source)) is not None:
        return held
    if format == "result" or (format is None and _is_result(source)):
        transform: Transform = read_fields(source)["transform"]
        return transform
    return None


def _direct(
    source: Any, format: str | None, fixed: Grid, moving: Grid, frame: NDArray[Any] | None
) -> Transform | None:
    """Sources that need no chain: their grids are already correct, or only voxels matter."""
    own = _own(source, format)
    if own is not None and own.fixed.same_space(fixed) and own.moving.same_space(moving):
        return own
    if _is_numpy(source, format):
        from .numpy_files import read_numpy

        return read_numpy(checked_path(source), fixed, moving, frame)
    return None


def _inverse(source: Any, format: str | None, fixed: Grid, moving: Grid) -> Chain:
    """The inverse of one source: exactly if it is affine, or as stored in an X5 file."""
    named = isinstance(source, (str, os.PathLike)) and not _is_result(source)
    if named and _is_hdf5(Path(os.fsdecode(source)), format):
        return itk_files.read_hdf5(checked_path(source), True, format == "x5")
    return inverse_of(_chain(source, format, fixed, moving), source)


def _chain(source: Any, format: str | None, fixed: Grid, moving: Grid) -> Chain:
    """One source as a chain; the grids are in the world of other tools."""
    own = _own(source, format)
    if own is not None:
        return chain_of(own)
    module = type(source).__module__.split(".")[0]
    if module == "SimpleITK":
        from .itk_objects import chain_of_itk

        return chain_of_itk(source)
    if module == "nitransforms":
        from .nitransforms_objects import chain_of_nitransforms

        return chain_of_nitransforms(source)
    if not isinstance(source, (str, os.PathLike)):
        raise InputError(
            f"{FUNCTION}: `source` is a {type(source).__name__}, which is not a transform that is known; "
            "give a path, a SimpleITK or nitransforms object, or a varreg Transform."
        )
    path = checked_path(source)
    if _is_numpy(source, format):
        from .numpy_files import read_numpy

        return chain_of(read_numpy(path, fixed, moving))
    return _file(path, format, fixed, moving)


def _file(path: Path, format: str | None, fixed: Grid, moving: Grid) -> Chain:
    """Read a file by its suffix and signature."""
    from . import elastix, fsl, matrices, vector_images

    name = path.name.lower()
    if name.endswith(_NIFTI):
        image = vector_images.opened(path)
        if format == "fsl" or (format is None and not vector_images.is_itk(image)):
            return fsl.read_warp(path, fixed, moving)
        return Chain((field := vector_images.read_itk_field(path),), field.dim)
    if name.endswith(_ITK_IMAGES):
        return itk_files.read_itk_image(path)
    if _is_hdf5(path, format):
        return itk_files.read_hdf5(path, x5=format == "x5")
    if not is_text(path):
        affine = matrices.read_matlab(path)
        return itk_files.read_itk_file(path) if affine is None else Chain((affine,), affine.dim)
    text = text_of(path)
    if format == "elastix" or (format is None and elastix.is_elastix(text)):
        return elastix.read_elastix(path)
    if text.startswith("#Insight Transform File"):
        return itk_files.read_itk_file(path)
    if format == "fsl":
        return fsl.read_flirt(path, fixed, moving)
    matrix = matrices.read_rows(path)
    if format != "greedy":
        raise InputError(
            f"{FUNCTION}: {str(path)!r} is a matrix without its convention; give it: format='greedy' (RAS+ world, "
            "fixed to moving) or format='fsl' (FLIRT)."
        )
    return Chain((AffineMap(matrix),), len(matrix) - 1)


def _is_hdf5(path: Path, format: str | None) -> bool:
    return format == "x5" or path.name.lower().endswith((*X5, *itk_files.HDF5))


def _is_result(source: Any) -> bool:
    """Whether the source is the path of a saved result folder."""
    if not isinstance(source, (str, os.PathLike)):
        return False
    try:
        return is_result(source)
    except (OSError, RuntimeError, ValueError) as error:
        raise FileError(f"{FUNCTION}: {source!r} is no usable path ({error}).") from error


def _is_numpy(source: Any, format: str | None) -> bool:
    named = isinstance(source, (str, os.PathLike)) and os.fsdecode(source).lower().endswith(
        (".npy", ".npz")
    )
    return named and format in (None, "numpy")
