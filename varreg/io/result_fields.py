"""Reading and validation of the fields of a saved result."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FileError
from ..geometry.displacement import Float
from ..geometry.grid import Grid
from ..images.image import Image
from ..images.no_data import parts
from ..images.reading import read_path
from ..optimise.channel_report import ChannelReport
from ..optimise.check import Check
from ..optimise.history import Energy, HeadMotion, Iteration, Level, StartReport
from ..optimise.model_choice import ModelChoice
from ..optimise.point_report import PointReport
from ..optimise.regularity_choice import RegularityChoice
from ..optimise.rigidity_report import RigidityReport
from ..transforms.transform import Transform
from .atomic import RESULT
from .files import read_json
from .leftovers import recover
from .node_file import read_nodes
from .records import (
    Damage,
    array_of,
    entry,
    nested,
    number,
    options_of,
    record,
    renamed,
    shape_of,
    text,
    with_later_options,
    with_motion,
    with_volume,
)
from .result_folder import FORMAT, NODES, VERSION, WARPED, fingerprint

#: Maximum nesting of the provenance, which may hold any JSON.
DEEPEST = 32


def read_fields(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The fields of a :class:`varreg.Result` that :func:`save` wrote.

    Parameters
    ----------
    path : str or PathLike
        The folder, or its ``result.json``.

    Returns
    -------
    dict
        Name of each field -> value, bitwise identical; `fixed` and `moving` are omitted.

    Raises
    ------
    FileError
        If it is absent, damaged or of an unknown format; the message gives the reason.
    """
    folder = _folder(path)
    content = read_json(folder / RESULT)
    try:
        return _fields(folder, content)
    except Exception as error:  # damaged files can raise any exception
        reason = str(error) if isinstance(error, Damage) else f"{type(error).__name__}: {error}"
        raise FileError(
            f"varreg.load: {str(folder)!r} is not a usable result: {reason}. Save the result again."
        ) from error


def _folder(path: str | os.PathLike[str]) -> Path:
    """The folder with the result, or an error that names the missing file."""
    try:
        folder = Path(os.fsdecode(path)).expanduser()
        folder = folder.parent if folder.name == RESULT else folder
        recover(Path(os.path.abspath(folder)))
        found = (folder / RESULT).is_file()
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise FileError(f"varreg.load: `path` is {path!r}, no usable path ({error}).") from error
    if not found:
        raise FileError(
            f"varreg.load: `path` is {str(path)!r}, which is not a folder with a {RESULT!r} in it; "
            "give the folder that Result.save or `varreg register -o` wrote."
        )
    return folder


def _fields(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
    """The fields of a result, each validated."""
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
        energy=record(Energy, with_volume(entry(content, "energy")), "energy"),
        start_energy=record(Energy, with_volume(entry(content, "start_energy")), "start_energy"),
        history=tuple(record(Iteration, v, "history") for v in _list(content, "history")),
        levels=tuple(record(Level, v, "levels") for v in _list(content, "levels")),
        options=options_of(with_later_options(entry(content, "options"))),
        smallest_determinant=number(entry(content, "smallest_determinant"), "smallest_determinant"),
        overlap=number(entry(content, "overlap"), "overlap"),
        provenance=_provenance(content),
        # absent in results of earlier versions
        checks=nested(tuple[Check, ...], content.get("checks", []), "checks"),
        model=nested(ModelChoice | None, with_motion(content.get("model")), "model"),
        channels=nested(tuple[ChannelReport, ...], content.get("channels", []), "channels"),
        guides=nested(tuple[PointReport, ...], content.get("guides", []), "guides"),
        rigidity=nested(RigidityReport | None, content.get("rigidity"), "rigidity"),
        notes=nested(tuple[str, ...], content.get("notes", []), "notes"),
        regularity=nested(RegularityChoice | None, content.get("regularity"), "regularity"),
        motion=nested(HeadMotion | None, content.get("motion"), "motion"),
        start=nested(StartReport | None, renamed(content.get("start")), "start"),
    )


def _provenance(content: dict[str, Any]) -> dict[str, Any]:
    """Any JSON object; only the run times are used in computations, and must be numbers."""
    provenance = entry(content, "provenance")
    if not isinstance(provenance, dict):
        raise Damage("`provenance` is not an object")
    if _depth(provenance) > DEEPEST:
        raise Damage(f"`provenance` is nested more than {DEEPEST} times")
    seconds = provenance.get("seconds")
    for stage, value in seconds.items() if isinstance(seconds, dict) else ():
        number(value, stage)
    return provenance


def _depth(value: Any) -> int:
    """Nesting depth of lists and objects; iterative, as recursion is limited."""
    depth, layer = 0, [value]
    while layer and depth <= DEEPEST:
        layer = [v for v in layer if isinstance(v, (dict, list))]
        layer = [w for v in layer for w in (v.values() if isinstance(v, dict) else v)]
        depth += bool(layer)
    return depth


def _list(content: dict[str, Any], key: str) -> list[Any]:
    value = entry(content, key)
    if not isinstance(value, list):
        raise Damage(f"`{key}` is not a list")
    return value


def _transform(folder: Path, content: dict[str, Any]) -> Transform:
    """The map, validated by the classes of its parts."""
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
    """The warped image: voxels from its file, exact geometry from the JSON."""
    stored = entry(described, "volume_shape")
    array = read_path(path, argument="path", function="varreg.load").array
    if array.size != math.prod(grid.shape):
        raise Damage(f"{WARPED} has shape {array.shape}, the fixed image {grid.shape}")
    values = np.ascontiguousarray(array.reshape(grid.shape), dtype=np.float32)
    data, valid = parts(_same(values, described, WARPED))
    return Image(
        data,
        grid,
        text(described, "name"),
        _optional(described, "frame", (4, 4)),
        None if stored is None else shape_of(described, "volume_shape"),
        _optional(described, "slice_step", (3,)),
        valid=valid,
    )


def _nodes(path: Path, described: Any, dim: int) -> Float:
    """u at the nodes."""
    shape = shape_of(described, "shape")
    if len(shape) != dim + 1 or shape[0] != dim:
        raise Damage(f"nodes of shape {shape} do not fit a {dim}D image")
    return _same(read_nodes(path, shape), described, NODES)


def _same(array: NDArray[Any], described: Any, name: str) -> NDArray[Any]:
    """The array, if its checksum is that of the saved one."""
    if fingerprint(array) != text(described, "sha256"):
        raise Damage(f"{name} is not the file that was saved (its checksum differs)")
    return array
