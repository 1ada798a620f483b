"""``certify``: how a map, wherever it comes from, stands to the energy and to itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..backends.arrays import Array
from ..checks.answer import Answer
from ..checks.checks import checks_of
from ..checks.head import head_of
from ..energy.deformable import DeformableObjective
from ..errors import InputError, OverlapError
from ..geometry.affine_parts import affine_parts
from ..geometry.displacement import expand
from ..geometry.grid import Grid
from ..images.accepted import as_pair
from ..images.image import Image
from ..initial.input_transform import InputTransform, input_transform
from ..initial.smoothing_spline import smoothing_spline_fit
from ..initial.warm_start import moved_between, on_displacement_grid, unfolded_start
from ..optimise.history import Energy
from ..optimise.minimise import minimise
from ..optimise.objective import Evaluation
from ..options.options import Options
from ..stages.arguments import chosen_backend, merged_options, thread_count
from ..stages.deformable import deformable_objective, state_of
from ..stages.levels import affine_evaluation, check_view
from ..stages.preparation import prepared_with_masks
from ..stages.problem import Problem
from ..transforms.registered_images import refuse_other_moving
from ..transforms.transform import Transform
from .accuracy import accuracy_of, checked_count, spread_of
from .baselines import perturbations, shuffled
from .certificate import Certificate
from .field_figures import folds_of, inverse_residual
from .records import Gradients, Refinement
from .trials import run_trials

FUNCTION = "varreg.certify"


def certify(
    moving: Any,
    fixed: Any,
    transform: Any,
    *,
    fixed_mask: Any = None,
    moving_mask: Any = None,
    iterations: int = 20,
    trials: int = 0,
    seed: int = 0,
    options: Options | None = None,
    preset: str | None = None,
    backend: str = "numba",
    threads: int | None = None,
    callback: Callable[[], None] | None = None,
    **changes: Any,
) -> Certificate:
    """Say what can be said of a map without knowing the true one.

    It is no test of being right: a map can be a minimum of the energy and wrong.

    Parameters
    ----------
    moving, fixed : array (*S), path, nibabel image or varreg.Image
        As in :func:`varreg.solve`.
    transform : map
        What ``start`` of :func:`varreg.solve` may be: a :class:`Result`, a ``learned`` prediction, a
        :class:`Transform`, a matrix, a total displacement (d, *S), or a path.
    fixed_mask, moving_mask : array, path or image, optional
        Voxels that count; a saved result does not hold them.
    iterations : int
        Steps of the refinement, from 0.
    trials : {0, 4, 8}
        Registrations under small known changes (:mod:`varreg.certificate.trials`), from whose spread an interval of the
        mean error is estimated (:mod:`varreg.certificate.interval`).  Each takes as long as ``varreg.solve``; none by
        default.
    seed : int
        Of the permutations, the random fields, the random choice of voxels and the trials.
    options, preset, **changes
        The energy, as in :func:`varreg.solve`; by default that of the result, if `transform` is one.
    backend, threads
        As in :func:`varreg.solve`.
    callback : callable, optional
        Called without arguments after each trial.

    Returns
    -------
    Certificate

    Raises
    ------
    InputError, GeometryError, OverlapError, FileError
        If an argument is unusable, no voxel that counts is in view, or `transform` is a result of other
        images on the same grids (swapped ones, say).

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
    kernels, threads = chosen_backend(backend), thread_count(threads, FUNCTION)
    random = np.random.default_rng(_whole(seed, "seed"))
    budget, count = _whole(iterations, "iterations"), checked_count(trials, FUNCTION)
    images = moving_image, fixed_image = as_pair(moving, fixed, FUNCTION)
    source = input_transform(
        transform, fixed_image, moving_image, argument="transform", function=FUNCTION
    )
    _refuse_others(source, *images)
    if options is None and preset is None:
        options = source.options
    chosen = merged_options(options, "default" if preset is None else preset, changes, FUNCTION)
    chosen = chosen.for_dimension(fixed_image.grid.dim)
    problem, checks_of_input, notes = prepared_with_masks(
        *images, fixed_mask, moving_mask, chosen, kernels, threads, FUNCTION
    )

    as_given, in_view = _as_given(problem, source.transform)
    affine, nodes = on_displacement_grid(problem, source.transform)
    mean_moved, largest_moved = moved_between(problem, source.transform, affine, nodes)
    objective = deformable_objective(problem, len(problem.factors) - 1, affine)
    here, gradients, alone = _evaluations(problem, objective, nodes)
    measured = here.energy, in_view, here.smallest_determinant
    answer = Answer(problem, affine, nodes, *measured)
    checks = *checks_of_input, *checks_of(answer)
    tried = run_trials(problem, source.transform, count, int(seed), callback) if count else None
    objective, start, unfolding = unfolded_start(problem, affine, nodes)
    constraint, fixed_grid = chosen.constraint, fixed_image.grid
    return Certificate(
        fixed_name=fixed_image.name,
        moving_name=moving_image.name,
        kind=source.kind,
        shape=fixed_grid.shape,
        spacing=tuple(map(float, fixed_grid.spacing)),
        options=chosen,
        seed=int(seed),
        similarity_as_given=as_given,
        folds_as_given=folds_of(problem, source.transform.nodes, source.transform.constraint),
        mean_moved=mean_moved,
        largest_moved=largest_moved,
        energy=here.energy,
        folds=folds_of(problem, nodes, constraint),
        unfolding=unfolding,
        identity=answer.identity,
        affine=alone.energy,
        affine_stage=_affine_stage(problem, affine) if source.transform.nodes is None else None,
        affine_determinant=float(np.linalg.det(affine[:-1, :-1])),
        gradients=gradients,
        refinement=_refinement(
            problem, objective, start, budget, answer.identity, source.minimised
        ),
        inverse=inverse_residual(source.transform, random),
        overlap=fixed_grid.overlap_fraction(moving_image.grid, affine),
        in_view=in_view,
        shuffled=shuffled(problem, source.transform, random),
        perturbations=perturbations(problem, objective, start, random),
        affine_scales=tuple(map(float, affine_parts(affine, fixed_grid)[1])),
        checks=checks,
        notes=notes,
        accuracy=None if tried is None else accuracy_of(tried, fixed_grid),
        spread=None if tried is None else spread_of(tried, fixed_image),
    )


