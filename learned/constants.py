"""Constants of a step that are made once: on a GPU each would wait for a copy from the host."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_TRUSTED: ContextVar[bool] = ContextVar("trusted", default=False)


def kept(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A function of hashable arguments whose last results are kept; nobody may change them.

    Examples
    --------
    >>> ones = kept(lambda n: torch.ones(n))
    >>> ones(3) is ones(3)
    True
    """

    @lru_cache(maxsize=16)
    @wraps(function)
    def made(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        # what is made in inference mode could not be used in training afterwards
        with torch.inference_mode(False), torch.no_grad():
            return function(*arguments, **named)

    return made  # type: ignore[return-value]


@contextmanager
def trusted_values() -> Iterator[None]:
    """Within the block nobody looks at the values of images, which have been checked before: the host
    would have to wait for a GPU at each look.
    """
    token = _TRUSTED.set(True)
    try:
        yield
    finally:
        _TRUSTED.reset(token)


def are_trusted() -> bool:
    """Whether values need no look.

    Examples
    --------
    >>> with trusted_values():
    ...     are_trusted()
    True
    """
    return _TRUSTED.get()
