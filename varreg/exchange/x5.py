"""X5, the transform format of BIDS in HDF5, in the version of nitransforms 25.1.

3D, RAS+ mm, reference to moving.  A file holds numbered transforms and the order of their chain.  A transform may
include the Jacobian determinant and the inverse, whose field is on the same grid as the forward field.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..errors import FileError, InputError
from ..geometry.displacement import Float
from ..geometry.grid import Grid
from ..transforms.transform import Transform
from .chain import AffineMap, Chain, FieldMap, Part
from .composing import TOLERANCE, chain_of
from .files import FUNCTION
from .optional import needed

X5 = (".x5",)
_FORMAT, _VERSION = "X5", 1
_PAD = 3  # support of cubic splines, in knots; outside, displacements are zero


def hdf5() -> Any:
    """The module h5py, or a `BackendError` with the command to install it."""
    return needed("h5py", "an X5 transform")


def write_x5(path: Path, transform: Transform) -> None:
    """Write a transform as X5.

    Parameters
    ----------
    path : Path
        By convention ``.x5``.
    transform : Transform
        3D.  u and A become two transforms and a chain; u includes its inverse, if it exists, and
        det(id + grad u).

    Raises
    ------
    BackendError
        If h5py is not installed.
    """
    parts = chain_of(transform).parts
    with hdf5().File(path, "w") as file:
        file.attrs["Format"] = _FORMAT
        file.attrs["Version"] = np.uint16(_VERSION)
        group = file.create_group("TransformGroup")
        for number, part in enumerate(parts):
            node = group.create_group(str(number))
            if isinstance(part, AffineMap):
                _write_affine(node, part, transform.fixed)
            else:
                _write_field(node, part, transform)
        order = "/".join(str(number) for number in range(len(parts)))
        file.create_group("TransformChain").create_dataset("0", data=order)


def is_x5(path: Path) -> bool:
    """Whether an HDF5 file declares itself as X5; False if h5py is not installed."""
    try:
        import h5py
    except ImportError:
        return False
    with h5py.File(path, "r") as file:
        return _text(file.attrs.get("Format")) == _FORMAT


def read_x5(path: Path, inverse: bool = False) -> Chain:
    """Read an X5 file; only for a process that may crash (:mod:`varreg.exchange.library_child`).

    Parameters
    ----------
    path : Path
    inverse : bool
        Read the inverse instead, which must be in the file unless the transform is affine.

    Returns
    -------
    Chain
        In RAS+ world.

    Raises
    ------
    FileError
        If it is not an X5 file, or its parts contradict each other.
    InputError
        If it holds unknown types, several transforms without an order, or no inverse.
    """
    with hdf5().File(path, "r") as file:
        if _text(file.attrs.get("Format")) != _FORMAT or "TransformGroup" not in file:
            raise FileError(f"{FUNCTION}: {str(path)!r} is no X5 file.")
        nodes = [file["TransformGroup"][number] for number in _order(file, path)]
        parts = [_part(node, path, inverse) for node in nodes]
    return Chain(tuple(reversed(parts) if inverse else parts), 3)


def _write_affine(node: Any, part: AffineMap, fixed: Grid) -> None:
    _write_kind(node, "linear", "affine", "matrix", fixed, {})
    node.create_dataset("Transform", data=part.matrix)
    node.create_dataset("Inverse", data=np.linalg.inv(part.matrix))


def _write_field(node: Any, part: FieldMap, transform: Transform) -> None:
    """Write u; determinant and inverse refer to u alone, without A."""
    alone = Transform(
        transform.fixed, transform.fixed, np.eye(4), transform.nodes, transform.constraint
    )
    limit = TOLERANCE * float(part.grid.spacing.min())
    inverse, jacobian = alone.inverse(limit, iterations=1000), alone.jacobian()
    # where it folds, a point has several pre-images, and the iteration finds only one
    known = bool(inverse.converged and jacobian.min() > 0)
    note = (
        {"InverseResidual": inverse.residual}
        if known
        else {"Inverse": "none: the map folds or nearly does"}
    )
    _write_kind(node, "nonlinear", "densefield", "displacements", part.grid, note)
    _write_vectors(node, "Transform", part.vectors)
    node.create_dataset("Jacobian", data=jacobian)
    if known:
        _write_vectors(node, "Inverse", np.tensordot(part.grid.direction, inverse.v, axes=1))


def _write_kind(
    node: Any, kind: str, subtype: str, form: str, grid: Grid, note: dict[str, Any]
) -> None:
    """Write type and domain of a transform."""
    node.attrs["Type"] = kind
    node.attrs["SubType"] = subtype
    node.attrs["Representation"] = form
    node.attrs["ArrayLength"] = 1
    node.attrs["Metadata"] = json.dumps({"WrittenBy": f"varreg {__version__}"} | note)
    node.create_dataset("DimensionKinds", data=np.array(["space"] * 3 + ["vector"], dtype="S"))
    domain = node.create_group("Domain")
    domain.attrs["Coordinates"] = "cartesian"
    domain.create_dataset("Grid", data=np.uint8(1))
    domain.create_dataset("Size", data=np.array(grid.shape))
    domain.create_dataset("Mapping", data=grid.affine)


def _write_vectors(node: Any, name: str, vectors: NDArray[Any]) -> None:
    node.create_dataset(name, data=np.moveaxis(vectors, 0, -1).astype(np.float32))


def _order(file: Any, path: Path) -> list[str]:
    """The names of the transforms in the order of their application."""
    held, chains = sorted(file["TransformGroup"]), list(file.get("TransformChain", ()))
    if len(chains) > 1 or (not chains and len(held) != 1):
        raise InputError(
            f"{FUNCTION}: {str(path)!r} holds {len(held)} transforms and {len(chains)} chains; give a file with one chain, "
            "or with one transform."
        )
    if not chains:
        return held
    order = str(_text(file["TransformChain"][chains[0]][()])).split("/")
    if not set(order) <= set(held):
        raise FileError(
            f"{FUNCTION}: {str(path)!r} has a chain of {order} and transforms {held}; it is damaged."
        )
    return order


def _part(node: Any, path: Path, inverse: bool) -> Part:
    kind, subtype, length = (node.attrs.get(name) for name in ("Type", "SubType", "ArrayLength"))
    if length not in (None, 1):
        raise InputError(
            f"{FUNCTION}: {str(path)!r} holds a series of {length} transforms; write the one of a volume into a file of its own."
        )
    if _text(kind) == "linear":
        part = AffineMap(_array(node, "Transform", path, (4, 4)))
        return part.inverse() if inverse else part
    if _text(kind) != "nonlinear":
        raise InputError(
            f"{FUNCTION}: {str(path)!r} holds a transform of type {_text(kind)!r}; known are linear and nonlinear."
        )
    if _text(subtype) == "bspline":
        return _spline(node, path, inverse)
    return _field(node, path, "Inverse" if inverse else "Transform")


def _field(node: Any, path: Path, name: str) -> FieldMap:
    if name not in node:
        raise _no_inverse(path)
    domain = node["Domain"]
    grid = Grid(
        tuple(int(size) for size in domain["Size"][()]), _array(domain, "Mapping", path, (4, 4))
    )
    vectors = np.moveaxis(_array(node, name, path, (*grid.shape, 3)), -1, 0)
    if _text(node.attrs.get("Representation")) == "deformations":
        vectors = vectors - grid.voxel_to_world(grid.coordinates()).reshape(vectors.shape)
    return FieldMap(grid, vectors)


def _spline(node: Any, path: Path, inverse: bool) -> FieldMap:
    """A cubic B-spline with zero coefficients outside its grid, as in nitransforms."""
    if inverse:
        raise _no_inverse(path)
    knots = _array(node, "AdditionalParameters", path, (4, 4)).copy()
    shape = node["Transform"].shape
    coefficients = _array(node, "Transform", path, (*shape[:3], 3))
    wider = np.pad(np.moveaxis(coefficients, -1, 0), ((0, 0), *((_PAD, _PAD),) * 3))
    knots[:3, 3] -= knots[:3, :3].sum(axis=1) * _PAD
    return FieldMap(Grid(wider.shape[1:], knots), wider, 3, "spline")


def _array(node: Any, name: str, path: Path, shape: tuple[int, ...]) -> Float:
    """A dataset of finite numbers of the expected shape, which is verified before reading."""
    stored = node[name]
    if stored.shape != shape or stored.dtype.kind not in "fiu":
        raise FileError(
            f"{FUNCTION}: {str(path)!r} holds {name} as {stored.dtype} of shape {stored.shape}; numbers of shape {shape} are required."
        )
    return np.asarray(stored[()], dtype=np.float64)


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _no_inverse(path: Path) -> InputError:
    return InputError(
        f"{FUNCTION}: {str(path)!r} holds a field without its inverse; give the inverse that the tool wrote, or invert "
        "the whole: Transform.inverse() (command line: varreg apply --inverse)."
    )
