"""Reproduction of a registration: the arguments of ``solve`` as source text, and the resulting call."""

from __future__ import annotations

import ast
import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..images.device_arrays import brought_to_host
from ..images.image_file import ImageFile

if TYPE_CHECKING:
    from ..results.result import Result

#: Arguments of ``solve`` that affect the result but are not options, with their defaults.
DEFAULTS = {
    "affine": "auto", "deformable": None, "fixed_mask": None, "moving_mask": None,
    "fixed_rigid_mask": None, "moving_rigid_mask": None,
    "moving_points": None, "fixed_points": None, "point_weights": None, "start": None, "fill": None,
    "backend": "auto", "device": 0,
}  # fmt: skip


def call_record(moving: Any, fixed: Any, **given: Any) -> dict[str, str]:
    """Record of a call in a result: Python source of the images and of all arguments that are not the default.

    Parameters
    ----------
    moving, fixed : as passed to ``solve``
    **given
        Arguments of :func:`varreg.solve` among `DEFAULTS`.

    Returns
    -------
    dict
        Name -> source text.  Arguments without source (arrays of voxels, maps in memory) become a variable of that name.

    Examples
    --------
    >>> call_record("t2.nii.gz", np.eye(64), affine="rigid", start=None)
    {'moving': "'t2.nii.gz'", 'fixed': 'fixed', 'affine': "'rigid'"}
    """
    images = {"moving": _source("moving", moving), "fixed": _source("fixed", fixed)}
    changed = {
        name: value
        for name, value in given.items()
        if not isinstance(value, type(DEFAULTS[name])) or value != DEFAULTS[name]
    }
    return images | {name: _source(name, value) for name, value in changed.items()}


def call(result: Result) -> str:
    """Python code that repeats a registration; "" if nothing was minimised.

    Parameters
    ----------
    result : Result
        Results of earlier versions lack affine model, masks and start, which are then omitted.
    """
    from .facts import option_rows

    if not result.levels:
        return ""
    kept: Any = result.provenance.get("call")
    known: dict[str, str] = kept if _usable(kept) else _of_names(result)
    rows = option_rows(result.options, result.transform.fixed.dim)
    changes = [f"{name}={value}" for name, value, changed in rows if changed]
    given = [f"{name}={known[name]}" for name in DEFAULTS if name in known]
    arguments = ",\n    ".join([known["moving"], known["fixed"], *given, *changes])
    return f"import varreg\n\n{_variables(known)}result = varreg.solve(\n    {arguments},\n)"


def image_file(result: Result, side: str) -> str | None:
    """Path of an image of a registration, as given at that time; None for arrays and files read with options.

    Parameters
    ----------
    result : Result
    side : {"moving", "fixed"}
    """
    kept: Any = result.provenance.get("call")
    if not _usable(kept):
        return None
    try:
        name = ast.literal_eval(kept[side])
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # source text of any kind
        return None
    return name if isinstance(name, str) else None


def _usable(known: Any) -> bool:
    """Whether a call record, possibly read from a file, is valid."""
    sources = isinstance(known, dict) and all(isinstance(part, str) for part in known.values())
    return sources and {"moving", "fixed"} <= known.keys()


def _of_names(result: Result) -> dict[str, str]:
    sides = {"moving": result.moving_name, "fixed": result.fixed_name}
    return {side: repr(name) if name else side for side, name in sides.items()}


def _variables(known: dict[str, str]) -> str:
    """Comment that lists the variables to define."""
    absent = []
    for name, source in known.items():
        bare = re.sub(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""", "", source)
        absent += re.findall(rf"\b{name}(?:_\d+)?\b", bare)
    if not absent:
        return ""
    return f"# given in memory, no file is known: {', '.join(absent)}\n"


def _source(name: str, value: Any) -> str:
    """Python source of a value, or the name of a variable for it."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return repr(value)
    if isinstance(value, ImageFile):
        rest = "".join(f", {field}={v!r}" for field, v in value.reading_options.items())
        return f"varreg.ImageFile({str(value)!r}{rest})"
    if isinstance(value, os.PathLike):
        return repr(os.fsdecode(value))
    if isinstance(value, (list, tuple)) and (name in ("moving", "fixed") or _are_paths(value)):
        return f"[{', '.join(_source(f'{name}_{k}', each) for k, each in enumerate(value))}]"
    if name in ("affine", "start") and (matrix := _matrix(value)) is not None:
        return repr(matrix.tolist())
    file = value.get_filename() if hasattr(value, "get_filename") else getattr(value, "name", None)
    return repr(os.fsdecode(file)) if file and isinstance(file, (str, os.PathLike)) else name


def _are_paths(values: Any) -> bool:
    return all(isinstance(value, (str, os.PathLike)) for value in values)


def _matrix(value: Any) -> NDArray[np.float64] | None:
    """The homogeneous matrix given by a value, if it is one."""
    try:
        matrix = np.asarray(brought_to_host(value), dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return matrix if matrix.shape in ((3, 3), (4, 4)) else None
