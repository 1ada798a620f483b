"""Default executor of the registrations of a round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..batch.pair import SMALL
from ..jobs.engine import Engine
from ..jobs.memory import free_gibibytes, jobs_with_room
from ..stages.arguments import thread_count
from .people import FUNCTION, Person


def default_engine(people: Sequence[Person], threads: int | None, kernels: Any) -> Engine:
    """The engine of this process: as many participants in parallel as it has threads, and memory for.

    Small images are registered one after the other, since they gain nothing from threads, and so are all
    on a device.

    Parameters
    ----------
    people : sequence of Person
    threads : int or None
        Total number of threads; None for all available ones.
    kernels : backend
    """
    total = thread_count(threads, FUNCTION)
    sizes = [math.prod(person.grid.shape) for person in people]
    if max(sizes) < SMALL or hasattr(kernels, "together"):
        return Engine(threads=total)
    contrasts = len(people[0].given)
    room = jobs_with_room(contrasts * max(sizes), free_gibibytes())
    parallel = min(total, len(people), room)
    return Engine(threads=total // parallel, parallel=parallel)
