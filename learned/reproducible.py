"""What makes a run give the same bits again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def reproducible(threads: int | None, device: torch.device, seed: int = 0) -> Iterator[None]:
    """Same bits in every run with the same number of threads; on GPUs what torch can do for it.

    Settings of torch that are changed for it come back afterwards.
    """
    deterministic: Any = torch.utils.deterministic
    before = (
        torch.get_deterministic_debug_mode(),
        deterministic.fill_uninitialized_memory,
        torch.get_num_threads(),
    )
    # on a GPU the derivative of interpolation adds up in any order, and there is no other;
    # use_deterministic_algorithms does the same and loads a compiler first
    torch.set_deterministic_debug_mode("error" if device.type == "cpu" else "warn")
    deterministic.fill_uninitialized_memory = False  # takes time, and hides nothing
    torch.set_num_threads(threads or before[2])
    try:
        with torch.random.fork_rng():  # nothing draws from it, but its state is in checkpoints
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_deterministic_debug_mode(before[0])
        deterministic.fill_uninitialized_memory = before[1]
        torch.set_num_threads(before[2])
