"""elastix: ``TransformParameters.*.txt``, with the chain of initial transforms."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..errors import FileError
from ..geometry.displacement import Float
from ..geometry.grid import Grid
from .chain import AffineMap, Chain, FieldMap, Part
from .files import FUNCTION, checked_path, explained, text_of
from .matrices import centred
from .plane import conjugated, lps

Parameters: TypeAlias = dict[str, list[str]]

_WORD = re.compile(r'"([^"]*)"|(\S+)')
_LONGEST = 32  # maximum number of chained initial transforms


def is_elastix(text: str) -> bool:
    """Whether a text is an elastix parameter file.

    Examples
    --------
    >>> is_elastix('(Transform "EulerTransform")')
    True
    """
    return "Transform" in _entries(text)


def read_elastix(path: Path) -> Chain:
    """Read a parameter file and its initial transforms.

    Parameters
    ----------
    path : Path
        Translation, Euler, Similarity, Affine or B-spline transform, 2D or 3D.  Initial transforms are
        read from the same folder only; a file elsewhere is replaced, with a warning, by the one of
        the same name in this folder, or refused.

    Returns
    -------
    Chain
        In RAS+ world.

    Raises
    ------
    FileError
        If a file is damaged, absent, or of an unknown type.
    """
    parts, seen, dim = list[Part](), list[Path](), 0
    here: Path | None = path
    while here is not None:
        if here.resolve() in seen or len(seen) == _LONGEST:
            raise FileError(f"{FUNCTION}: {str(path)!r} names initial transforms without end.")
        seen.append(here.resolve())
        parameters = _parameters(here)
        with explained(here):
            dim = dim or _count(parameters, "FixedImageDimension")
            parts.insert(0, _part(here, parameters))  # the initial transform is applied first
        here = _initial(here, parameters)
    return Chain(tuple(parts), dim)


def _entries(text: str) -> Parameters:
    """Entries of the form (Name value value ...); strings are quoted, all else is comment."""
    found: Parameters = {}
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("(") and ")" in line:
            line = line[1 : line.rfind(")")]
            words = [quoted or bare for quoted, bare in _WORD.findall(line)]
            if words:
                found[words[0]] = words[1:]
    return found


def _parameters(path: Path) -> Parameters:
    found = _entries(text_of(path))
    if "Transform" not in found:
        raise FileError(f"{FUNCTION}: {str(path)!r} is not a transform parameter file of elastix.")
    for name, expected in (
        ("HowToCombineTransforms", "Compose"),
        ("UseBinaryFormatForTransformationParameters", "false"),
        ("UseDirectionCosines", "true"),
    ):
        if (stated := found.get(name, [expected])) != [expected]:
            raise FileError(
                f"{FUNCTION}: {str(path)!r} has {name} {' '.join(stated)}; only {expected} is read. "
                "Let transformix write the displacement field (-def all) and read that."
            )
    return found


def _initial(path: Path, parameters: Parameters) -> Path | None:
    """Path of the initial transform; a file from another folder is never used without a warning."""
    for name in ("InitialTransformParameterFileName", "InitialTransformParametersFileName"):
        stated = parameters.get(name, ["NoInitialTransform"])
        if stated not in (["NoInitialTransform"], [""]):
            break
    else:
        return None
    folder = path.parent.resolve()
    with explained(path):
        (text,) = stated
        named = Path(text.replace("\\", "/"))
        beside = path.parent / named.name
        inside = (folder / named).resolve().parent == folder
    if not inside and not beside.is_file():
        raise FileError(
            f"{FUNCTION}: {str(path)!r} names the initial transform {text!r}, which is in another "
            "folder and is not followed; copy it beside this file."
        )
    if not inside:
        warnings.warn(
            f"{FUNCTION}: {path.name} names the initial transform {text!r} in another folder; the "
            f"file {named.name!r} beside it is taken.",
            stacklevel=2,
        )
    if beside.resolve().parent != folder:
        raise FileError(
            f"{FUNCTION}: the initial transform {str(beside)!r} is a link to another folder and is "
            "not followed; copy it beside this file."
        )
    return checked_path(beside)


def _part(path: Path, parameters: Parameters) -> Part:
    """One transform in RAS+ world."""
    kind = parameters["Transform"][0]
    dim = _count(parameters, "FixedImageDimension")
    if dim not in (2, 3) or _count(parameters, "MovingImageDimension") != dim:
        raise FileError(f"{FUNCTION}: {str(path)!r} is not of two 2D or two 3D images.")
    values = _numbers(parameters, "TransformParameters")
    if kind in ("BSplineTransform", "RecursiveBSplineTransform"):
        return _spline(parameters, values, dim)
    make = _LINEAR.get((kind, dim)) or _LINEAR.get((kind, 0))
    if make is None:
        raise FileError(
            f"{FUNCTION}: {str(path)!r} holds a {kind} in {dim}D, which is not known; let transformix "
            "write the displacement field (-def all) and read that."
        )
    linear, shift = make(values, dim, parameters)
    centre = _numbers(parameters, "CenterOfRotationPoint", np.zeros(dim))
    if linear.shape != (dim, dim) or shift.shape != centre.shape != (dim,):
        raise ValueError(f"{len(values)} parameters are not those of a {kind} in {dim}D")
    return AffineMap(conjugated(centred(linear, shift, centre), lps(dim)))


def _spline(parameters: Parameters, values: Float, dim: int) -> FieldMap:
    """B-spline coefficients: all x components first, the first axis of the grid fastest."""
    shape = tuple(int(number) for number in parameters["GridSize"])
    affine = np.eye(dim + 1)
    # the direction matrix is stored column by column
    direction = _numbers(parameters, "GridDirection", np.eye(dim).ravel()).reshape(dim, dim).T
    affine[:-1, :-1] = direction * _numbers(parameters, "GridSpacing")
    affine[:-1, -1] = _numbers(parameters, "GridOrigin") + affine[:-1, :-1] @ _numbers(
        parameters, "GridIndex", np.zeros(dim)
    )
    vectors = values.reshape(dim, *shape[::-1]).transpose(0, *range(dim, 0, -1)).copy()
    vectors[:2] *= -1
    order = int(parameters.get("BSplineTransformSplineOrder", ["3"])[0])
    if order not in (1, 2, 3) or parameters.get("UseCyclicTransform", ["false"]) != ["false"]:
        raise ValueError(f"a B-spline of order {order}, or a cyclic one, is not known")
    return FieldMap(Grid(shape, lps(dim) @ affine), vectors, order, "spline")


def _count(parameters: Parameters, name: str) -> int:
    return int(parameters[name][0])


def _numbers(parameters: Parameters, name: str, default: Float | None = None) -> Float:
    if name not in parameters and default is not None:
        return default
    return np.array([float(word) for word in parameters[name]])


def _turn(angle: float, first: int, second: int, dim: int) -> Float:
    """Rotation of axis `first` towards axis `second`."""
    matrix = np.eye(dim)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[second, first], matrix[first, second] = np.sin(angle), -np.sin(angle)
    return matrix


def _translation(values: Float, dim: int, _: Parameters) -> tuple[Float, Float]:
    return np.eye(dim), values


def _affine(values: Float, dim: int, _: Parameters) -> tuple[Float, Float]:
    return values[: dim * dim].reshape(dim, dim), values[dim * dim :]


def _euler_2d(values: Float, dim: int, _: Parameters) -> tuple[Float, Float]:
    return _turn(values[0], 0, 1, 2), values[1:]


def _euler_3d(values: Float, dim: int, parameters: Parameters) -> tuple[Float, Float]:
    x, y, z = (
        _turn(a, *axes, 3) for a, axes in zip(values[:3], ((1, 2), (2, 0), (0, 1)), strict=True)
    )
    by_zyx = parameters.get("ComputeZYX", ["false"]) == ["true"]
    return z @ y @ x if by_zyx else z @ x @ y, values[3:]


def _similarity_2d(values: Float, dim: int, _: Parameters) -> tuple[Float, Float]:
    return values[0] * _turn(values[1], 0, 1, 2), values[2:]


def _similarity_3d(values: Float, dim: int, _: Parameters) -> tuple[Float, Float]:
    """Versor, translation, scale."""
    x, y, z = values[:3]
    w = np.sqrt(max(float(1 - values[:3] @ values[:3]), 0.0))
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return values[6] * (np.eye(3) + 2 * w * cross + 2 * cross @ cross), values[3:6]


_LINEAR: dict[tuple[str, int], Callable[[Float, int, Parameters], tuple[Float, Float]]] = {
    ("TranslationTransform", 0): _translation,
    ("AffineTransform", 0): _affine,
    ("EulerTransform", 2): _euler_2d,
    ("EulerTransform", 3): _euler_3d,
    ("SimilarityTransform", 2): _similarity_2d,
    ("SimilarityTransform", 3): _similarity_3d,
}
