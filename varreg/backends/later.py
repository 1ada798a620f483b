"""Asynchronous results: one wait for the results of several computations on a device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")


class Later(Generic[T]):
    """Result of a requested computation, which may not be available yet.

    Parameters
    ----------
    collect : callable
        Waits for the result and returns it; called at most once.
    """

    __slots__ = ("_collect", "_result")
    _collect: Callable[[], T] | None
    _result: T

    def __init__(self, collect: Callable[[], T]) -> None:
        self._collect = collect

    @property
    def is_known(self) -> bool:
        """Whether the result is available without waiting."""
        return self._collect is None

    def result(self) -> T:
        """The result, waited for if necessary."""
        if self._collect is not None:
            self._result, self._collect = self._collect(), None
        return self._result

    def then(self, function: Callable[[T], U]) -> Later[U]:
        """Function of the result, applied when the result is available."""
        if self._collect is None:
            return known(function(self._result))
        return Later(lambda: function(self.result()))


def known(result: T) -> Later[T]:
    """An available result.

    Examples
    --------
    >>> known(3).then(lambda n: n + 1).result()
    4
    """
    found: Later[T] = Later.__new__(Later)  # called often: avoids a closure
    found._collect, found._result = None, result
    return found
