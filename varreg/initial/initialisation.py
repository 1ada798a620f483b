"""The argument `start` of ``solve``: initialisations of the affine search, or a map to refine."""

from __future__ import annotations

import dataclasses
import logging
import os
from typing import Any

import numpy as np

from ..backends.arrays import Array
from ..errors import InputError
from ..exchange.reading import is_object
from ..geometry.affine_models import nearest_of_model
from ..images.device_arrays import brought_to_host
from ..images.image import Image
from ..options.names import STARTS
from ..stages.arguments import affine_initialisations
from ..transforms.held import held_transform
from .affine_part import with_model
from .input_transform import InputTransform, input_transform, is_paths

logger = logging.getLogger(__name__)


def chosen_start(
    start: Any, affine: Any, deformable: bool | None, fixed: Image, moving: Image
) -> tuple[InputTransform | None, tuple[str, ...] | Array]:
    """The map to refine or None, and the initialisations of the affine search: names or a matrix.

    Raises
    ------
    InputError, GeometryError, FileError
        If the start is invalid, or contradicts `affine` or `deformable`.
    """
    d, start = fixed.grid.dim, brought_to_host(start)
    searches = isinstance(affine, str)
    model = "affine" if searches and affine == "auto" else affine
    initial = None
    if _is_map(start, d):
        initial = input_transform(start, fixed, moving, argument="start", function="varreg.solve")
    if initial is None or initial.transform.nodes is None:
        initialisations = (
            affine_initialisations(start, d) if initial is None else initial.transform.affine
        )
        if not searches and start is not None:
            logger.warning(
                "varreg.solve: `start` is affine and changes nothing, because `affine` is %s, which is"
                " used as it is; leave one of them out.",
                "None, the identity," if affine is None else "a matrix",
            )
        if searches and isinstance(initialisations, np.ndarray):
            initialisations = nearest_of_model(initialisations, model, fixed.grid)
        return None, initialisations
    if not searches:
        raise InputError(
            "varreg.solve: `start` deforms and brings its own affine map; leave out `affine`"
            " (command line: --affine), or pass a `start` that is affine."
        )
    if deformable is False:
        raise InputError(
            "varreg.solve: `start` deforms, but deformable=False was given; pass its affine map alone as"
            " `start`."
        )
    placed = with_model(initial.transform, model)
    if placed is not initial.transform:
        initial = dataclasses.replace(initial, transform=placed, minimised=False)
    return initial, np.eye(d + 1)


def _is_map(start: Any, dimension: int) -> bool:
    """Whether the start is a map to refine rather than an initialisation of the affine search."""
    if isinstance(start, str):
        return start not in STARTS and os.path.exists(os.path.expanduser(start))
    if isinstance(start, os.PathLike) or is_paths(start) or is_object(start):
        return True
    if held_transform(start) is not None:
        return True
    return start is not None and np.ndim(start) == dimension + 1
