"""An answer that may still be on its way: what several of them need from a device is waited for once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")


class Later(Generic[T]):
    """The result of a computation that has been asked for.

    Parameters
    ----------
    collect : callable
        Waits for the result and returns it; called once.
    """

    __slots__ = ("_collect", "_result")
    _collect: Callable[[], T] | None
    _result: T

    def __init__(self, collect: Callable[[], T]) -> None:
        self._collect = collect

    @property
    def is_known(self) -> bool:
        """Whether the result is there."""
        return self._collect is None

    def result(self) -> T:
        """The result, waited for if it is not there."""
        if self._collect is not None:
            self._result, self._collect = self._collect(), None
        return self._result

    def then(self, function: Callable[[T], U]) -> Later[U]:
        """A function of the result, as soon as that is there."""
        if self._collect is None:
            return known(function(self._result))
        return Later(lambda: function(self.result()))


def known(result: T) -> Later[T]:
    """A result that is there.

    Examples
    --------
    >>> known(3).then(lambda n: n + 1).result()
    4
    """
    found: Later[T] = Later.__new__(Later)  # made often, so without a function that returns it
    found._collect, found._result = None, result
    return found
