"""``solve``: check the arguments, run the stages, assemble the result."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

from ._version import __version__
from .affines import checked_affine
from .errors import BackendError, GeometryError, InputError, OverlapError
from .grid import Grid
from .history import Iteration
from .image import as_mask, as_pair
from .kernels.arrays import Array
from .options import AFFINE_MODELS, Options
from .problem import Problem
from .pyramid import Sampled, unit_intensities
from .result import Result
from .stages import (
    NOTHING_IN_VIEW,
    Recorder,
    affine_energy,
    affine_factors,
    affine_stage,
    deformable_stage,
    identical_level,
    starting_energy,
)
from .starts import NAMES
from .transform import Transform

logger = logging.getLogger(__name__)

BACKENDS = {"numba": "varreg.kernels.cpu", "numpy": "varreg.kernels.reference"}
#: Below this share of fixed voxels in view the header cannot be trusted as a start.
LEAST_OVERLAP = 0.01


def solve(
    moving: Any,
    fixed: Any,
    *,
    affine: str | Array | None = "affine",
    deformable: bool = True,
    fixed_mask: Any = None,
    moving_mask: Any = None,
    start: str | Array | None = None,
    options: Options | None = None,
    preset: str = "default",
    backend: str = "numba",
    threads: int | None = None,
    progress: bool | None = None,
    callback: Callable[[Iteration], None] | None = None,
    **changes: Any,
) -> Result:
    """Bring `moving` onto `fixed`.

    Every map goes fixed -> moving: the fixed point x corresponds to the moving point A(x + u(x)),
    so that moving(A(x + u(x))) ~ fixed(x).

    Parameters
    ----------
    moving, fixed : array (*S), path, nibabel image or varreg.Image
        Two images of the same anatomy, both 2D or both 3D, of any contrast; arrays have a spacing
        of 1 mm.
    affine : {"affine", "similarity", "rigid", "translation"}, (d + 1, d + 1) array or None
        Model of the affine stage; a matrix (fixed world -> moving world, mm) is used as it is;
        None is the identity in world space.
    deformable : bool
        Whether the deformable stage runs.
    fixed_mask, moving_mask : array, path or image, optional
        Voxels that count (non-zero), on the grid of their image.
    start : {"header", "centres", "moments"} or (d + 1, d + 1) array, optional
        Where the affine search starts; by default all three are tried.
    options : Options, optional
        What is minimised and how; overrides `preset`.
    preset : str
        Name for :meth:`Options.preset`.
    backend : {"numba", "numpy"}
        "numpy" is a slow, readable reference.
    threads : int, optional
        Threads to use; the result does not depend on it. All available by default.
    progress : bool, optional
        Whether to show a progress bar; by default on a terminal only.
    callback : callable, optional
        Called with a :class:`varreg.history.Iteration` after each accepted step.
    **changes
        Single fields of :class:`Options`, e.g. ``memory=0`` or ``smoothness_weight=2``.

    Returns
    -------
    Result

    Raises
    ------
    InputError, GeometryError, OverlapError, FileError
        If an argument is unusable; nothing has been computed then.
    DivergenceError
        If the descent meets a state that is not finite.

    Examples
    --------
    >>> import numpy as np, varreg
    >>> x, y = np.mgrid[:48, :48]
    >>> fixed = np.exp(-((x - 22) ** 2 + (y - 25) ** 2) / 90)
    >>> result = varreg.solve(1 - np.roll(fixed, 3, axis=0), fixed, affine="translation", deformable=False)
    >>> bool(abs(result.displacement[0].mean() - 3) < 0.1)
    True
    """
    begun = time.perf_counter()
    options = _options(options, preset, changes)
    kernels, threads = _backend(backend), _threads(threads)
    moving_image, fixed_image = as_pair(moving, fixed)
    masks = (
        as_mask(fixed_mask, fixed_image, argument="fixed_mask", function="varreg.solve"),
        as_mask(moving_mask, moving_image, argument="moving_mask", function="varreg.solve"),
    )
    grids = fixed_image.grid, moving_image.grid
    model, matrix = _affine(affine, grids[0].dim)
    starts = _starts(start, grids[0].dim)
    _check_overlap(grids[0], grids[1], matrix, model, starts)
    problem = Problem(
        Sampled(unit_intensities(fixed_image.data, options.fixed_range), masks[0], grids[0]),
        Sampled(unit_intensities(moving_image.data, options.moving_range), masks[1], grids[1]),
        options,
        kernels,
        threads,
    )
    seconds = {"preparation": time.perf_counter() - begun}
    expected = _level_count(problem, model, deformable)
    with _observer(progress, callback, expected) as observe:
        recorder = Recorder(observe)
        if np.array_equal(matrix, np.eye(len(matrix))) and _identical(problem):
            recorder.levels.append(identical_level(problem))
            model, deformable = None, False
        clock = time.perf_counter()
        if model is not None:
            matrix = affine_stage(problem, model, starts, not deformable, recorder)
        seconds["affine"] = time.perf_counter() - clock
        clock = time.perf_counter()
        before, at_affine = starting_energy(problem), affine_energy(problem, matrix)
        if at_affine.similarity == 0:
            raise OverlapError(NOTHING_IN_VIEW)
        if deformable:
            nodes, energy, bound = deformable_stage(problem, matrix, recorder)
        else:
            nodes, energy, bound = None, at_affine, 1.0
        seconds["deformable"] = time.perf_counter() - clock
    clock = time.perf_counter()
    frame = fixed_image.frame if moving_image.frame is not None else None
    transform = Transform(*grids, matrix, nodes, options.constraint, frame)
    warped = dataclasses.replace(
        fixed_image, data=transform.warp(moving_image), name=f"warped {moving_image.name}".strip()
    )
    overlap = grids[0].overlap_fraction(grids[1], matrix)
    seconds["warping"] = time.perf_counter() - clock
    return Result(
        transform=transform,
        warped=warped,
        fixed_name=fixed_image.name,
        moving_name=moving_image.name,
        fixed=fixed_image,
        moving=moving_image,
        energy=energy,
        start_energy=before,
        history=tuple(recorder.history),
        levels=tuple(recorder.levels),
        options=options,
        smallest_determinant=bound,
        overlap=overlap,
        provenance=_provenance(backend, threads, seconds),
    )


def _options(options: Options | None, preset: str, changes: dict[str, Any]) -> Options:
    if options is None:
        return Options.preset(preset, **changes)
    if not isinstance(options, Options):
        raise InputError(
            "varreg.solve: `options` must be a varreg.Options (or use `preset` and single fields);"
            f" got {type(options).__name__}."
        )
    return options.replace(**changes)


def _backend(name: str) -> ModuleType:
    if name == "cupy":
        raise BackendError(
            "varreg.solve: `backend` 'cupy' is not part of this version; use 'numba'."
        )
    if not isinstance(name, str) or name not in BACKENDS:
        raise InputError(
            f"varreg.solve: `backend` must be one of {', '.join(map(repr, BACKENDS))}; got {name!r}."
        )
    kernels = importlib.import_module(BACKENDS[name])
    if name == "numba" and not kernels.is_compiled():
        # a warning, because it must be seen: nothing else explains the wait
        logger.warning("varreg: compiling the kernels, once, about 15 s; later runs start at once.")
    return kernels


def _threads(threads: int | None) -> int:
    if threads is None:
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
    if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or threads < 1:
        raise InputError(f"varreg.solve: `threads` must be a whole number >= 1; got {threads!r}.")
    return int(threads)


def _matrix(value: Any, dimension: int, argument: str) -> Array:
    try:
        matrix = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"varreg.solve: `{argument}` must be a name or a matrix; got {type(value).__name__}."
        ) from None
    try:
        return checked_affine(matrix, dimension)
    except GeometryError as error:
        raise GeometryError(f"varreg.solve: `{argument}` is not usable: {error}") from None


def _affine(affine: Any, dimension: int) -> tuple[str | None, Array]:
    """(model to search for or None, matrix to use without one)."""
    if affine is None:
        return None, np.eye(dimension + 1)
    if not isinstance(affine, str):
        return None, _matrix(affine, dimension, "affine")
    if affine not in AFFINE_MODELS:
        raise InputError(
            f"varreg.solve: `affine` must be one of {', '.join(map(repr, AFFINE_MODELS))}, a matrix"
            f" or None; got {affine!r}."
        )
    return affine, np.eye(dimension + 1)


def _starts(start: Any, dimension: int) -> tuple[str, ...] | Array:
    if start is None:
        return NAMES
    if not isinstance(start, str):
        return _matrix(start, dimension, "start")
    if start not in NAMES:
        raise InputError(
            f"varreg.solve: `start` must be one of {', '.join(map(repr, NAMES))} or a matrix;"
            f" got {start!r}."
        )
    return (start,)


def _check_overlap(
    fixed: Grid, moving: Grid, matrix: Array, model: str | None, starts: tuple[str, ...] | Array
) -> None:
    """Refuse to guess when the headers put the images apart, unless a start was asked for."""
    if isinstance(starts, tuple) and model is not None and starts in (("centres",), ("moments",)):
        return
    start = starts if model is not None and not isinstance(starts, tuple) else matrix
    overlap = fixed.overlap_fraction(moving, start)
    if overlap < LEAST_OVERLAP:
        apart = float(np.linalg.norm((start @ np.append(fixed.centre, 1))[:-1] - moving.centre))
        raise OverlapError(
            f"varreg.solve: `moving` and `fixed` hardly overlap: {100 * overlap:.1f} % of the fixed"
            f" image is in view of the moving one and their centres are {apart:.0f} mm apart; pass"
            " start='centres' or start='moments' with an affine model, or correct the headers."
        )


def _identical(problem: Problem) -> bool:
    """Whether the images are the same voxel by voxel: an estimate of mutual information has its
    maximum near the identity, not exactly there, so this answer is not left to the descent.
    """
    fixed, moving = problem.fixed, problem.moving
    return fixed.grid.same_space(moving.grid) and np.array_equal(fixed.data, moving.data)


def _level_count(problem: Problem, model: str | None, deformable: bool) -> int:
    affine = len(affine_factors(problem, not deformable)) if model is not None else 0
    return affine + (len(problem.factors) if deformable else 0)


@contextlib.contextmanager
def _observer(
    progress: bool | None, callback: Callable[[Iteration], None] | None, levels: int
) -> Iterator[Callable[[Iteration], None] | None]:
    """What is told of each step: the progress bar, the caller, both or none."""
    wanted = sys.stderr.isatty() if progress is None else progress
    if not wanted:
        yield callback
        return
    from .progress import bar

    with bar(levels) as shown:

        def observe(iteration: Iteration) -> None:
            shown.update(iteration)
            if callback is not None:
                callback(iteration)

        yield observe


def _provenance(backend: str, threads: int, seconds: dict[str, float]) -> dict[str, Any]:
    packages = ("numpy", "scipy", "numba") if backend == "numba" else ("numpy", "scipy")
    versions = {name: importlib.import_module(name).__version__ for name in packages}
    return {
        "varreg": __version__,
        "python": platform.python_version(),
        **versions,
        "backend": backend,
        "threads": threads,
        "platform": platform.platform(),
        "seconds": seconds,
    }
