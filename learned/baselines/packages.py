"""Packages that only the baselines need: imported when a network is built, with weights of ours."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Generator

from varreg.errors import InputError

#: What makes all of them importable.
HOW = "pip install 'varreg[baselines]'"


def module_of(name: str, network: str) -> Any:
    """A module of an optional package.

    Raises
    ------
    InputError
        If the package is absent, or one that it needs; the message says how to get it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"learned.baselines: the network {network!r} needs {name.split('.')[0]}, which cannot be "
            f"imported here ({error}): {HOW}."
        ) from error


@contextmanager
def drawn_by(generator: Generator) -> Iterator[None]:
    """Within the block the global generator of the CPU starts from a number that `generator` draws.

    Other packages draw their weights from the global one; it is left as it was.

    Examples
    --------
    >>> before = torch.get_rng_state()
    >>> with drawn_by(torch.Generator().manual_seed(0)):
    ...     _ = torch.rand(3)
    >>> bool((torch.get_rng_state() == before).all())
    True
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
