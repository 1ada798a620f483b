"""``build_template``: iterated registration to the current mean, averaging, and subtraction of the mean map."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FileError, InputError
from ..geometry import resampling
from ..geometry.grid import Grid
from ..images.image import Image
from ..io.destination import explained, usable_path
from ..jobs.engine import Engine
from ..options.backend_choice import chosen_backend
from ..options.names import ROUNDS
from ..options.options import Options
from ..stages.arguments import merged_options
from ..transforms.transform import Transform
from .averaging import AVERAGES, average, template_image
from .checks import template_checks
from .executor import default_engine
from .mean_map import mean_map, without_mean
from .people import FUNCTION, Person, as_people
from .registration import (
    AFFINE,
    KINDS,
    Warnings,
    Work,
    register_all,
    starts_of,
)
from .round_record import round_record
from .space import template_grid
from .stacks import stacked
from .template import Round, Template

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..options.changes import Changes


def build_template(
    images: Sequence[Any],
    *,
    masks: Sequence[Any] | None = None,
    labels: Sequence[Any] | None = None,
    names: Sequence[str] | None = None,
    rounds: Sequence[str] = ROUNDS,
    first: int = 0,
    spacing: float | Sequence[float] | None = None,
    average: str = "trimmed",
    normalise: bool = True,
    state: Any = None,
    options: Options | None = None,
    preset: str = "default",
    backend: str = "auto",
    device: int = 0,
    engine: Engine | None = None,
    threads: int | None = None,
    progress: bool | None = None,
    **changes: Unpack[Changes],
) -> Template:
    r"""The unbiased mean of a group of participants, in shape and intensity.

    Each round registers all participants to the current template, subtracts the mean of the maps, so that the template
    is their mean (:mod:`varreg.template.mean_map`), and averages the images, each interpolated
    once through these maps.

    Parameters
    ----------
    images : sequence
        One image per participant, or a list of contrasts per participant, the same number for each; one map then applies
        to all contrasts of a participant.
    masks : sequence, optional
        Mask of each participant's images, or None; voxels outside are not averaged either. Of weights between 0 and
        1, voxels of at least half the largest are inside, in full.
    labels : sequence, optional
        One label map per participant: their mean overlap (Dice) is reported for each round.  They do not affect the template.
    names : sequence of str, optional
        By default the file names.
    rounds : sequence of {"translation", "rigid", "similarity", "affine", "deformable"}
        Model of the maps in each round; the first may not be deformable.
    first : int
        Index of the participant to whom all are registered in the first round.  It only initialises the search.
    spacing : float or sequence of floats, optional
        Voxel size of the template in mm; by default the median over the participants.
    average : {"trimmed", "median", "mean"}
        Average of intensities, voxel by voxel; "trimmed" is the mean without the fifth at either end.
    normalise : bool
        Whether intensities are first scaled to a common range; False where they have a unit, as in CT.
    state : str or PathLike, optional
        Folder in which each registration is stored: after an interruption the same call resumes from it, with bitwise the same
        result.  If images, options or the version have changed, the registrations that depend on them are repeated.
    options, preset, **changes
        Options of the registrations; see :func:`varreg.solve`.  If they leave it open, volumes take ``regularity="fine"`` and
        fewer steps than a single registration, and affine rounds before others omit the finest level, since the next
        round continues from their result.
    backend, device
        See :func:`varreg.solve`.
    engine : varreg.jobs.engine.Engine, optional
        Executor of the registrations, which are independent of each other within a round: several processes, or
        a Dask cluster.  By default this process, with several participants in parallel if they are
        volumes and its memory suffices.  The result is the same.
    threads : int, optional
        Number of threads, if no `engine` is given; all available by default.
    progress : bool, optional
        Whether to show a progress bar for each round; by default on a terminal only.

    Returns
    -------
    Template

    Raises
    ------
    InputError, GeometryError, FileError
        If an argument is invalid, or images have no mean orientation.
    Exception
        The error of :func:`varreg.solve` for the first participant that cannot be registered.

    Examples
    --------
    >>> import numpy as np, varreg
    >>> x, y = np.mgrid[:48, :48]
    >>> people = [np.exp(-((x - 22 - k) ** 2 + (y - 25) ** 2) / 90) for k in (0, 2, 4)]
    >>> template = varreg.build_template(people, rounds=["translation"])
    >>> row, column = np.unravel_index(template.image.data.argmax(), (48, 48))
    >>> int(row), int(column)
    (24, 25)
    """
    _check_choices(rounds, average, normalise)
    people = as_people(images, masks, labels, names)
    first = _checked_first(first, len(people))
    merged = merged_options(options, preset, changes)
    if engine is None:
        engine = default_engine(people, threads, chosen_backend(backend, device, FUNCTION))
    with _folder(state) as folder:
        work = Work(merged, {"backend": backend, "device": device}, engine, folder, progress)
        return _rounds(people, tuple(rounds), first, spacing, average, normalise, work)


@contextmanager
def _folder(state: Any) -> Iterator[Path]:
    """Folder of the files of the rounds: the state, or a temporary folder."""
    if state is None:
        with tempfile.TemporaryDirectory(prefix="varreg-template-") as folder:
            yield Path(folder)
        return
    place = usable_path(state, FUNCTION, "state").absolute()
    with explained(place):
        if place.exists() and not place.is_dir():
            raise FileError(
                f"{FUNCTION}: `state` is {str(place)!r}, which is a file; give a folder."
            )
        place.mkdir(parents=True, exist_ok=True)
    yield place


def _rounds(
    people: list[Person], rounds: tuple[str, ...], first: int, spacing: Any, rule: str,
    normalise: bool, work: Work,
) -> Template:  # fmt: skip
    """All rounds, starting from the first participant."""
    template: Sequence[Image] = people[first].images()
    names = tuple(person.name for person in people)
    maps: list[Transform] = []
    warned: list[Warnings] = []
    records: list[Round] = []
    for number, kind in enumerate(rounds, 1):
        begun = time.perf_counter()
        begins = number == 1
        starts = [None] * len(people) if begins else starts_of(maps, kind, warned)
        whole = first if begins else None
        found, warned = register_all(template, people, starts, rounds, number, work, whole)
        mean = mean_map(found, names)
        grid = _grid(people, found, mean, spacing) if begins else mean.fixed
        maps = without_mean(found, mean, grid)
        with stacked(people, maps, normalise) as stacks:
            template = [
                template_image(_like(grid, people[first]), average(stack, rule)[0], f"template {k}")
                for k, stack in enumerate(stacks, 1)
            ]
            mean = replace(mean, fixed=grid)
            records.append(round_record(kind, template, people, maps, mean, stacks, begun))
    last, smallest = records[-1], float(template[0].grid.spacing.min())
    moved_last = last.moved if len(records) > 1 else 0.0
    checks = template_checks(names, last.likeness, moved_last, smallest, warned)
    return Template(tuple(template), names, tuple(maps), tuple(records), work.options, checks)


def _grid(
    people: Sequence[Person], found: Sequence[Transform], mean: Transform, spacing: Any
) -> Grid:
    """The grid of the template, from the maps to the participants."""
    back = np.linalg.inv(mean.affine)
    affines = [each.affine @ back for each in found]
    return template_grid([person.grid for person in people], affines, spacing)


def _like(grid: Grid, person: Person) -> Image:
    """An image on the grid of the template, in the plane of the participants' slices."""
    return Image(np.zeros(grid.shape, np.float32), grid, frame=person.frame)


def _check_choices(rounds: Any, rule: Any, normalise: Any) -> None:
    if isinstance(rounds, str) or not isinstance(rounds, Sequence) or not rounds:
        raise InputError(
            f"{FUNCTION}: `rounds` must be a list of {', '.join(KINDS)}; got {rounds!r}."
        )
    for kind in rounds:
        resampling.check_choice(kind, KINDS, FUNCTION, "rounds")
    if rounds[0] not in AFFINE:
        raise InputError(
            f"{FUNCTION}: `rounds` begins with {rounds[0]!r}; begin with one of {', '.join(AFFINE)}, for only of affine maps "
            "the mean does not depend on whom one begins with."
        )
    resampling.check_choice(rule, AVERAGES, FUNCTION, "average")
    if not isinstance(normalise, (bool, np.bool_)):
        raise InputError(f"{FUNCTION}: `normalise` must be True or False; got {normalise!r}.")


def _checked_first(first: Any, count: int) -> int:
    whole = isinstance(first, (int, np.integer)) and not isinstance(first, bool)
    if not whole or not 0 <= first < count:
        raise InputError(
            f"{FUNCTION}: `first` must be the number of a person, from 0 to {count - 1}; got {first!r}."
        )
    return int(first)
