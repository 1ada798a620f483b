"""write_transform: conversion of varreg.Transform to files of other tools."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..io.atomic import atomic_paths
from ..io.destination import usable_path
from ..transforms.held import held_transform
from ..transforms.transform import Transform
from .bids import sidecar
from .chain import AffineMap, Chain, FieldMap
from .composing import chain_of, inverted, tool_grid
from .formats import TARGETS
from .itk_files import HDF5
from .x5 import X5, write_x5

FUNCTION = "varreg.write_transform"
_NIFTI = (".nii", ".nii.gz")
_TEXT = (".tfm", ".txt")
_ROWS = (".mat", ".txt")
_NUMPY = (".npy", ".npz")

Writer = Callable[[Path], None]
Files = list[tuple[str, Writer]]


def write_transform(
    transform: Any,
    path: str | os.PathLike[str],
    to: str | None = None,
    *,
    overwrite: bool = False,
    inverse: bool = False,
) -> tuple[Path, ...]:
    """Write a transform for another tool.

    Parameters
    ----------
    transform : Transform or Result
        The map fixed -> moving.
    path : str or PathLike
        The suffix selects the format, see below.  Any other path is a prefix for two files, for ANTs
        and greedy.  Beside a file with a BIDS name (``from-T2w_to-T1w_mode-image_xfm.h5``) its JSON
        file is written, with the version, the options and checks of a Result, and both images.
    to : {"itk", "ants", "fsl", "greedy", "x5", "numpy"}, optional
        By default given by the suffix: "x5" for ``.x5``, "numpy" for ``.npz`` and ``.npy``, else "itk".

        - "itk", "ants": ``.h5`` (all in one file; requires SimpleITK), ``.nii.gz`` (one displacement
          field of the whole map), for an affine map ``.mat`` and ``.tfm`` or ``.txt`` (requires
          SimpleITK); a prefix gives ``1Warp.nii.gz`` and ``0GenericAffine.mat``.
        - "greedy": ``.nii.gz`` (the whole map), for an affine map ``.mat``; a prefix gives
          ``warp.nii.gz`` and ``affine.mat``.
        - "fsl": ``.nii.gz``, for an affine map ``.mat`` of FLIRT.
        - "x5": ``.x5`` or ``.h5`` of nitransforms (requires h5py).
        - "numpy": ``.npz``, ``.npy``.
    overwrite : bool
        Replace files that exist.
    inverse : bool
        Write the map moving -> fixed instead, exact at the moving voxels within 0.001 mm.

    Returns
    -------
    tuple of Path
        The files, in the order in which ``antsApplyTransforms -t`` and ``greedy -r`` take them: the
        first is applied to fixed points first.

    Raises
    ------
    InputError
        If the suffix does not fit `to` or the transform, or a BIDS name states the opposite direction.
    GeometryError
        If the format cannot hold the geometry (2D in FSL, oblique slices, sheared voxels), or the
        inverse does not exist.
    FileError
        If a file exists or cannot be written; then none is written.
    BackendError
        If a library that the format requires is missing.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import varreg
    >>> grid = varreg.Grid.with_spacing((8, 8))
    >>> transform = varreg.Transform(grid, grid, np.eye(3), np.ones((2, 8, 8)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = varreg.write_transform(transform, folder + "/out_", to="ants")
    ...     again = varreg.read_transform(files, grid, grid)
    >>> [file.name for file in files]
    ['out_1Warp.nii.gz', 'out_0GenericAffine.mat']
    >>> again.points([3, 3]).tolist()
    [4.0, 4.0]
    """
    map_ = _transform(transform)
    target = usable_path(path, FUNCTION)
    _refuse_nameless(os.fsdecode(path), target)
    to = _kind(target) if to is None else to
    if not isinstance(to, str) or to not in TARGETS:
        raise InputError(f"{FUNCTION}: `to` is {to!r}; give one of {', '.join(TARGETS)}.")
    beside = sidecar(transform, target, inverse, FUNCTION)
    map_ = inverted(map_) if inverse else map_
    makers = {"itk": _itk, "ants": _itk, "greedy": _greedy, "fsl": _fsl, "x5": _x5, "numpy": _numpy}
    files = makers[to](map_, os.fspath(target), to)
    paths = tuple(Path(file) for file, _ in files)
    if beside is not None and len(files) == 1:
        files.append((beside.path, lambda file: beside.write(file, map_)))
    with atomic_paths([file for file, _ in files], overwrite=overwrite) as temporary:
        for file, (_, write) in zip(temporary, files, strict=True):
            write(file)
    return paths


def _kind(target: Path) -> str:
    """Format implied by a suffix."""
    ending = target.suffix.lower()
    return "x5" if ending in X5 else "numpy" if ending in _NUMPY else "itk"


def _refuse_nameless(given: str, target: Path) -> None:
    """Refuse a folder, or a bare suffix: files would be hidden, or written beside it."""
    ends = (*HDF5, *X5, *_NIFTI, *_TEXT, *_ROWS, *_NUMPY, ".mat", ".")
    if given.endswith(("/", os.sep)) or target.is_dir() or target.name.lower() in ("", *ends):
        raise InputError(
            f"{FUNCTION}: `path` is {given!r}, which names no file; give one in the folder, e.g. "
            f"{str(target / 'map') if target.name.lower() not in ends else 'map' + target.name!r}."
        )


def _transform(value: Any) -> Transform:
    """The transform of a Transform or a Result."""
    if (held := held_transform(value)) is not None:
        return held
    raise InputError(
        f"{FUNCTION}: `transform` is a {type(value).__name__}; give a varreg Transform or Result "
        "(of an Inverse: its transform, with inverse=True)."
    )


def _itk(transform: Transform, path: str, to: str) -> Files:
    """ITK and ANTs: LPS+."""
    from .itk_files import write_itk_file
    from .matrices import write_matlab

    chain, name = chain_of(transform), path.lower()
    if name.endswith(HDF5):
        return [(path, lambda file: write_itk_file(file, chain))]
    if name.endswith(_NIFTI):
        return [(path, _total(chain, transform))]
    if name.endswith((".mat", *_TEXT)):
        _refuse_field(chain, path, to)
        if name.endswith(".mat"):
            return [(path, lambda file: write_matlab(file, chain.affine))]
        return [(path, lambda file: write_itk_file(file, chain))]
    if to == "itk":
        raise _unfit(path, to, ".h5, .nii.gz, .mat or .tfm")
    affine = [(path + "0GenericAffine.mat", lambda file: write_matlab(file, chain.affine))]
    return _field(chain, path + "1Warp.nii.gz") + affine


def _greedy(transform: Transform, path: str, to: str) -> Files:
    """greedy: matrices in RAS+, fields like ITK."""
    from .matrices import write_rows

    chain, name = chain_of(transform), path.lower()
    if name.endswith(_NIFTI):
        return [(path, _total(chain, transform))]
    if name.endswith(_ROWS):
        _refuse_field(chain, path, to)
        return [(path, lambda file: write_rows(file, chain.affine))]
    affine = [(path + "affine.mat", lambda file: write_rows(file, chain.affine))]
    return _field(chain, path + "warp.nii.gz") + affine


def _fsl(transform: Transform, path: str, to: str) -> Files:
    """FSL: scaled-voxel coordinates of both images."""
    from .fsl import write_flirt, write_warp

    fixed, moving, chain = transform.fixed, transform.moving, chain_of(transform)
    if fixed.dim != 3:
        raise InputError(
            f"{FUNCTION}: FSL's transforms are 3D, and this one is 2D; write to='itk'."
        )
    if path.lower().endswith(_NIFTI):
        return [(path, lambda file: write_warp(file, chain, fixed, moving))]
    if not path.lower().endswith(_ROWS):
        raise _unfit(path, to, ".nii.gz or .mat")
    _refuse_field(chain, path, to)
    return [(path, lambda file: write_flirt(file, chain.affine, fixed, moving))]


def _x5(transform: Transform, path: str, to: str) -> Files:
    """X5: RAS+, u and A with their inverses."""
    if transform.fixed.dim != 3:
        raise InputError(
            f"{FUNCTION}: X5 is 3D for the tools that read it, and this transform is 2D; write to='itk'."
        )
    if not path.lower().endswith((*X5, *HDF5)):
        raise _unfit(path, to, ".x5 or .h5")
    return [(path, lambda file: write_x5(file, transform))]


def _numpy(transform: Transform, path: str, to: str) -> Files:
    from .numpy_files import write_numpy

    if not path.lower().endswith(_NUMPY):
        raise _unfit(path, to, ".npz or .npy")
    return [(path, lambda file: write_numpy(file, transform))]


def _field(chain: Chain, path: str) -> Files:
    """The field of a chain unchanged; no file if there is none."""
    from .vector_images import write_itk_field

    first = chain.parts[0]
    if not isinstance(first, FieldMap):
        return []
    return [(path, lambda file: write_itk_field(file, first.grid, first.vectors))]


def _total(chain: Chain, transform: Transform) -> Writer:
    """The whole map as one field on the fixed grid."""
    from .vector_images import write_itk_field

    grid = tool_grid(transform.fixed, transform.frame)
    return lambda file: write_itk_field(
        file, grid, chain.on_grid(grid) - grid.voxel_to_world(grid.coordinates())
    )


def _refuse_field(chain: Chain, path: str, to: str) -> None:
    if all(isinstance(part, AffineMap) for part in chain.parts):
        return
    others = {"itk": ".h5 or .nii.gz", "ants": ".h5, .nii.gz or a prefix", "greedy": "a prefix"}
    raise InputError(
        f"{FUNCTION}: `path` is {path!r}, which holds an affine map only, and the transform is "
        f"deformable too; give {others.get(to, '.nii.gz')}."
    )


def _unfit(path: str, to: str, endings: str) -> InputError:
    return InputError(
        f"{FUNCTION}: `path` is {path!r}; to={to!r} requires a file that ends in {endings}."
    )
