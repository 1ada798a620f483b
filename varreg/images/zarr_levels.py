"""Resolution levels of a slide in an OME-Zarr (OME-NGFF 0.4 and 0.5), with random access to regions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BackendError, FileError, InputError
from ..geometry.grid import Grid
from .pyramid import Level, Pyramid, Read, smaller

#: Millimetres per unit of length of OME-NGFF.
UNITS = {
    "meter": 1e3,
    "centimeter": 10.0,
    "millimeter": 1.0,
    "micrometer": 1e-3,
    "nanometer": 1e-6,
    "inch": 25.4,
}
_AXES = ("y", "x")


def zarr_library() -> Any:
    """The module zarr, or a `BackendError` with the command to install it."""
    try:
        import zarr
    except ImportError as error:
        raise BackendError(
            f"varreg: OME-Zarr needs zarr, which cannot be imported ({error}); install it with "
            "`python -m pip install 'varreg[pyramid]'`."
        ) from error
    return zarr


def opened(
    path: Path, spacing: tuple[float, float] | None, argument: str, function: str
) -> Pyramid:
    """An OME-Zarr as a pyramid; see :func:`varreg.images.pyramid.open_pyramid`."""
    group = zarr_library().open_group(str(path), mode="r")
    multiscales = group.attrs.get("ome", group.attrs).get("multiscales")
    if not multiscales or not multiscales[0].get("datasets"):
        raise FileError(
            f"{function}: `{argument}` is {str(path)!r}, which has no `multiscales` and so is no OME-Zarr picture."
        )
    axes, datasets = [axis["name"] for axis in multiscales[0]["axes"]], multiscales[0]["datasets"]
    arrays = [group[dataset["path"]] for dataset in datasets]
    _refuse_other(axes, arrays[0].shape, path, argument, function)
    stated = [_places(multiscales[0], dataset, axes) for dataset in datasets]
    grids = _grids(arrays, axes, stated, spacing)
    levels = [Level(grid, _reader(array, axes)) for grid, array in zip(grids, arrays, strict=True)]
    channels = arrays[0].shape[axes.index("c")] if "c" in axes else 1
    dtype = np.dtype(arrays[0].dtype)
    coloured = channels == 3 and dtype == np.uint8
    sized = spacing is not None or stated[0] is not None
    return Pyramid(path.name, tuple(levels), channels, dtype, coloured, sized)


def _refuse_other(
    axes: list[str], shape: tuple[int, ...], path: Path, argument: str, function: str
) -> None:
    others = {a: n for a, n in zip(axes, shape, strict=True) if a not in (*_AXES, "c") and n > 1}
    if others or not set(_AXES) <= set(axes):
        raise InputError(
            f"{function}: `{argument}` is {str(path)!r} with axes {', '.join(axes)} of {tuple(shape)}; it must be one 2D picture in "
            "grey, colour or channels. Save a single plane."
        )


def _places(
    scales: dict[str, Any], dataset: dict[str, Any], axes: list[str]
) -> tuple[list[float], list[float] | None] | None:
    """Pixel sizes and position of the first pixel (mm) of a level; None if the units are not lengths."""
    units = [UNITS.get(scales["axes"][axes.index(axis)].get("unit", "")) for axis in _AXES]
    if None in units:
        return None
    size, place = np.ones(len(axes)), None
    # transformations of the dataset come first, then those common to all levels
    for step in (
        *dataset.get("coordinateTransformations", ()),
        *scales.get("coordinateTransformations", ()),
    ):
        if step.get("type") == "scale":
            size = size * np.array(step["scale"], np.float64)
            place = None if place is None else place * np.array(step["scale"], np.float64)
        elif step.get("type") == "translation":
            place = np.array(step["translation"], np.float64) + (0 if place is None else place)
    chosen = [axes.index(axis) for axis in _AXES]
    lengths = [float(size[k] * u) for k, u in zip(chosen, units, strict=True) if u]
    first = (
        None
        if place is None
        else [float(place[k] * u) for k, u in zip(chosen, units, strict=True) if u]
    )
    return lengths, first


def _grids(
    arrays: list[Any], axes: list[str], stated: list[Any], spacing: tuple[float, float] | None
) -> list[Grid]:
    """Grid of each level: as stated, else as cells of full resolution."""
    shapes = [tuple(int(array.shape[axes.index(axis)]) for axis in _AXES) for array in arrays]
    known = spacing is None and stated[0] is not None
    size = stated[0][0] if known else (1.0, 1.0) if spacing is None else spacing
    full = Grid.with_spacing(shapes[0], size)
    if known and stated[0][1] is not None:
        full = Grid(full.shape, _moved(full.affine, stated[0][1]))
    grids = [full]
    for shape, place in zip(shapes[1:], stated[1:], strict=True):
        if known and place is not None and place[1] is not None:
            grids.append(Grid(shape, _moved(np.diag([*place[0], 1.0]), place[1])))
        else:
            grids.append(smaller(full, (shape[0], shape[1])))
    return grids


def _moved(affine: NDArray[np.float64], place: list[float]) -> NDArray[np.float64]:
    """The affine with its first pixel moved to a position."""
    moved = np.array(affine)
    moved[:-1, -1] = place
    return moved


def _reader(array: Any, axes: list[str]) -> Read:
    order = [*_AXES, "c"] if "c" in axes else [*_AXES]
    kept = [axis for axis in axes if axis in order]

    def read(rows: slice, columns: slice) -> NDArray[np.generic]:
        chosen = {"y": rows, "x": columns, "c": slice(None)}
        region = np.asarray(array[tuple(chosen.get(axis, 0) for axis in axes)])
        region = region.transpose([kept.index(axis) for axis in order])
        return region.reshape(*region.shape[:2], math.prod(region.shape[2:]))

    return read
