"""The parts of the preparation of a start, each replaced in turn by nothing or by something simpler.

The names of the library's functions stand here and nowhere else in this folder.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from numpy.typing import NDArray

Array = NDArray[Any]
#: The way with all parts, which others are compared with.
FULL = "everything"


def damped(objective: Any, field: Array) -> tuple[Array, Any]:
    """Instead of smoothing around the folds: damping of the whole field."""
    from varreg.energy.deformable import unfold
    from varreg.optimise.history import Unfolding

    before = objective.bound(field)
    if before >= objective.options.smallest_determinant:
        return field, None
    mended = unfold(objective, objective.smoothness.to_coordinates(field))[1]
    return mended, Unfolding(before, objective.bound(mended), 0.0, 0.0, 0, True)


def as_it_is(problem: Any, objective: Any, field: Array) -> Array:
    """Instead of smoothing splines: the field."""
    return field


def only_affine_stage(problem: Any, model: str, warm: Any, recorder: Any) -> Any:
    """Alternatives without the affine part of the start."""
    from varreg.initial.alternatives import AFFINE_PART, alternative

    other = alternative(problem, model, warm, recorder)
    return None if other is not None and other[1] == AFFINE_PART else other


UNFOLDING = "varreg.initial.warm_start.unfolded"
SPLINE = "varreg.initial.warm_start.smoothing_spline_fit"
ALTERNATIVES = "varreg.initial.last_stage.alternative"
FIRST_LEVEL = "varreg.initial.warm_start._first_level"
#: What is replaced by what; the first row is the reference.
PARTS: dict[str, dict[str, Callable[..., Any]]] = {
    FULL: {},
    "no smoothing around folds": {UNFOLDING: damped},
    "folds left to the spline": {UNFOLDING: lambda objective, field: (field, None)},
    "no smoothing spline": {SPLINE: as_it_is},
    "neither of these two": {UNFOLDING: damped, SPLINE: as_it_is},
    "no alternatives": {ALTERNATIVES: lambda problem, model, warm, recorder: None},
    "affine stage the only one": {ALTERNATIVES: only_affine_stage},
    "finest level only": {FIRST_LEVEL: lambda objective, nodes, finest: finest},
    "two finest levels": {FIRST_LEVEL: lambda objective, nodes, finest: max(finest - 1, 0)},
    "all levels": {FIRST_LEVEL: lambda objective, nodes, finest: 0},
    "none of them": {
        UNFOLDING: damped,
        SPLINE: as_it_is,
        ALTERNATIVES: lambda problem, model, warm, recorder: None,
        FIRST_LEVEL: lambda objective, nodes, finest: 0,
    },
}


@contextlib.contextmanager
def without(part: str) -> Any:
    """The library with a part replaced."""
    with contextlib.ExitStack() as replaced:
        for target, function in PARTS[part].items():
            replaced.enter_context(patch(target, function))
        yield
