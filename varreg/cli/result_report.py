"""Summary of a registration in words or JSON on stdout, and its steps on stderr."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ..optimise.history import Trial
from .spelling import spelled

if TYPE_CHECKING:
    from ..optimise.history import Iteration
    from ..results.result import Result


def report(result: Result, as_json: bool) -> None:
    """Print a result on stdout.

    Parameters
    ----------
    result : varreg.Result
        Result to describe.
    as_json : bool
        Print a JSON object instead of text.

    Examples
    --------
    >>> from varreg.cli.result_report import report
    >>> report(result, as_json=False)  # doctest: +SKIP
    """
    click.echo(json.dumps(summary(result), indent=2) if as_json else spelled(str(result)))


def echo_step(step: Iteration) -> None:
    """Print one accepted step on stderr, for logs without a progress bar.

    Parameters
    ----------
    step : varreg.optimise.history.Iteration
        As passed to the `callback` of :func:`varreg.solve`.

    Examples
    --------
    >>> from varreg.cli.result_report import echo_step
    >>> from varreg.optimise.history import Iteration
    >>> echo_step(Iteration("affine", 0, 4.0, 1, -0.5, 0.5, 0.0, 1.0, 0, 0.1, 2.0, 1.0))
    """
    start = f" from the start {step.start!r}" if isinstance(step, Trial) else ""
    click.echo(
        f"{step.stage} 1/{step.factor:g} size{start}, step {step.iteration}: energy {step.energy:.6f}, "
        f"similarity {step.similarity:.6f}, smoothness {step.smoothness:.6f}, "
        f"gradient {step.gradient_norm:.3g}, moved at most {step.largest_displacement:.3g} mm, "
        f"smallest determinant {step.smallest_determinant:.3f}",
        err=True,
    )


def summary(result: Result) -> dict[str, Any]:
    """The values of a result for JSON.

    Parameters
    ----------
    result : varreg.Result
        Result to describe.

    Returns
    -------
    dict
        Numbers, text, lists and dicts.

    Examples
    --------
    >>> from varreg.cli.result_report import summary
    >>> summary(result)["smallest_determinant"]  # doctest: +SKIP
    0.41
    """
    from ..io.records import plain

    return {
        "fixed": result.fixed_name,
        "moving": result.moving_name,
        "warnings": [spelled(str(check)) for check in result.warnings],
        "checks": [{**plain(check), "remedy": spelled(check.remedy)} for check in result.checks],
        "notes": [spelled(note) for note in result.notes],
        "channels": plain(result.channels),
        "guides": plain(result.guides),
        "rigidity": plain(result.rigidity),
        "shape": list(result.transform.fixed.shape),
        "model": None if result.model is None else plain(result.model),
        "regularity": None if result.regularity is None else plain(result.regularity),
        "affine": result.affine.tolist(),
        "energy": plain(result.energy),
        "start_energy": plain(result.start_energy),
        "smallest_determinant": plain(result.smallest_determinant),
        "overlap": plain(result.overlap),
        "stop": None if result.stop is None else result.stop.value,
        "levels": [plain(level) | {"stop": level.stop.value} for level in result.levels],
        "options": plain(result.options),
        "provenance": result.provenance,
        "seconds": result.seconds,
    }
