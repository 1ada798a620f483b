"""Types of option values."""

from __future__ import annotations

import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

import click

from ..options.validation import named

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Numbers(click.ParamType):
    """Numbers separated by commas; the word none if None is allowed.

    Parameters
    ----------
    hint : type
        Type hint of the field of :class:`varreg.Options`.

    Examples
    --------
    >>> from varreg.cli.value_types import Numbers
    >>> Numbers(tuple[float, ...] | None).convert("4,2,1", None, None)
    (4.0, 2.0, 1.0)
    """

    name = "numbers"

    def __init__(self, hint: Any) -> None:
        alternatives = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        tuples = [get_args(kind) for kind in alternatives if get_origin(kind) is tuple]
        self.optional = type(None) in alternatives
        self.pair = bool(tuples) and ... not in tuples[0]
        self.many = bool(tuples)
        self.single = int in alternatives or float in alternatives
        self.kind = int if int in (*alternatives, *(tuples[0] if tuples else ())) else float

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | float | tuple[int | float, ...] | None:
        """The value for Options; a failure is a usage error that states the expected form."""
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        if self.optional and value.strip().lower() == "none":
            return None
        try:
            numbers = tuple(self.kind(part) for part in value.split(","))
        except ValueError:
            wanted = "whole numbers" if self.kind is int else "numbers"
            self.fail(f"{value!r} is not {wanted} separated by commas.", param, ctx)
        if len(numbers) == 1 and self.single:
            return numbers[0]
        if not self.many:
            self.fail(f"{value!r} is more than one number.", param, ctx)
        return numbers

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """The placeholder in --help."""
        if self.pair:
            return "LOW,HIGH"
        number = "INTEGER" if self.kind is int else "NUMBER"
        return f"{number},..." if self.many else number


class AxesOrNone(click.ParamType):
    """Letters of axes, or a weight for each axis, separated by commas; or the word none.

    Examples
    --------
    >>> from varreg.cli.value_types import AxesOrNone
    >>> AxesOrNone().convert("j", None, None), AxesOrNone().convert("0.1,1,0.1", None, None)
    ('j', (0.1, 1.0, 0.1))
    """

    name = "axes"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | tuple[float, ...] | None:
        """The letters or the weights, validated by Options."""
        if not isinstance(value, str) or value.isalpha():
            return None if value.lower() == "none" else value
        try:
            return tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is neither letters of axes nor weights of them.", param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """The placeholder in --help."""
        return "LETTERS|W,W,W"


class NamesOrNone(click.ParamType):
    """A subset of names, separated by commas; or the word none.

    Parameters
    ----------
    names : tuple of str

    Examples
    --------
    >>> from varreg.cli.value_types import NamesOrNone
    >>> NamesOrNone(("mi", "lncc")).convert("mi,lncc", None, None)
    ('mi', 'lncc')
    """

    name = "names"

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...] | None:
        """The names; a failure is a usage error."""
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        if value.strip().lower() == "none":
            return None
        found = tuple(named(part.strip(), self.names) for part in value.split(","))
        for name in found:
            if name not in self.names:
                self.fail(f"{name!r} is not one of {', '.join(self.names)}.", param, ctx)
        return found

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """The placeholder in --help."""
        return "NAME,..."


class RangeOrNone(click.IntRange):
    """An integer in a range, or the word none.

    Examples
    --------
    >>> from varreg.cli.value_types import RangeOrNone
    >>> RangeOrNone(2, 4).convert("3", None, None), RangeOrNone(2, 4).convert("none", None, None)
    (3, None)
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number or None; a failure is a usage error."""
        if isinstance(value, str) and value.strip().lower() == "none":
            return None
        return super().convert(value, param, ctx)


class NameOrMatrix(click.ParamType):
    """One of several names, or a text file with a homogeneous matrix.

    Parameters
    ----------
    names : tuple of str
        Allowed names; "none" is converted to None.

    Examples
    --------
    >>> from varreg.cli.value_types import NameOrMatrix
    >>> NameOrMatrix(("rigid", "none")).convert("rigid", None, None)
    'rigid'
    """

    name = "name or file"

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | NDArray[np.float64] | None:
        """The name, the matrix, or None; a failure is a usage error."""
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        name = named(value, self.names)
        if name in self.names:
            return None if name == "none" else name
        if not Path(value).is_file():
            self.fail(f"{value!r} is neither {', '.join(self.names)} nor a file.", param, ctx)
        import numpy as np

        try:
            return np.loadtxt(value, ndmin=2)
        except (OSError, ValueError):
            self.fail(f"{value!r} does not hold rows of numbers, a matrix.", param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """The placeholder in --help."""
        return f"[{'|'.join(self.names)}|FILE]"


class NameOrMap(NameOrMatrix):
    """One of several names, a text file with a matrix, or the path of a transform.

    Parameters
    ----------
    names : tuple of str

    Examples
    --------
    >>> from varreg.cli.value_types import NameOrMap
    >>> NameOrMap(("header",)).convert("header", None, None)
    'header'
    """

    name = "name, file or folder"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | NDArray[np.float64] | None:
        """The name, the matrix, or the path unchanged; a failure is a usage error."""
        value = named(value, self.names)
        if not isinstance(value, str) or value in self.names:
            return value  # type: ignore[no-any-return]
        if not Path(value).exists():
            self.fail(f"{value!r} is neither {', '.join(self.names)} nor a file.", param, ctx)
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:  # not rows of numbers: another file type, or a folder
            return value

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """The placeholder in --help."""
        return f"[{'|'.join(self.names)}|FILE|RESULT]"
