"""Registration methods by name: identity, varreg with presets and single changes, networks, peers."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from peers import PEERS, Array, Run

#: What the preset "default" is called here, and the row that others are compared with.
DEFAULT = "varreg"


@dataclass(frozen=True)
class Method:
    """A registration tool.

    Attributes
    ----------
    name : str
    run : callable
        (fixed, moving, threads) -> displacement (d, *S) in voxels.
    packages : tuple of str
        What it imports.
    peer : bool
        Whether it must not share a process with varreg.
    """

    name: str
    run: Run
    packages: tuple[str, ...] = ()
    peer: bool = False

    @property
    def missing(self) -> tuple[str, ...]:
        """Its packages that this interpreter does not have."""
        return tuple(p for p in self.packages if importlib.util.find_spec(p) is None)


def identity(fixed: Array, moving: Array, threads: int) -> Array:
    """Nothing done: its error is the one to start with."""
    return np.zeros((fixed.ndim, *fixed.shape), np.float32)


def solve(fixed: Array, moving: Array, threads: int, **arguments: Any) -> Array:
    """varreg, everything as a user calls it, the total displacement included.

    `iterations_factor` multiplies the default budget of iterations.
    """
    import varreg

    if "iterations_factor" in arguments:
        arguments["iterations"] = scaled_iterations(arguments.pop("iterations_factor"), fixed.ndim)
    return varreg.solve(moving, fixed, threads=threads, progress=False, **arguments).displacement


def varreg_settings() -> dict[str, dict[str, Any]]:
    """Name -> arguments of ``varreg.solve``: every preset there is, then single changes."""
    import checkout  # noqa: F401

    from varreg.options.presets import PRESETS

    presets = {f"varreg-{name}": {"preset": name} for name in PRESETS if name != "default"}
    return {
        DEFAULT: {},
        **presets,
        "varreg-iterations-half": {"iterations_factor": 0.5},
        "varreg-iterations-double": {"iterations_factor": 2},
        "varreg-iterations-fourfold": {"iterations_factor": 4},
        "varreg-cubic": {"interpolation": "cubic"},
        **{f"varreg-{name}": {"similarity": name} for name in ("mi", "nmi", "lncc", "mind")},
    }


def scaled_iterations(factor: float, dimension: int = 2) -> tuple[int, ...]:
    """The default budget of iterations, times a factor."""
    import checkout  # noqa: F401

    from varreg.options.presets import BY_REGULARITY

    usual = BY_REGULARITY["smooth"][dimension]["iterations"]
    return tuple(max(round(factor * n), 1) for n in usual)


def peer_methods() -> dict[str, Method]:
    """The peers; does not import varreg."""
    return {name: Method(name, run, packages, peer=True) for name, (run, packages) in PEERS.items()}


def varreg_methods() -> dict[str, Method]:
    """varreg in all its settings."""
    return {
        name: Method(name, partial(solve, **arguments), ("numba",))
        for name, arguments in varreg_settings().items()
    }


def find_methods(names: list[str]) -> list[Method]:
    """The methods of these names.

    Raises
    ------
    ValueError
        If there is none of a name.
    """
    known = {"identity": Method("identity", identity), **peer_methods()}
    if not set(names) <= set(known):
        from learned_methods import learned_methods

        known |= varreg_methods() | learned_methods()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"no method {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names]
