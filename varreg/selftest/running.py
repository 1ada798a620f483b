"""Execution of the cases on a device and on the CPU, and comparison."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..api import solve
from ..backends.numba import backend as cpu
from ..batch.batch import solve_batch
from .cases import AnswerCase, ValueCase, answer_cases, value_cases
from .images import deformed_pair
from .maps import MapCase, map_cases

#: Largest relative difference of energies; and of gradients, relative to the largest entry.
VALUES, GRADIENTS = 1e-5, 1e-4
#: Largest mean distance of two maps, in voxels.
ANSWERS = 0.02
#: Largest difference of two inverses in voxels, and of two warped images relative to their intensity range.
MAPS = 1e-4


@dataclass(frozen=True)
class Outcome:
    """Outcome of one case.

    Attributes
    ----------
    case : str
    difference, limit : float
    same_bits : bool
        Whether a second run was bitwise identical; for a registration, also in a batch with another pair.
    seconds, cpu_seconds : float
        Run time on the device (second run), and on the CPU.
    further : str
        Further measurements.
    """

    case: str
    difference: float
    limit: float
    same_bits: bool
    seconds: float
    cpu_seconds: float
    further: str = ""

    @property
    def passed(self) -> bool:
        """Whether the case is within its limit, and bitwise reproducible."""
        return bool(self.difference <= self.limit) and self.same_bits


def run(
    kernels: Any, device: int = 0, cases: Sequence[Any] | None = None,
    observe: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:  # fmt: skip
    """All outcomes, in the order of the cases.

    Parameters
    ----------
    kernels : backend
        Backend of the device.
    device : int
        Index of the device.
    cases : sequence of ValueCase, MapCase and AnswerCase, optional
        All by default.
    observe : callable, optional
        Called with every outcome.
    """
    outcomes = []
    for case in all_cases() if cases is None else cases:
        if isinstance(case, ValueCase):
            outcomes.append(compared_values(case, kernels))
        elif isinstance(case, MapCase):
            outcomes.append(compared_maps(case, kernels, device))
        else:
            outcomes.append(compared_answers(case, kernels, device))
        if observe is not None:
            observe(outcomes[-1])
    return outcomes


def all_cases() -> list[Any]:
    """Energies, maps and registrations."""
    return [*value_cases(), *map_cases(), *answer_cases()]


def compared_values(case: ValueCase, kernels: Any) -> Outcome:
    """Compare the energy and the gradient of one case."""
    first = case.evaluate(kernels)
    (again, seconds), (wanted, cpu_seconds) = (
        _timed(lambda: case.evaluate(kernels)), _timed(lambda: case.evaluate(cpu)),
    )  # fmt: skip
    same = all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    difference = float((np.abs(first[0] - wanted[0]) / np.abs(wanted[0])).max())
    slope = float(np.abs(first[1] - wanted[1]).max() / np.abs(wanted[1]).max())
    if not slope <= GRADIENTS:
        difference = np.inf
    further = f"gradient {slope:.1e}"
    return Outcome(str(case), difference, VALUES, same, seconds, cpu_seconds, further)


def compared_maps(case: MapCase, kernels: Any, device: int) -> Outcome:
    """Compare the inverse of a map, and images warped by it."""
    first = case.evaluate(kernels, device)
    (again, seconds), (wanted, cpu_seconds) = (
        _timed(lambda: case.evaluate(kernels, device)), _timed(lambda: case.evaluate(cpu)),
    )  # fmt: skip
    same = all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    apart = [float(np.abs(a - b).max()) for a, b in zip(first, wanted, strict=True)]
    further = "inverse {:.1e}, linear {:.1e}, cubic {:.1e}".format(*apart)
    return Outcome(str(case), max(apart), MAPS, same, seconds, cpu_seconds, further)


def compared_answers(case: AnswerCase, kernels: Any, device: int) -> Outcome:
    """Compare the maps of one registration, alone and in a batch."""
    moving, fixed = deformed_pair(case.shape, seed=11)
    settings: dict[str, Any] = dict(device=device, progress=False, **case.arguments)

    def found(backend: str) -> Any:
        return solve(moving, fixed, backend=backend, **settings)

    first = found(kernels.NAME)
    (again, seconds), (wanted, cpu_seconds) = (
        _timed(lambda: found(kernels.NAME)), _timed(lambda: found("numba")),
    )  # fmt: skip
    other = deformed_pair(tuple(n + 4 for n in case.shape), seed=12)
    beside, _ = solve_batch([(moving, fixed), other], backend=kernels.NAME, threads=2, **settings)
    same = all(np.array_equal(first.displacement, r.displacement) for r in (again, beside))
    apart = np.linalg.norm(first.displacement - wanted.displacement, axis=0)
    further = f"largest {apart.max():.1e} voxels, {len(first.history)} steps"
    return Outcome(str(case), float(apart.mean()), ANSWERS, same, seconds, cpu_seconds, further)


def _timed(compute: Callable[[], Any]) -> tuple[Any, float]:
    begun = time.perf_counter()
    return compute(), time.perf_counter() - begun
