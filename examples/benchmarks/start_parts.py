"""Steps of the preparation of a start, each omitted or replaced by a simpler one.

The names of the library's internal functions are used in this file only.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from numpy.typing import NDArray

Array = NDArray[Any]
#: The way with all parts, which others are compared with.
FULL = "everything"


def as_it_is(problem: Any, objective: Any, field: Array) -> Array:
    """Instead of smoothing splines: the field."""
    return field


def at_all_levels(problem: Any, source: Any) -> Any:
    """Instead of the finest level alone: all."""
    from varreg.initial.warm_start import warm_start

    return dataclasses.replace(warm_start(problem, source), first=0)


SPLINE = "varreg.initial.warm_start.smoothing_spline_fit"
ALTERNATIVE = "varreg.initial.last_stage.alternative"
START = "varreg.initial.last_stage.warm_start"
#: What is replaced by what; the first row is the reference.
PARTS: dict[str, dict[str, Callable[..., Any]]] = {
    FULL: {},
    "no smoothing spline": {SPLINE: as_it_is},
    "no alternative": {ALTERNATIVE: lambda problem, model, warm, recorder: None},
    "all levels": {START: at_all_levels},
}


@contextlib.contextmanager
def without(part: str) -> Any:
    """The library with a part replaced."""
    with contextlib.ExitStack() as replaced:
        for target, function in PARTS[part].items():
            replaced.enter_context(patch(target, function))
        yield
