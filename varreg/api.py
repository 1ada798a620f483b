"""``solve``: validation of the arguments, the stages, and assembly of the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .backends.arrays import Array
from .backends.compilation import compilation_clock, compilation_seconds, computing_time
from .backends.namespace import on_host
from .checks.answer import Answer
from .checks.evidence import evidence
from .images.frames import frame_of_map
from .images.image import Image
from .images.warping import fill_value, warped
from .initial.last_stage import Registration
from .initial.request import as_request
from .initial.search import registration
from .optimise.history import Iteration
from .options.backend_choice import chosen_backend
from .options.options import Options
from .report.progress import observer
from .report.repetition import call_record
from .results.provenance import provenance
from .results.result import Result
from .stages.arguments import check_callback, known_names, merged_options, thread_count
from .stages.levels import Recorder, timed
from .transforms.transform import Transform

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .options.changes import Changes


@compilation_clock()
def solve(
    moving: Any,
    fixed: Any,
    *,
    affine: str | Array | None = "auto",
    deformable: bool | None = None,
    fixed_mask: Any = None,
    moving_mask: Any = None,
    fixed_rigid_mask: Any = None,
    moving_rigid_mask: Any = None,
    moving_points: Any = None,
    fixed_points: Any = None,
    point_weights: Any = None,
    start: Any = None,
    fill: float | None = None,
    options: Options | None = None,
    preset: str = "default",
    backend: str = "auto",
    device: int = 0,
    threads: int | None = None,
    progress: bool | None = None,
    callback: Callable[[Iteration], None] | None = None,
    **changes: Unpack[Changes],
) -> Result:
    """Register `moving` to `fixed`.

    Every map goes fixed -> moving: the fixed point x corresponds to the moving point A(x + u(x)),
    so that moving(A(x + u(x))) ~ fixed(x).

    Parameters
    ----------
    moving, fixed : array (*S), path, nibabel image, varreg.Image, or image of ITK, SimpleITK, ANTsPy or MONAI
        Two images of the same anatomy, both 2D or both 3D, of any contrast.  Arrays have a spacing of 1 mm, all
        other types their own geometry.  Arrays may be of NumPy, PyTorch, CuPy, JAX or any library with DLPack;
        arrays on a GPU are copied to the host once, for every backend. For multi-channel registration, two
        lists of equal length, each of images of one person, which are compared pair by pair:
        ``solve([t2, flair], [t1, t1c])``.  The images of a list share the grid of its first one or are resampled to it; the
        similarity is the mean over all pairs, weighted by ``weights``, and ``similarities`` may set one for
        each.  ``result.warped`` is the first moving image, ``result.warp`` warps the others.
    affine : {"auto", "affine", "similarity", "rigid", "translation"}, (d + 1, d + 1) array or None
        Model of the affine stage; a matrix (fixed world -> moving world, mm) is used unchanged; None or "none"
        is the identity in world space. "auto" chooses a rigid map if scales and shear gain no more than by
        chance, as between images of one person, and the header geometry if a rigid map gains no more either;
        ``result.model`` holds the choice and its reason.  With ``axes`` it chooses a rigid map or the header
        geometry, whichever ends at lower energy.
    deformable : bool, optional
        Whether the map deforms. None, the default, chooses in the same way, by the gain of a deformation. For
        "lncc", "nmi", "mind" and "ssd", and with ``axes``, None deforms always; for these similarities "auto"
        means "affine".
    fixed_mask, moving_mask : array, path or image, optional
        Masks. In whole numbers, voxels of at least half the largest value are inside; fractions are weights
        between 0 and 1, of which only the ratios matter.  On the grid of the image, or with its own geometry.
        Of several images it applies to all.
    fixed_rigid_mask, moving_rigid_mask : array, path or image, optional
        Structures that keep their shape: a lesion, a cavity, a bone, an implant, 1 inside and 0 elsewhere.  The
        deformation moves them as rigid bodies (the affine map applies to them as to everything), by a term of
        the energy for the strain inside, see ``rigidity_weight``; ``result.rigidity`` gives the remaining
        strain.  A mask of the moving image follows the map.  The comparison of intensities is not affected; see
        the masks above.
    moving_points, fixed_points : (n, d) array or path, optional
        Matching points of both images as guides, one pair per row, in world RAS+ mm: arrays, ``.csv``, or
        ``.fcsv`` and ``.mrk.json`` of 3D Slicer.  Points of files are paired by their names if both have the
        same names, otherwise by their order.  If all are 1 mm off this costs ``points_weight`` nats;
        ``result.guides`` has the distance of each.
    point_weights : (n,) array, optional
        Weights of the points, above 0; only their ratios matter.  By default a column ``weight`` of the files,
        else equal.
    start : {"header", "centres", "moments"}, (d + 1, d + 1) array or a map, optional
        Initialisation of the affine search; by default all three are tried.  Or a map to refine: a
        :class:`Result`, a ``learned`` prediction, a :class:`Transform`, a total displacement (d, *S) in fixed
        voxels, or the path of a saved result or of a transform.  A deforming map includes its own affine map.
        The result never has higher energy than the start (at the finest level, on the displacement grid,
        unfolded), and never folds.  If the affine map of the affine stage has lower energy than the start, it
        replaces the start, unless that is a result of varreg.  ``result.start`` reports these steps.
    fill : float, optional
        Value of ``result.warped`` outside the moving image; by default its background, see
        :meth:`Transform.warp`.
    options : Options, optional
        Energy and minimisation; overrides `preset`.
    preset : str
        Name for :meth:`Options.preset`.
    backend : {"auto", "numba", "cupy", "numpy"}
        Backend of the computation. "cupy" is a GPU; "auto" takes it if there is one whose self-test has passed
        on this machine (``varreg selftest --backend cupy``), and "numba", the CPU, otherwise; "numpy" is a
        slow, readable reference. ``print(result)`` names the backend used.
    device : int
        Index of the GPU, from 0.
    threads : int, optional
        Number of threads; the result does not depend on it. All available by default.
    progress : bool, optional
        Whether to show a progress bar; by default on a terminal only.
    callback : callable, optional
        Called with a :class:`varreg.optimise.history.Iteration` after each accepted step, including those of
        affine starts that are discarded later and do not enter the history.
    **changes
        Single fields of :class:`Options`, e.g. ``memory=0`` or ``smoothness_weight=2``.

    Returns
    -------
    Result

    Raises
    ------
    InputError, GeometryError, OverlapError, FileError
        If an argument is invalid; nothing has been computed then.
    DivergenceError
        If the descent reaches a state that is not finite.

    Examples
    --------
    >>> import numpy as np, varreg
    >>> x, y = np.mgrid[:48, :48]
    >>> fixed = np.exp(-((x - 22) ** 2 + (y - 25) ** 2) / 90)
    >>> result = varreg.solve(1 - np.roll(fixed, 3, axis=0), fixed, affine="translation", deformable=False)
    >>> bool(abs(result.displacement[0].mean() - 3) < 0.1)
    True
    """
    begun = computing_time()
    call = call_record(
        moving, fixed, affine=affine, deformable=deformable, fixed_mask=fixed_mask,
        moving_mask=moving_mask, fixed_rigid_mask=fixed_rigid_mask, moving_rigid_mask=moving_rigid_mask,
        moving_points=moving_points, fixed_points=fixed_points, point_weights=point_weights, start=start, fill=fill, backend=backend, device=device,
    )  # fmt: skip
    options = merged_options(options, preset, changes)
    affine, start = known_names(affine, start)
    fill = fill_value(fill, "varreg.solve")
    kernels, threads = chosen_backend(backend, device), thread_count(threads)
    check_callback(callback)
    pairs, search, problem, guides, identical, odd, notes = as_request(
        moving, fixed, affine, start, deformable, options, kernels, threads,
        masks=(moving_mask, fixed_mask), rigid_masks=(moving_rigid_mask, fixed_rigid_mask),
        points=(moving_points, fixed_points), point_weights=point_weights,
    )  # fmt: skip
    moving_image, fixed_image = images = pairs[0]
    seconds = {"preparation": computing_time() - begun}
    with observer(progress, callback, search.level_count(problem)) as observe:
        found, report, choice = registration(problem, search, identical, Recorder(observe), seconds)
    recorder, end, problem = found.recorder, found.evaluation, found.problem
    with timed(seconds, "warping"):
        transform, moved = _warped(*images, found, fill)
    with timed(seconds, "checks"):
        measured = end.energy, end.in_view, end.smallest_determinant, recorder.still
        answer = Answer(problem, found.affine, found.nodes, *measured)
        known = evidence(answer, transform, pairs, guides, recorder.recent)
    seconds["compilation"] = compilation_seconds()
    return Result(
        transform=transform,
        warped=moved,
        fixed_name=fixed_image.name,
        moving_name=moving_image.name,
        fixed=fixed_image,
        moving=moving_image,
        energy=end.energy,
        start_energy=answer.identity,
        history=tuple(recorder.history),
        levels=tuple(recorder.levels),
        options=problem.options,
        smallest_determinant=end.smallest_determinant,
        overlap=fixed_image.grid.overlap_fraction(moving_image.grid, found.affine),
        provenance=provenance(kernels, threads, seconds) | {"call": call},
        start=report,
        model=choice,
        regularity=found.regularity,
        checks=(*odd, *known.checks),
        notes=notes,
        channels=known.channels,
        guides=known.guides,
        rigidity=known.rigidity,
        motion=known.motion,
    )


def _warped(
    moving: Image, fixed: Image, found: Registration, fill: float | None
) -> tuple[Transform, Image]:
    """The resulting map, and the moving image warped to the fixed grid."""
    constraint, kernels = found.problem.options.constraint, found.problem.kernels
    grids, frame = (fixed.grid, moving.grid), frame_of_map(fixed, moving)
    transform = Transform(*grids, found.affine, found.nodes, constraint, frame)
    data = kernels.resident(moving.data)
    valid = None if moving.valid is None else kernels.resident(moving.valid)
    coordinates = transform.coordinates(moving.grid, data)
    source = data, valid, fixed.grid.shape
    threads = found.problem.threads
    values = on_host(warped(*source, coordinates, "linear", fill, threads, kernels))
    return transform, fixed.holding(values, f"warped {moving.name}".strip())
