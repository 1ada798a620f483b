"""Message and exit code of an exception."""

from __future__ import annotations

from ..errors import VarregError

REFUSED, DEFECT = 1, 70


def verdict(error: Exception) -> tuple[str, int]:
    """The message to show and the exit code.

    Parameters
    ----------
    error : Exception

    Examples
    --------
    >>> from varreg.errors import InputError
    >>> verdict(InputError("varreg.solve: `moving` is constant."))
    ('`moving` is constant.', 1)
    """
    words = " ".join(str(error).split())
    if isinstance(error, VarregError):
        return without_prefix(words), REFUSED
    if isinstance(error, MemoryError):
        return (
            "not enough memory for images of this size; leave out the finest level "
            "(--levels 4,2) or keep fewer steps (--memory 2).",
            REFUSED,
        )
    if isinstance(error, OSError):
        return words, REFUSED
    return (
        f"unexpected {type(error).__name__}: {words}. This is a defect of varreg; please "
        "report it with the output of the same command and --debug.",
        DEFECT,
    )


def without_prefix(words: str) -> str:
    """The message without the name of the Python function."""
    head, separator, rest = words.partition(": ")
    return rest if separator and head.split(".")[0] == "varreg" and " " not in head else words
