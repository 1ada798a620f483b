"""The verdict at the top of the page: the checks, and the summary of the certificate."""

from __future__ import annotations

from typing import Any

from ..certificate.certificate import Certificate
from ..certificate.summary import accuracy_words
from ..optimise.check import NONE_MADE, SILENT, Check, failed, remedies
from .facts import key_figures


def verdict(checks: tuple[Check, ...], certificate: Certificate, words: str) -> dict[str, Any]:
    """Template variables of the verdict.

    Parameters
    ----------
    checks : tuple of Check
        Checks of the result; if there are none, those of the certificate are shown.
    certificate : Certificate
    words : str
        Summary of the result.
    """
    shown = checks or certificate.checks
    return {
        "checks": shown,
        "grade": "none" if not shown else "bad" if failed(shown) else "good",
        "headline": _headline(shown),
        "summary": _without_checks(words, checks),
        "verdict": _without_checks(str(certificate), certificate.checks)[:-2],
        "accuracy": accuracy_words(certificate),
        "key_figures": key_figures(certificate),
    }


def _headline(checks: tuple[Check, ...]) -> str:
    """The verdict in one line; the warnings are listed below it."""
    count = len(failed(checks))
    if count:
        return (
            f"{count} warning{'' if count == 1 else 's'}: inspect the images before using the map."
        )
    return SILENT if checks else NONE_MADE


def _without_checks(words: str, checks: tuple[Check, ...]) -> list[str]:
    """The summary without the lines about the checks, which are at the top of the page."""
    return words.splitlines()[2 if remedies(checks) else 1 :]
