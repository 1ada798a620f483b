"""Validation of the arguments of ``solve``: images, search and problem."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple

from ..images.channels import Pair, as_channels
from ..optimise.check import Check
from ..options.options import Options
from ..stages.guides import Guides, as_guides
from ..stages.preparation import prepared_with_masks
from ..stages.problem import Problem
from .search import Search, chosen_search


class Request(NamedTuple):
    """A validated registration request.

    Attributes
    ----------
    pairs : tuple of (moving, fixed)
        The images.
    search : Search
    problem : Problem
    guides : Guides or None
        Matching points and their names.
    identical : bool
        Whether the result is the identity, see :meth:`Search.is_identity`.
    odd : tuple of Check
        Failed checks of images and masks.
    notes : tuple of str
        Changes of images and masks on reading.
    """

    pairs: tuple[Pair, ...]
    search: Search
    problem: Problem
    guides: Guides | None
    identical: bool
    odd: tuple[Check, ...]
    notes: tuple[str, ...]


def as_request(
    moving: Any, fixed: Any, affine: Any, start: Any, deformable: bool | None, options: Options,
    kernels: ModuleType, threads: int, *, masks: tuple[Any, Any], rigid_masks: tuple[Any, Any],
    points: tuple[Any, Any], point_weights: Any,
) -> Request:  # fmt: skip
    """The request for the arguments of ``solve``; pairs are (moving, fixed).

    Raises
    ------
    InputError, GeometryError, OverlapError, FileError
        If an argument is invalid, arguments contradict each other, or the images would hardly overlap.
    """
    pairs = as_channels(moving, fixed)
    moving_image, fixed_image = pairs[0]
    if options.axes is not None and deformable is None:
        deformable = True
    guides = as_guides(*points, point_weights, moving_image.grid, fixed_image.grid)
    search = chosen_search(affine, start, deformable, fixed_image, moving_image)
    problem, odd, notes = prepared_with_masks(
        *pairs[0], masks[1], masks[0], options.for_dimension(fixed_image.grid.dim), kernels,
        threads, further=pairs[1:], rigid_masks=rigid_masks,
    )  # fmt: skip
    if guides is not None:
        problem = replace(problem, points=guides.points)
    identical = guides is None and all(search.is_identity(*pair) for pair in pairs)
    return Request(pairs, search, problem, guides, identical, odd, notes)
