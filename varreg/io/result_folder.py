"""A result on disk: one folder of NIfTI and JSON, written atomically and validated on reading.

``result.json`` holds everything except two arrays, of which it has checksums: ``warped.nii.gz``, and
``u_nodes.nii.gz`` with u at the nodes of its grid (float64, without loss).  u is in mm
along the axes of the fixed array, unlike displacement fields of ITK or FSL.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.grid import Grid
from .atomic import RESULT, atomic_folder
from .files import write_image, write_json
from .leftovers import recover
from .node_file import write_nodes
from .records import (
    plain,
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
        The two registered images are not written, only the warped one.
    path : str or PathLike
        The folder to be created; its parent must exist.
    overwrite : bool
        Replace a folder that holds a result, or is empty.

    Raises
    ------
    FileError
        If it exists, was not written by varreg, or cannot be written; an existing folder is then unchanged.
    """
    with atomic_folder(path, overwrite=overwrite, marker=RESULT) as folder:
        write_image(folder / WARPED, result.warped.values, result.warped)
        if result.transform.nodes is not None:
            write_nodes(folder / NODES, result.transform.nodes, result.warped)
        write_json(folder / RESULT, _content(result))


def is_result(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a saved result: its folder, or its ``result.json``."""
    place = Path(os.fsdecode(path)).expanduser()
    recover(Path(os.path.abspath(place)))
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


def _content(result: Result) -> dict[str, Any]:
    """Everything except the arrays, as JSON."""
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
            "sha256": fingerprint(warped.values),
        },
        "energy": plain(result.energy),
        "start_energy": plain(result.start_energy),
        "history": [plain(iteration) for iteration in result.history],
        "levels": [plain(level) for level in result.levels],
        "options": plain(result.options),
        "smallest_determinant": plain(result.smallest_determinant),
        "overlap": plain(result.overlap),
        "provenance": result.provenance,
        "motion": plain(result.motion),
        "checks": [plain(check) for check in result.checks],
        "notes": list(result.notes),
        **({"channels": plain(result.channels)} if result.channels else {}),
        **({"guides": plain(result.guides)} if result.guides else {}),
        **({"rigidity": plain(result.rigidity)} if result.rigidity else {}),
        **({} if result.start is None else {"start": plain(result.start)}),
        **({} if result.model is None else {"model": plain(result.model)}),
        **({} if result.regularity is None else {"regularity": plain(result.regularity)}),
    }


def _side(name: str, grid: Grid) -> dict[str, Any]:
    return {"name": name, "shape": grid.shape, "affine": grid.affine}
