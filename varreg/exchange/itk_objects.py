"""Conversion between SimpleITK transforms and chains.

ITK transforms map fixed points to moving points like those of varreg, in LPS+ mm.  A composite
transform applies the last added transform first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import InputError
from ..geometry.displacement import Float
from ..geometry.grid import Grid
from ..transforms.transform import Transform
from .chain import AffineMap, Chain, FieldMap, Part
from .composing import chain_of
from .files import FUNCTION
from .optional import needed
from .plane import conjugated, lps
from .vector_images import refuse_shear


def simpleitk() -> Any:
    """The module SimpleITK, or a `BackendError` with the command to install it."""
    return needed("SimpleITK", "this transform of ITK")


def to_simpleitk(transform: Transform) -> Any:
    """Convert a transform to a SimpleITK object.

    Parameters
    ----------
    transform : Transform

    Returns
    -------
    SimpleITK.Transform
        An AffineTransform, or a composite with the field; in LPS+ mm, fixed -> moving.

    Raises
    ------
    BackendError
        If SimpleITK is not installed.
    GeometryError
        If the format cannot represent the geometry (slices that are not axial, sheared voxels).
    """
    return itk_of_chain(chain_of(transform))


def chain_of_itk(transform: Any) -> Chain:
    """Convert a SimpleITK transform to a chain.

    Parameters
    ----------
    transform : SimpleITK.Transform
        Linear, displacement field, B-spline, or a composite of these.

    Returns
    -------
    Chain
        In RAS+ world.

    Raises
    ------
    InputError
        If it holds another type of transform.
    """
    return Chain(tuple(_parts(transform)), int(transform.GetDimension()))


def itk_of_chain(chain: Chain) -> Any:
    """Convert a chain of affine maps and linear fields to a SimpleITK transform.

    Parameters
    ----------
    chain : Chain
        In RAS+ world.

    Returns
    -------
    SimpleITK.Transform
        An AffineTransform, or a composite with the fields.
    """
    itk = simpleitk()
    parts = [_affine(itk, p) if isinstance(p, AffineMap) else _field(itk, p) for p in chain.parts]
    if len(parts) == 1 and chain.is_affine:
        return parts[0]
    composite = itk.CompositeTransform(chain.dim)
    for part in reversed(parts):  # the last added is applied first
        composite.AddTransform(part)
    return composite


def grid_of_itk(image: Any) -> Grid:
    """The grid of a SimpleITK image in RAS+ world."""
    dim = image.GetDimension()
    affine = np.eye(dim + 1)
    direction = np.array(image.GetDirection()).reshape(dim, dim)
    affine[:-1, :-1] = direction * np.array(image.GetSpacing())
    affine[:-1, -1] = image.GetOrigin()
    return Grid(image.GetSize(), lps(dim) @ affine)


def field_of_itk(image: Any, order: int = 1, outside: str = "zero") -> FieldMap:
    """The displacement map of a SimpleITK image of LPS+ vectors."""
    dim = image.GetDimension()
    if image.GetNumberOfComponentsPerPixel() != dim:
        raise InputError(
            f"{FUNCTION}: the image is {dim}D and has {image.GetNumberOfComponentsPerPixel()} "
            "components a voxel; a displacement field has as many as axes."
        )
    stored = simpleitk().GetArrayViewFromImage(image)  # (.., y, x, component)
    vectors = np.moveaxis(stored.astype(np.float64), -1, 0).transpose(0, *range(dim, 0, -1))
    vectors[:2] *= -1
    return FieldMap(grid_of_itk(image), np.ascontiguousarray(vectors), order, outside)


def _parts(transform: Any) -> Iterator[Part]:
    """The parts in the order in which they are applied."""
    name = transform.GetName()
    if name == "CompositeTransform":
        composite = simpleitk().CompositeTransform(transform)
        for number in reversed(range(composite.GetNumberOfTransforms())):
            yield from _parts(composite.GetNthTransform(number))
    elif transform.IsLinear():
        yield AffineMap(_matrix(transform))
    elif name == "DisplacementFieldTransform":
        yield field_of_itk(simpleitk().DisplacementFieldTransform(transform).GetDisplacementField())
    elif name == "BSplineTransform":
        yield _spline(simpleitk().BSplineTransform(transform))
    else:
        raise InputError(
            f"{FUNCTION}: {name} is not known; turn it into a displacement field by "
            "SimpleITK.TransformToDisplacementField."
        )


def _matrix(transform: Any) -> Float:
    """The matrix of any linear transform, from the images of the unit vectors."""
    dim = int(transform.GetDimension())
    matrix = np.eye(dim + 1)
    matrix[:-1, -1] = transform.TransformPoint([0.0] * dim)
    for axis, unit in enumerate(np.eye(dim)):
        matrix[:-1, axis] = np.array(transform.TransformPoint(unit.tolist())) - matrix[:-1, -1]
    return conjugated(matrix, lps(dim))


def _spline(transform: Any) -> FieldMap:
    """A B-spline: its coefficients are images, one per component."""
    itk = simpleitk()
    field = itk.Compose(
        [itk.Cast(part, itk.sitkFloat64) for part in transform.GetCoefficientImages()]
    )
    return field_of_itk(field, int(transform.GetOrder()), "spline")


def _affine(itk: Any, part: AffineMap) -> Any:
    matrix = conjugated(part.matrix, lps(part.dim))
    transform = itk.AffineTransform(part.dim)
    transform.SetMatrix(matrix[:-1, :-1].ravel().tolist())
    transform.SetTranslation(matrix[:-1, -1].tolist())
    return transform


def _field(itk: Any, part: FieldMap) -> Any:
    refuse_shear(part.grid)
    flip = lps(part.dim)
    vectors = np.array(part.vectors, dtype=np.float64)
    vectors[:2] *= -1
    stored = np.moveaxis(vectors.transpose(0, *range(part.dim, 0, -1)), 0, -1)
    image = itk.GetImageFromArray(np.ascontiguousarray(stored), isVector=True)
    image.SetSpacing(part.grid.spacing.tolist())
    image.SetOrigin((flip @ part.grid.affine)[:-1, -1].tolist())
    image.SetDirection((flip[:-1, :-1] @ part.grid.direction).ravel().tolist())
    return itk.DisplacementFieldTransform(image)
