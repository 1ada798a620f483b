"""Conversion between nitransforms objects and chains: RAS+ mm, reference (fixed) -> moving, 3D."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import GeometryError, InputError
from ..geometry.grid import Grid
from ..images.nifti import nifti_image
from ..transforms.transform import Transform
from .chain import AffineMap, Chain, FieldMap, Part
from .composing import chain_of
from .files import FUNCTION
from .optional import needed


def chain_of_nitransforms(transform: Any) -> Chain:
    """Convert a nitransforms object to a chain.

    Parameters
    ----------
    transform : nitransforms Affine, DenseFieldTransform or TransformChain
        Its fields are interpolated (bi/tri)linearly between their voxels, where nitransforms itself uses
        cubic splines.

    Returns
    -------
    Chain
        In RAS+ world.

    Raises
    ------
    InputError
        If it is another type of transform.
    """
    return Chain(tuple(_parts(transform)), 3)


def to_nitransforms(transform: Transform) -> Any:
    """Convert a transform to a nitransforms object.

    Parameters
    ----------
    transform : Transform
        3D.

    Returns
    -------
    nitransforms.linear.Affine or nitransforms.manip.TransformChain

    Raises
    ------
    GeometryError
        If it is 2D.
    BackendError
        If nitransforms is not installed.
    """
    if transform.fixed.dim != 3:
        raise GeometryError("varreg: nitransforms is 3D, and the transform is 2D.")
    linear = needed("nitransforms.linear", "a transform of nitransforms")
    parts = [
        linear.Affine(np.array(part.matrix)) if isinstance(part, AffineMap) else _field(part)
        for part in chain_of(transform).parts
    ]
    reference = nifti_image(np.zeros(transform.fixed.shape, np.uint8), transform.fixed.affine)
    whole = parts[0]
    if len(parts) > 1:
        whole = needed("nitransforms.manip", "a chain of nitransforms").TransformChain(parts)
    whole.reference = reference
    return whole


def _parts(transform: Any) -> Iterator[Part]:
    kind = type(transform).__name__
    if kind == "TransformChain":
        for part in transform.transforms:
            yield from _parts(part)
    elif kind == "Affine":
        yield AffineMap(np.asarray(transform.matrix))
    elif kind == "DenseFieldTransform":
        reference = transform.reference
        grid = Grid(reference.shape, reference.affine)
        moved = np.moveaxis(np.asarray(transform._field, dtype=np.float64), -1, 0)
        here = grid.voxel_to_world(grid.coordinates())
        yield FieldMap(grid, moved.reshape(here.shape) - here)
    else:
        raise InputError(
            f"{FUNCTION}: a {kind} of nitransforms is not known; give an Affine, a "
            "DenseFieldTransform or a TransformChain of them."
        )


def _field(part: FieldMap) -> Any:
    vectors = np.ascontiguousarray(np.moveaxis(part.vectors, 0, -1), dtype=np.float64)
    nonlinear = needed("nitransforms.nonlinear", "a field of nitransforms")
    reference = nifti_image(np.zeros(part.grid.shape, np.uint8), part.grid.affine)
    return nonlinear.DenseFieldTransform(vectors, is_deltas=True, reference=reference)
