"""A trained network on images of any grids: both are brought to the network's own grid and size.

That grid covers the fixed image's field of view with voxels of one size along all axes.  The moving
image is read there through world space, so that the network sees what the headers leave to be done.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from varreg._version import __version__
from varreg.arguments import affine_starts, check_overlap, sampled, thread_count
from varreg.displacement import Float
from varreg.errors import DivergenceError, GeometryError, InputError, VarregError
from varreg.folding import smallest_determinant
from varreg.grid import Grid
from varreg.image import Image, as_pair
from varreg.job import as_job, located
from varreg.pyramid import Sampled
from varreg.sampling import affine_coordinates, voxel_matrix, warp
from varreg.starts import candidates
from varreg.transform import Transform

from . import weights
from .prediction import Prediction, world_transform

#: Pairs that pass through the network together.
BATCH = 8
_FEWEST = 4  # voxels of the network that the fixed field of view must span


class Registrar:
    """A network that is ready to register images.

    Parameters
    ----------
    network : torch.nn.Module
        Called with moving and fixed images (N, 1, *S) in [0, 1], it answers with ``affine`` and
        ``displacement`` as a :class:`learned.cascade.Cascade` does.  Put into evaluation mode:
        batch normalisation takes its stored statistics, so no pair depends on its batch.
    shape : sequence of int
        (*S), the size that it was trained for.
    name : str
    card : mapping, optional
        What its file says about it.

    Examples
    --------
    >>> from learned.cascade import Cascade
    >>> network = Cascade.build(shape=(32, 32), at_width=2, dt_width=2)
    >>> moving, fixed = np.random.default_rng(0).random((2, 40, 30))
    >>> prediction = Registrar(network, (32, 32)).predict(moving, fixed)
    >>> bool((prediction.warped.data == moving.astype(np.float32)).all())  # it is not trained
    True
    """

    def __init__(
        self,
        network: nn.Module,
        shape: Sequence[int],
        name: str = "unnamed",
        card: Mapping[str, Any] | None = None,
    ) -> None:
        self.shape, self.name, self.card = tuple(map(int, shape)), name, dict(card or {})
        self.network = network.eval()
        if self.dimension == 2:  # a quarter faster on CPUs
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def dimension(self) -> int:
        """2 or 3, of the images that it takes."""
        return len(self.shape)

    def predict(
        self,
        moving: Any,
        fixed: Any,
        *,
        start: str | Float | None = "header",
        spacing: float | None = None,
        threads: int | None = None,
    ) -> Prediction:
        """Register one pair: see :func:`learned.predict`."""
        function, count = "learned.predict", thread_count(threads, "learned.predict")
        with _torch_threads(count):
            view = self._view(moving, fixed, start, spacing, function)
            return self._predictions([view], count, function)[0]

    def predict_batch(
        self,
        pairs: Iterable[Any],
        *,
        batch_size: int = BATCH,
        start: str | Float | None = "header",
        spacing: float | None = None,
        threads: int | None = None,
    ) -> list[Prediction]:
        """Register many pairs: see :func:`learned.predict_batch`."""
        function = "learned.predict_batch"
        count, source = thread_count(threads, function), _numbered(pairs, batch_size, function)
        found: list[Prediction] = []
        with _torch_threads(count):
            while chunk := list(itertools.islice(source, batch_size)):
                views = []
                for place, pair in chunk:
                    job = as_job(pair, place, function)
                    arguments = {"start": start, **job.arguments}
                    try:
                        views.append(self._view(**arguments, spacing=spacing, function=function))
                    except VarregError as error:
                        raise located(error, job.label)  # noqa: B904  it is the same error
                found += self._predictions(views, count, function)
        return found

    def _view(
        self,
        moving: Any,
        fixed: Any,
        start: Any,
        spacing: float | None,
        function: str,
        **others: Any,
    ) -> _View:
        """What the network will see of a pair; every argument is checked here."""
        begun = time.perf_counter()
        if others:
            raise InputError(
                f"{function}: a network does not look at {', '.join(map(repr, others))}; leave it out, "
                "or use varreg.solve."
            )
        images = as_pair(moving, fixed, function)
        if images[1].grid.dim != self.dimension:
            raise InputError(_other_dimension(self, images[1], function))
        with _said_by(function):
            inputs = [
                sampled(image, None, None, argument)
                for image, argument in zip(images, ("moving", "fixed"), strict=True)
            ]
            matrix = _start_matrix(start, *inputs)
        grid = network_grid(images[1].grid, self.shape, spacing, function)
        pair = resampled(inputs[0], grid, matrix), resampled(inputs[1], grid, np.eye(len(matrix)))
        return _View(*images, grid, matrix, np.stack(pair), time.perf_counter() - begun)

    def _predictions(self, views: list[_View], threads: int, function: str) -> list[Prediction]:
        """One pass through the network, then each pair for itself."""
        begun = time.perf_counter()
        batch = torch.from_numpy(np.stack([view.images for view in views]))
        self.network.eval()  # it may have been trained meanwhile
        with torch.inference_mode():
            answer = self.network(batch[:, :1], batch[:, 1:])
        affines, fields = answer.affine.double().numpy(), answer.displacement.float().numpy()
        seconds = (time.perf_counter() - begun) / len(views)
        return [
            self._prediction(*parts, seconds, threads, function)
            for parts in zip(views, affines, fields, strict=True)
        ]

    def _prediction(
        self, view: _View, affine: Float, field: Float, seconds: float, threads: int, function: str
    ) -> Prediction:
        begun = time.perf_counter()
        moving, fixed = view.moving, view.fixed
        try:
            transform = world_transform(affine, field, view.grid, fixed, moving, view.start)
        except GeometryError as error:
            raise DivergenceError(
                f"{function}: the network {self.name!r} predicts no usable map for "
                f"{moving.name or '`moving`'} and {fixed.name or '`fixed`'} ({error}); use "
                "varreg.solve for this pair."
            ) from error
        name = f"warped {moving.name}".strip()
        warped = dataclasses.replace(fixed, data=transform.warp(moving), name=name)
        bound = _determinant_bound(transform, threads)
        times = {
            "preparation": view.seconds,
            "network": seconds,
            "conversion": time.perf_counter() - begun,
        }
        return Prediction(
            transform=transform,
            warped=warped,
            model=self.name,
            fixed_name=fixed.name,
            moving_name=moving.name,
            smallest_determinant=bound,
            overlap=fixed.grid.overlap_fraction(moving.grid, transform.affine),
            provenance=_provenance(self.name, threads, times),
            fixed=fixed,
            moving=moving,
        )


class _View(NamedTuple):
    """A pair as the network sees it."""

    moving: Image
    fixed: Image
    grid: Grid
    start: Float  # fixed world -> moving world, through which the moving image is seen
    images: NDArray[np.float32]  # (2, *S), moving and fixed in [0, 1]
    seconds: float


def load(model: str | os.PathLike[str] = weights.DEFAULT) -> Registrar:
    """Make a trained network ready.

    Parameters
    ----------
    model : str or PathLike
        One of :func:`learned.weights.names`, or the path of a file that
        :func:`learned.model_file.save_model` wrote: see :func:`learned.weights.read`.

    Returns
    -------
    Registrar

    Raises
    ------
    InputError
        If there is no network of that name; the nearest is suggested.
    FileError
        If the file is absent, damaged, or holds another architecture than it says.
    """
    return _ready(*_found(model))


def registrar(model: str | os.PathLike[str] | Registrar) -> Registrar:
    """The network itself, or that of a name or path: read once, and again when its file changes."""
    if isinstance(model, Registrar):
        return model
    path, name = _found(model)
    try:
        status = path.stat()
    except OSError:
        return _ready(path, name)  # which says what is wrong
    return _kept(path, name, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _kept(path: Path, name: str, changed: int, size: int) -> Registrar:
    return _ready(path, name)


def _ready(path: Path, name: str) -> Registrar:
    network, settings, card = weights.read(path)
    return Registrar(network, settings.shape, name, card)


def _found(model: Any) -> tuple[Path, str]:
    """The file of a network and what to call it."""
    if not isinstance(model, (str, os.PathLike)):
        raise InputError(
            f"learned.load: `model` must be a name or a path; got {type(model).__name__}."
        )
    path = Path(os.fsdecode(model))
    if isinstance(model, str) and path.name == model and path.suffix != weights.SUFFIX:
        return weights.find(model), model
    return path.expanduser(), path.stem


def network_grid(
    fixed: Grid,
    shape: Sequence[int],
    spacing: float | None = None,
    function: str = "learned.predict",
) -> Grid:
    """The grid on which a network sees a pair: cubic voxels about the fixed image's centre.

    Its axes are those of the fixed array, ordered and directed as the world axes they are nearest
    to, as in training (:func:`learned.data.volumes.isotropic_grid`).  Where the voxels have the size
    of the fixed image's they coincide with them.

    Parameters
    ----------
    fixed : Grid
    shape : sequence of int
        (*S) of the network.
    spacing : float, optional
        Voxel size in mm; by default the smallest with which all of the fixed field of view is seen.
    function : str
        Name for the messages.

    Returns
    -------
    Grid

    Raises
    ------
    InputError
        If the spacing is not positive, or so large that fewer than 4 voxels remain.

    Examples
    --------
    >>> network_grid(Grid.with_spacing((10, 20), (2.0, 0.5)), (8, 8)).spacing.tolist()
    [2.5, 2.5]
    """
    from scipy.optimize import linear_sum_assignment

    d, size = fixed.dim, np.array(shape)
    order = linear_sum_assignment(-np.abs(fixed.direction))[1]
    left, _, right = np.linalg.svd(fixed.direction[:, order])
    axes = left @ right  # of a sheared grid, the right angles nearest to it
    axes = axes * np.where(np.diag(axes) < 0, -1.0, 1.0)
    extent = np.abs(axes.T @ fixed.affine[:d, :d]) @ np.array(fixed.shape)
    edge = float((extent / size).max()) if spacing is None else spacing
    usable = isinstance(edge, Real) and not isinstance(edge, bool) and 0 < edge < math.inf
    if not usable or extent.max() / edge < _FEWEST:
        raise InputError(
            f"{function}: `spacing` must be a voxel size in mm, small enough for {_FEWEST} voxels in "
            f"the {extent.max():.4g} mm of the fixed image; got {spacing!r}."
        )
    affine = np.eye(d + 1)
    affine[:d, :d] = axes * edge
    affine[:d, d] = fixed.centre - affine[:d, :d] @ ((size - 1) / 2)
    index = np.linalg.solve(fixed.affine, affine)
    whole = np.rint(index)
    if np.abs(index - whole)[:d, :d].max() < 1e-6:  # half a voxel aside, nothing is interpolated
        affine = fixed.affine @ whole
    return Grid(tuple(shape), affine)


def resampled(image: Sampled, grid: Grid, start: Float) -> NDArray[np.float32]:
    """An image in [0, 1] as another grid sees it through a world map, by the rule of the training.

    Parameters
    ----------
    image : Sampled
    grid : Grid
        With cubic voxels.
    start : (d + 1, d + 1) array
        World of `grid` -> world of the image.

    Returns
    -------
    (*S) float32 array
        0 where there is no image.
    """
    from scipy.ndimage import gaussian_filter

    data, coarser = image.data, grid.spacing / image.grid.spacing
    # about the width of the new voxels, so that what they cannot hold is not folded into them
    sigma = 0.5 * np.sqrt(np.maximum(coarser**2 - 1, 0))
    if (sigma > 0.05).any():
        data = gaussian_filter(data, sigma, mode="nearest")
    matrix = voxel_matrix(grid.affine, start, image.grid.affine)
    coordinates = lambda slab: affine_coordinates(matrix, grid.shape, slab)  # noqa: E731
    return warp(data, grid.shape, coordinates, "linear", 0.0)


def _start_matrix(start: Any, moving: Sampled, fixed: Sampled) -> Float:
    """Fixed world -> moving world before the network; refused if it leaves next to nothing in view."""
    d = fixed.grid.dim
    chosen = affine_starts("header" if start is None else start, d)
    check_overlap(fixed.grid, moving.grid, np.eye(d + 1), "affine", chosen)
    if isinstance(chosen, tuple):
        return candidates(fixed, moving, chosen, turn=False)[0]
    return chosen


def _other_dimension(network: Registrar, image: Image, function: str) -> str:
    shape = " x ".join(map(str, image.grid.shape))
    advice = "give volumes, or name a network for slices as `model`."
    if network.dimension == 2:
        advice = (
            "give one slice of each, e.g. image.slicer[:, :, 80:81] of a nibabel image or "
            "array[:, :, 80], or use varreg.solve, which takes volumes."
        )
    return (
        f"{function}: the network {network.name!r} is for {network.dimension}D images, and these are "
        f"{image.grid.dim}D (`fixed` is {shape}); {advice}"
    )


def _determinant_bound(transform: Transform, threads: int) -> float:
    if transform.nodes is None:
        return 1.0
    from varreg.kernels import cpu

    spacing, constraint = transform.fixed.spacing, transform.constraint
    return smallest_determinant(transform.nodes, spacing, constraint, cpu, threads)[0]


def _provenance(name: str, threads: int, seconds: dict[str, float]) -> dict[str, Any]:
    return {
        "varreg": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": str(torch.__version__),
        "backend": f"network {name!r}",
        "threads": threads,
        "platform": platform.platform(),
        "seconds": seconds,
    }


def _numbered(pairs: Any, batch_size: Any, function: str) -> Iterator[tuple[int, Any]]:
    if not isinstance(pairs, Iterable):
        raise InputError(
            f"{function}: `pairs` must be an iterable of (moving, fixed); got {type(pairs).__name__}."
        )
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(
            f"{function}: `batch_size` must be a whole number >= 1; got {batch_size!r}."
        )
    return enumerate(pairs)


@contextlib.contextmanager
def _said_by(function: str) -> Iterator[None]:
    """The solver's own checks, in the name of another function."""
    try:
        yield
    except VarregError as error:
        if error.args and isinstance(error.args[0], str):
            error.args = (error.args[0].replace("varreg.solve", function), *error.args[1:])
        raise


@contextlib.contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    """Torch knows only one number of threads for the whole process; it is put back."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
