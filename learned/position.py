"""Place in a training: stage, epoch, step, and the best validation so far."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from numbers import Real

from varreg.errors import InputError


@dataclass(frozen=True)
class Position:
    """Place in a training.

    Attributes
    ----------
    stage : str
        Name of the stage of the training, e.g. "affine".
    epoch, step : int
        Of the stage, and of the whole training.
    best : float or None
        Best value of the validation so far.
    waited : int
        Validations since then.
    """

    stage: str
    epoch: int = 0
    step: int = 0
    best: float | None = None
    waited: int = 0

    def __post_init__(self) -> None:
        counts = (self.epoch, self.step, self.waited)
        good = isinstance(self.stage, str) and all(
            type(n) is int and 0 <= n < 10**12 for n in counts
        )
        if self.best is not None:
            good = good and isinstance(self.best, Real) and not math.isnan(self.best)
        if not good:
            raise InputError(
                "learned.Position: a stage is text, `epoch`, `step` and `waited` are whole numbers "
                f"from 0, `best` is a number or None; got {self}."
            )
        if self.best is not None:
            object.__setattr__(self, "best", float(self.best))

    def after_validation(self, value: float) -> tuple[Position, bool]:
        """The same place after a validation, and whether that was the best.

        Parameters
        ----------
        value : float
            What the validation judges by, smaller being better.

        Examples
        --------
        >>> Position("affine", best=2.0).after_validation(3.0)
        (Position(stage='affine', epoch=0, step=0, best=2.0, waited=1), False)
        """
        if self.best is None or value < self.best:
            return dataclasses.replace(self, best=value, waited=0), True
        return dataclasses.replace(self, waited=self.waited + 1), False
