"""The errors that end a training whose figures are no longer finite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from varreg.errors import DivergenceError

from .position import Position


def loss_diverged(
    values: Mapping[str, float], subjects: Iterable[str], place: Position, last: Path | None
) -> DivergenceError:
    """Of a step whose loss or gradient is not finite: the batch that caused it, and what to try.

    Parameters
    ----------
    values : mapping
        "total" and "gradient" of the step.
    subjects : iterable of str
        Of the batch, of all processes.
    place : Position
        Before the step.
    last : Path or None
        The last checkpoint.
    """
    return DivergenceError(
        f"learned.train: the loss is {values['total']:g} and its gradient {values['gradient']:g} in "
        f"stage {place.stage!r}, epoch {place.epoch + 1}, step {place.step + 1}, with the subjects "
        f"{', '.join(subjects)}. No weight was changed by it; the last checkpoint is "
        f"{last.name if last else 'none'}. Try a smaller `optimiser.learning_rate` or "
        "`optimiser.gradient_clipping`, and look at the images of these subjects."
    )


def validation_diverged(value: float, place: Position) -> DivergenceError:
    """Of a validation that gave no finite figure.

    Parameters
    ----------
    value : float
    place : Position
    """
    return DivergenceError(
        f"learned.train: the validation after epoch {place.epoch} of stage {place.stage!r} gave "
        f"{value}; the last checkpoint is from before. Try a smaller `optimiser.learning_rate`."
    )
