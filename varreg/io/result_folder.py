"""A result on disk: one folder of NIfTI and JSON, written whole or not at all, read with suspicion.

``result.json`` holds everything but two arrays, whose checksums it keeps: ``warped.nii.gz``, and
``u_nodes.nii.gz`` with u at the nodes of its grid (float64, so that nothing is lost).  u is in mm
along the axes of the fixed array, which is not what ITK or FSL call a displacement field.
"""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FileError
from ..geometry.displacement import Float
from ..geometry.grid import Grid
from ..images.image import Image
from ..optimise.history import Energy, Iteration, Level, StartReport
from ..transforms.transform import Transform
from .atomic import RESULT, atomic_folder
from .files import read_json, write_image, write_json
from .node_file import read_nodes, write_nodes
from .records import (
    Damage,
    array_of,
    entry,
    nested,
    number,
    options_of,
    plain,
    record,
    renamed,
    shape_of,
    text,
)

FORMAT, VERSION = "varreg result", 1
WARPED, NODES = "warped.nii.gz", "u_nodes.nii.gz"

if TYPE_CHECKING:
    from ..results.result import Result


def save(result: Result, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a result to a folder.

    Parameters
    ----------
    result : Result
        The two images that were registered are not written, only the warped one.
    path : str or PathLike
        The folder to be made; its parent must exist.
    overwrite : bool
        Replace a folder that holds a result, or is empty.

    Raises
    ------
    FileError
        If it exists, is a foreign folder, or cannot be written; what was there is untouched.
    """
    with atomic_folder(path, overwrite=overwrite, marker=RESULT) as folder:
        write_image(folder / WARPED, result.warped.data, result.warped)
        if result.transform.nodes is not None:
            write_nodes(folder / NODES, result.transform.nodes, result.warped)
        write_json(folder / RESULT, _content(result))


def read_fields(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The fields of a :class:`varreg.Result` that :func:`save` wrote.

    Parameters
    ----------
    path : str or PathLike
        The folder, or the ``result.json`` in it.

    Returns
    -------
    dict
        Name of each field -> value, with the same bits; `fixed` and `moving` are left out.

    Raises
    ------
    FileError
        If it is absent, damaged or of an unknown format; the message says what is wrong.
    """
    folder = _folder(path)
    content = read_json(folder / RESULT)
    try:
        return _fields(folder, content)
    except Exception as error:  # a file may be damaged in ways nobody has thought of
        reason = str(error) if isinstance(error, Damage) else f"{type(error).__name__}: {error}"
        raise FileError(
            f"varreg.load: {str(folder)!r} is not a usable result: {reason}. Save the result again."
        ) from error


def is_result(path: str | os.PathLike[str]) -> bool:
    """Whether a path leads to a saved result: its folder, or the ``result.json`` in it."""
    place = Path(os.fsdecode(path)).expanduser()
    return place.name == RESULT or (place / RESULT).is_file()


def fingerprint(array: NDArray[Any]) -> str:
    """SHA-256 of an array's type, shape and values, in hexadecimal.

    Examples
    --------
    >>> fingerprint(np.zeros(2)) == fingerprint(np.zeros((2, 1)))
    False
    """
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{little.dtype.str} {array.shape}".encode())
    digest.update(little.data.cast("B"))
    return digest.hexdigest()


def _folder(path: str | os.PathLike[str]) -> Path:
    """The folder that holds the result, or an error that says what was looked for."""
    try:
        folder = Path(os.fsdecode(path)).expanduser()
        folder = folder.parent if folder.name == RESULT else folder
        found = (folder / RESULT).is_file()
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise FileError(f"varreg.load: `path` is {path!r}, no usable path ({error}).") from error
    if not found:
        raise FileError(
            f"varreg.load: `path` is {str(path)!r}, which is no folder with a {RESULT!r} in it; "
            "give the folder that Result.save or `varreg register -o` wrote."
        )
    return folder


def _content(result: Result) -> dict[str, Any]:
    """Everything but the arrays, as JSON."""
    transform, warped = result.transform, result.warped
    nodes = transform.nodes
    return {
        "format": FORMAT,
        "version": VERSION,
        "fixed": _side(result.fixed_name, transform.fixed),
        "moving": _side(result.moving_name, transform.moving),
        "affine": transform.affine,
        "constraint": transform.constraint,
        "frame": transform.frame,
        "nodes": None if nodes is None else {"shape": nodes.shape, "sha256": fingerprint(nodes)},
        "warped": {
            "name": warped.name,
            "frame": warped.frame,
            "volume_shape": warped.volume_shape,
            "slice_step": warped.slice_step,
            "sha256": fingerprint(warped.data),
        },
        "energy": plain(result.energy),
        "start_energy": plain(result.start_energy),
        "history": [plain(iteration) for iteration in result.history],
        "levels": [plain(level) for level in result.levels],
        "options": plain(result.options),
        "smallest_determinant": plain(result.smallest_determinant),
        "overlap": plain(result.overlap),
        "provenance": result.provenance,
        **({} if result.start is None else {"start": plain(result.start)}),
    }


def _side(name: str, grid: Grid) -> dict[str, Any]:
    return {"name": name, "shape": grid.shape, "affine": grid.affine}


def _fields(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
    """The fields of a result, each checked."""
    if content.get("format") != FORMAT:
        raise Damage(f"`format` is {content.get('format')!r} and not {FORMAT!r}")
    if content.get("version") != VERSION:
        raise Damage(
            f"its version is {content.get('version')!r}, this varreg reads {VERSION}; "
            "use the varreg that wrote it"
        )
    transform = _transform(folder, content)
    return dict(
        transform=transform,
        warped=_warped(folder / WARPED, entry(content, "warped"), transform.fixed),
        fixed_name=text(entry(content, "fixed"), "name"),
        moving_name=text(entry(content, "moving"), "name"),
        energy=record(Energy, entry(content, "energy"), "energy"),
        start_energy=record(Energy, entry(content, "start_energy"), "start_energy"),
        history=tuple(record(Iteration, v, "history") for v in _list(content, "history")),
        levels=tuple(record(Level, v, "levels") for v in _list(content, "levels")),
        options=options_of(entry(content, "options")),
        smallest_determinant=number(entry(content, "smallest_determinant"), "smallest_determinant"),
        overlap=number(entry(content, "overlap"), "overlap"),
        provenance=_provenance(content),
        start=nested(
            StartReport | None, renamed(content.get("start")), "start"
        ),  # if there was one
    )


def _provenance(content: dict[str, Any]) -> dict[str, Any]:
    """Any JSON object; only the seconds are computed with, and must be numbers."""
    provenance = entry(content, "provenance")
    if not isinstance(provenance, dict):
        raise Damage("`provenance` is not an object")
    seconds = provenance.get("seconds")
    for stage, value in seconds.items() if isinstance(seconds, dict) else ():
        number(value, stage)
    return provenance


def _list(content: dict[str, Any], key: str) -> list[Any]:
    value = entry(content, key)
    if not isinstance(value, list):
        raise Damage(f"`{key}` is not a list")
    return value


def _transform(folder: Path, content: dict[str, Any]) -> Transform:
    """The map, checked by the classes that own its parts."""
    fixed, moving = (_grid(entry(content, key), key) for key in ("fixed", "moving"))
    nodes = entry(content, "nodes")
    return Transform(
        fixed,
        moving,
        array_of(content, "affine", (fixed.dim + 1, fixed.dim + 1)),
        None if nodes is None else _nodes(folder / NODES, nodes, fixed.dim),
        text(content, "constraint"),
        _optional(content, "frame", (4, 4)),
    )


def _grid(side: Any, name: str) -> Grid:
    shape = shape_of(side, "shape")
    return Grid(shape, array_of(side, "affine", (len(shape) + 1, len(shape) + 1)))


def _optional(mapping: Any, key: str, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    return None if entry(mapping, key) is None else array_of(mapping, key, shape)


def _warped(path: Path, described: Any, grid: Grid) -> Image:
    """The warped image: voxels from its file, place from the JSON, which has all the bits."""
    from ..images.reading import read_path

    stored = entry(described, "volume_shape")
    array, _, _ = read_path(path, argument="path", function="varreg.load")
    if array.size != math.prod(grid.shape):
        raise Damage(f"{WARPED} has shape {array.shape}, the fixed image {grid.shape}")
    data = np.ascontiguousarray(array.reshape(grid.shape), dtype=np.float32)
    return Image(
        _same(data, described, WARPED),
        grid,
        text(described, "name"),
        _optional(described, "frame", (4, 4)),
        None if stored is None else shape_of(described, "volume_shape"),
        _optional(described, "slice_step", (3,)),
    )


def _nodes(path: Path, described: Any, dim: int) -> Float:
    """u at the nodes."""
    shape = shape_of(described, "shape")
    if len(shape) != dim + 1 or shape[0] != dim:
        raise Damage(f"nodes of shape {shape} do not fit a {dim}D image")
    return _same(read_nodes(path, shape), described, NODES)


def _same(array: NDArray[Any], described: Any, name: str) -> NDArray[Any]:
    """The array, if it is the one that was saved."""
    if fingerprint(array) != text(described, "sha256"):
        raise Damage(f"{name} is not the file that was saved (its checksum differs)")
    return array