def _refuse_others(source: InputTransform, moving: Image, fixed: Image) -> None:
    """Swapped or foreign images of the grids of a result; on other grids it is a map like any."""
    if source.registered is None:
        return
    transform, warped = source.registered
    if _same(transform.moving, moving.grid) and _same(transform.fixed, fixed.grid):
        refuse_other_moving(transform, moving, warped, FUNCTION)
    elif _same(transform.moving, fixed.grid) and _same(transform.fixed, moving.grid):
        raise InputError(
            f"{FUNCTION}: `moving` lies where the fixed image of `transform` lay, and `fixed` where the moving one did: they "
            "are exchanged; pass varreg.certify(moving, fixed, transform), or transform.inverse()."
        )


def _same(grid: Grid, other: Grid) -> bool:
    return grid.shape == other.shape and grid.same_space(other)


def _whole(value: Any, argument: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise InputError(f"{FUNCTION}: `{argument}` must be a whole number >= 0; got {value!r}.")
    return int(value)


def _as_given(problem: Problem, transform: Transform) -> tuple[float, float]:
    """Similarity of the map as it is, and the share of the voxels that count which it sees."""
    finest = len(problem.factors) - 1
    shape = None if transform.nodes is None else transform.nodes.shape[1:]
    objective = deformable_objective(problem, finest, transform.affine, shape, transform.constraint)
    nodes = transform.nodes
    if nodes is None:
        nodes = np.zeros((objective.dimension, *objective.smoothness.shape))
    evaluation = objective.evaluate_folded(state_of(objective, nodes))
    if not evaluation.in_view > 0:
        raise OverlapError(
            f"{FUNCTION}: `transform` takes no voxel of `fixed` that counts to a voxel of `moving` that"
            " counts; check its direction (fixed -> moving, world mm) and the masks."
        )
    return evaluation.energy.similarity, float(evaluation.in_view)


def _evaluations(
    problem: Problem, objective: DeformableObjective, nodes: Array
) -> tuple[Evaluation, Gradients, Evaluation]:
    """At the map, its gradients, and at its affine part alone."""
    still = state_of(objective, np.zeros_like(nodes))
    headers = deformable_objective(problem, len(problem.factors) - 1, np.eye(nodes.ndim))
    identity, alone = headers.evaluate(still), objective.evaluate(still)
    here = objective.evaluate_folded(state_of(objective, nodes))
    norms = (float(np.linalg.norm(e.gradient())) for e in (here, alone, identity))
    return here, Gradients(*norms), alone


def _affine_stage(problem: Problem, affine: Array) -> Energy:
    """The energy as the affine stage measures it."""
    return check_view(affine_evaluation(problem, affine)).energy


def _refinement(
    problem: Problem, objective: DeformableObjective, nodes: Array, budget: int, identity: Energy,
    minimised: bool,
) -> Refinement:  # fmt: skip
    """What the solver gains in so many steps at the finest level, and how far it goes.

    It begins as it would from a start (:mod:`varreg.initial.warm_start`): a map that was made for another
    energy is fitted by a smoothing spline first, or the first steps would throw its good parts away with its roughness.
    """
    start = objective.evaluate(state_of(objective, nodes)).energy
    as_it_is = minimised or budget == 0
    state = state_of(
        objective, nodes if as_it_is else smoothing_spline_fit(problem, objective, nodes)
    )
    ended = minimise(objective, state, problem.options, budget, stage="refinement")
    change = expand(ended.state[1] - nodes, problem.fixed.grid.shape, problem.options.constraint)
    moved = np.sqrt(np.square(change[:, head_of(problem.fixed).shown]).sum(0))
    end = ended.evaluation.energy
    below = identity.total - end.total
    share = 100 * (start.total - end.total) / below if below > 0 else None
    largest, tail = float(moved.max()), float(np.percentile(moved, 95))
    return Refinement(
        ended.iterations, ended.stop, start, end, share, float(moved.mean()), tail, largest
    )
