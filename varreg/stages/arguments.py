"""Validation of the arguments of ``solve``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backends.arrays import Array
from ..backends.threads import available_threads
from ..errors import GeometryError, InputError, OverlapError
from ..geometry.grid import Grid
from ..geometry.matrices import checked_affine
from ..images.device_arrays import brought_to_host
from ..images.image import Image
from ..images.intensities import robust_range, unit_intensities
from ..images.level_image import LevelImage
from ..options.axes import axis_weights
from ..options.names import AFFINE_MODELS, STARTS, Range
from ..options.options import Options
from ..options.pairs import similarity_names
from ..options.validation import named

#: Fraction of fixed voxels in view below which the headers are no plausible start.
LEAST_OVERLAP = 0.01


def merged_options(
    options: Options | None, preset: str, changes: Mapping[str, Any], function: str = "varreg.solve"
) -> Options:
    """The given options, or the options of the preset, with single fields changed."""
    if options is None:
        return Options.preset(preset, **changes)
    if not isinstance(options, Options):
        raise InputError(
            f"{function}: `options` must be a varreg.Options (or use `preset` and single fields);"
            f" got {type(options).__name__}."
        )
    return options.replace(**changes)


def thread_count(threads: int | None, function: str = "varreg.solve") -> int:
    """Validated number of threads; by default all available ones."""
    if threads is None:
        return available_threads()
    if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or threads < 1:
        raise InputError(f"{function}: `threads` must be a whole number >= 1; got {threads!r}.")
    return int(threads)


def check_callback(callback: Any) -> None:
    """Raise early if the callback is not callable."""
    if callback is not None and not callable(callback):
        raise InputError(
            f"varreg.solve: `callback` must be a function of an Iteration; got {callback!r}."
        )


def _matrix(value: Any, dimension: int, argument: str) -> Array:
    try:
        matrix = np.asarray(brought_to_host(value), dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"varreg.solve: `{argument}` must be a name or a matrix; got {type(value).__name__}."
        ) from None
    try:
        return checked_affine(matrix, dimension)
    except GeometryError as error:
        raise GeometryError(f"varreg.solve: `{argument}` is not usable: {error}") from None


def known_names(affine: Any, start: Any) -> tuple[Any, Any]:
    """`affine` and `start` with names in lower case, as on the command line; `affine` "none" becomes None."""
    affine = named(affine, ("auto", "none", *AFFINE_MODELS))
    return None if isinstance(affine, str) and affine == "none" else affine, named(start, STARTS)


def affine_model(affine: Any, dimension: int) -> tuple[str | None, Array]:
    """Model of the affine stage, "auto" or None, and the matrix used if it is None."""
    if affine is None:
        return None, np.eye(dimension + 1)
    if not isinstance(affine, str):
        return None, _matrix(affine, dimension, "affine")
    if affine not in ("auto", *AFFINE_MODELS):
        names = ", ".join(map(repr, ("auto", *AFFINE_MODELS)))
        raise InputError(
            f"varreg.solve: `affine` must be one of {names}, a matrix or None; got {affine!r}."
        )
    return affine, np.eye(dimension + 1)


def affine_initialisations(start: Any, dimension: int) -> tuple[str, ...] | Array:
    """Names for :func:`varreg.stages.initialisations.candidates`, or one matrix."""
    if start is None:
        return STARTS
    if not isinstance(start, str):
        return _matrix(start, dimension, "start")
    if start not in STARTS:
        raise InputError(
            f"varreg.solve: `start` must be one of {', '.join(map(repr, STARTS))}, a matrix, a map that"
            f" was found before or a file of one; got {start!r}."
        )
    return (start,)


def check_overlap(
    fixed: Grid,
    moving: Grid,
    matrix: Array,
    model: str | None,
    initialisations: tuple[str, ...] | Array,
) -> None:
    """Raise if the images hardly overlap at the start, unless another initialisation is requested."""
    start = matrix
    if model is not None:
        if isinstance(initialisations, np.ndarray):
            start = initialisations
        elif initialisations in (("centres",), ("moments",)):
            return
    overlap = fixed.overlap_fraction(moving, start)
    if overlap < LEAST_OVERLAP:
        apart = float(np.linalg.norm((start @ np.append(fixed.centre, 1))[:-1] - moving.centre))
        raise OverlapError(
            f"varreg.solve: `moving` and `fixed` hardly overlap: {100 * overlap:.1f} % of the fixed"
            f" image is in view of the moving one and their centres are {apart:.0f} mm apart; pass"
            " start='centres' or start='moments' with an affine model, or correct the headers."
        )


def intensity_ranges(
    fixed: Array, moving: Array, options: Options, pair: int = 0
) -> tuple[Range | None, Range | None]:
    """Given intensity ranges for the scaling to [0, 1]; for "ssd" one range common to both images.

    The ranges of the options apply to the first pair.
    """
    given = (None, None) if pair else (options.fixed_range, options.moving_range)
    if similarity_names(options, pair + 1)[-1] != "ssd" or None not in given:
        return given
    if given != (None, None):
        common = given[0] or given[1]
    else:
        ranges = robust_range(fixed), robust_range(moving)
        common = min(low for low, _ in ranges), max(high for _, high in ranges)
    return common, common


def refuse_other_counts(options: Options, pairs: int, dimension: int, function: str) -> None:
    """Raise unless there is one weight and one similarity per pair of images, and one axis weight per axis."""
    for name in ("weights", "similarities"):
        given = getattr(options, name)
        if given is not None and len(given) != pairs:
            raise InputError(
                f"{function}: `{name}` has {len(given)} entries for {pairs} "
                f"pair{'' if pairs == 1 else 's'} of images; give one for each pair: {given!r}."
            )
    axis_weights(options, dimension)


def sampled(
    image: Image,
    mask: Any,
    limits: tuple[float, float] | None,
    argument: str,
    function: str = "varreg.solve",
) -> LevelImage:
    """The image in unit intensities; raises if it is constant within its range."""
    data = unit_intensities(image.data, limits)
    if data.min() == data.max():
        raise InputError(
            f"{function}: `{argument}` is constant within `{argument}_range` = {limits}, but its"
            f" values run from {image.data.min():g} to {image.data.max():g}; choose a range within them."
        )
    return LevelImage(data, mask, image.grid, mask is not None and mask.dtype != bool)
