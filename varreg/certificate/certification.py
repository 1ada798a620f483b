"""``certify``: assessment of a map of any origin by its energy, folds, inverse and stability."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..images.channels import as_channels
from ..images.image import Image
from ..initial.input_transform import InputTransform, input_transform
from ..options.backend_choice import chosen_backend
from ..options.options import Options
from ..options.pairs import first_pair
from ..stages.arguments import merged_options, thread_count
from ..stages.preparation import prepared_with_masks
from ..transforms.registered_images import refuse_other_moving
from .accuracy import accuracy_of, checked_count, spread_of
from .certificate import Certificate
from .figures import figures_of
from .trials import run_trials

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..options.changes import EnergyChanges

FUNCTION = "varreg.certify"
ONE_PAIR = "Of several pairs of images, only the first was assessed."


def certify(
    moving: Any,
    fixed: Any,
    transform: Any,
    *,
    fixed_mask: Any = None,
    moving_mask: Any = None,
    fixed_rigid_mask: Any = None,
    moving_rigid_mask: Any = None,
    iterations: int = 20,
    trials: int = 0,
    seed: int = 0,
    options: Options | None = None,
    preset: str | None = None,
    backend: str = "auto",
    device: int = 0,
    threads: int | None = None,
    callback: Callable[[], None] | None = None,
    **changes: Unpack[EnergyChanges],
) -> Certificate:
    """Assess a map without knowing the true one.

    It does not prove correctness: a map can be a minimum of the energy and wrong.

    Parameters
    ----------
    moving, fixed : array (*S), path, nibabel image or varreg.Image
        As in :func:`varreg.solve`; of several pairs the first is assessed.
    transform : map
        Any ``start`` of :func:`varreg.solve`: a :class:`Result`, a ``learned`` prediction, a
        :class:`Transform`, a matrix, a total displacement (d, *S), or a path.
    fixed_mask, moving_mask : array, path or image, optional
        Masks; a saved result does not contain them.
    fixed_rigid_mask, moving_rigid_mask : array, path or image, optional
        Rigid structures; a saved result does not contain them.
    iterations : int
        Number of steps of the refinement, at least 0.
    trials : {0, 4, 8}
        Number of registrations under small known perturbations (:mod:`varreg.certificate.trials`), from whose spread an
        interval of the mean error is estimated (:mod:`varreg.certificate.interval`).  Each takes as long as
        ``varreg.solve``; 0 by default.
    seed : int
        Seed of the permutations, the random fields, the random choice of voxels and the trials.
    options, preset, **changes
        The energy, as in :func:`varreg.solve`; by default that of the result, if `transform` is one.
    backend, device, threads
        As in :func:`varreg.solve`.
    callback : callable, optional
        Called without arguments after each trial.

    Returns
    -------
    Certificate

    Raises
    ------
    InputError, GeometryError, OverlapError, FileError
        If an argument is invalid, no voxel inside the mask is in view, or `transform` is a result of other
        images on the same grids (swapped ones, for instance).

    Examples
    --------
    >>> import numpy as np, varreg
    >>> x, y = np.mgrid[:48, :48]
    >>> fixed = np.exp(-((x - 22) ** 2 + (y - 25) ** 2) / 90)
    >>> result = varreg.solve(1 - np.roll(fixed, 3, axis=0), fixed)
    >>> certificate = varreg.certify(1 - np.roll(fixed, 3, axis=0), fixed, result)
    >>> certificate.energy.similarity == result.energy.similarity
    True
    """
    kernels = chosen_backend(backend, device, FUNCTION)
    threads = thread_count(threads, FUNCTION)
    random = np.random.default_rng(_whole(seed, "seed"))
    budget, count = _whole(iterations, "iterations"), checked_count(trials, FUNCTION)
    images, *others = as_channels(moving, fixed, FUNCTION)
    moving_image, fixed_image = images
    source = input_transform(
        transform, fixed_image, moving_image, argument="transform", function=FUNCTION
    )
    _refuse_others(source, *images)
    if options is None and preset is None:
        options = source.options
    chosen = merged_options(options, "default" if preset is None else preset, changes, FUNCTION)
    chosen = first_pair(chosen).for_dimension(fixed_image.grid.dim)
    problem, odd, notes = prepared_with_masks(
        *images, fixed_mask, moving_mask, chosen, kernels, threads, FUNCTION,
        rigid_masks=(moving_rigid_mask, fixed_rigid_mask),
    )  # fmt: skip
    figures = figures_of(problem, source, odd, budget, random)  # raises if nothing is in view
    tried = None
    if count:
        tried = run_trials(problem, source.transform, count, int(seed), callback)
    return Certificate(
        fixed_name=fixed_image.name,
        moving_name=moving_image.name,
        kind=source.kind,
        shape=fixed_image.grid.shape,
        spacing=tuple(map(float, fixed_image.grid.spacing)),
        options=chosen,
        seed=int(seed),
        notes=(*notes, ONE_PAIR) if others else notes,
        accuracy=None if tried is None else accuracy_of(tried, fixed_image.grid),
        spread=None if tried is None else spread_of(tried, fixed_image),
        **figures,
    )


def _refuse_others(source: InputTransform, moving: Image, fixed: Image) -> None:
    """Refuse swapped or foreign images on the grids of a result; on other grids a result is treated as any map."""
    if source.registered is None:
        return
    transform, warped = source.registered
    here, there = moving.grid, fixed.grid
    if transform.moving.same_space(here) and transform.fixed.same_space(there):
        refuse_other_moving(transform, moving, warped, FUNCTION)
    elif transform.moving.same_space(there) and transform.fixed.same_space(here):
        raise InputError(
            f"{FUNCTION}: `moving` has the grid of the fixed image of `transform`, and "
            "`fixed` that of the moving one: they are exchanged. Pass varreg.certify(moving, "
            "fixed, transform), or transform.inverse()."
        )


def _whole(value: Any, argument: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise InputError(f"{FUNCTION}: `{argument}` must be a whole number >= 0; got {value!r}.")
    return int(value)
