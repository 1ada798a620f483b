"""``warp_slide``: warping of a slide to the fixed side, at full resolution, in bounded memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..geometry.grid import Grid
from ..geometry.resampling import check_choice
from ..images.image_file import ImageFile
from ..images.loading import geometry
from ..images.opening import explained
from ..images.pyramid import Level, Pyramid
from ..images.slide_files import SLIDES, is_slide, may_be_pyramid, open_pyramid
from ..images.warping import fill_value, outside_value
from ..io.atomic import atomic_folder, atomic_path
from ..report.progress import is_watched
from ..transforms.held import held_transform
from ..transforms.transform import Transform
from .coordinates import TileMap
from .tiles import Sampler
from .writing import Make, Written, tile_count, write_tiff, write_zarr

FUNCTION = "varreg.warp_slide"
INTERPOLATIONS = ("linear", "nearest")
_TILE = 512
_GLIMPSE, _WINDOW, _WINDOWS = 2**20, 32, 16  # pixels sampled for the background
_FINER = 1.01  # a source level may be coarser than the target by this factor


def warp_slide(
    transform: Any,
    image: str | os.PathLike[str],
    path: str | os.PathLike[str],
    reference: Any = None,
    interpolation: str = "linear",
    *,
    labels: bool = False,
    fill: float | None = None,
    threads: int | None = None,
    progress: bool | None = None,
    overwrite: bool = False,
) -> Path:
    """Warp a slide to the fixed image and write it as a pyramid, tile by tile.

    Memory holds tiles only, about 30 MB in colour, and the displacement of the transform, for slides of any size.  Lower
    levels are stored temporarily beside `path`, uncompressed: a third of the full size.

    Parameters
    ----------
    transform : Transform or Result
        The map fixed -> moving in mm, registered at any resolution.
    image : str, PathLike or ImageFile
        A TIFF (OME-TIFF) or an OME-Zarr, 2D: grey, colour, or channels, all of which are warped.
    path : str or PathLike
        ``.ome.tif`` or ``.ome.zarr``.
    reference : path, Grid or image, optional
        The fixed slide, whose full resolution the output gets (or the `level` of an
        :class:`varreg.ImageFile`).  By default the field of view of the fixed image, with the pixel size of `image`.
    interpolation : {"linear", "nearest"}
        Interpolation between pixels, at the level of `image` that is just finer than the output.  Integers are rounded.
    labels : bool
        Pixels are labels: the label with the largest fraction is taken, and lower levels are not averaged.
    fill : float, optional
        Value outside `image`.  By default its background in each channel; 0 for labels and opacity.
    threads : int, optional
        Number of threads; the result does not depend on it.
    progress : bool, optional
        Whether to show a progress bar; by default on a terminal only.
    overwrite : bool
        Replace an existing output.

    Returns
    -------
    Path
        The written file or folder.

    Raises
    ------
    InputError, GeometryError
        If an argument is invalid, or a slide is not a 2D picture.
    FileError
        If a file cannot be read or written; no output is left then.
    BackendError
        If an OME-Zarr is read or written and zarr is not installed.

    Examples
    --------
    >>> import varreg
    >>> result = varreg.solve("ihc.ome.tif", "he.ome.tif")  # doctest: +SKIP
    >>> varreg.warp_slide(result, "ihc.ome.tif", "ihc-on-he.ome.tif", reference="he.ome.tif")  # doctest: +SKIP
    """
    map_ = _checked(transform, image, path, interpolation)
    fill = fill_value(fill, FUNCTION)
    given = image if isinstance(image, ImageFile) else ImageFile(image)
    with ExitStack() as stack:
        source = stack.enter_context(_opened(given, "image"))
        target = _target(map_, source, reference)
        level = _level(map_, source, target)
        kind = "labels" if labels else interpolation
        place, fills = TileMap(map_, target, level.grid), _fills(source, kind, fill)
        nearest = kind != "linear"
        form = source.channels, source.dtype, source.coloured, source.sized, nearest, _TILE
        picture = Written(target, *form)
        makes = _makes(place, level, source, kind, fills, threads)
        zarr = not os.fsdecode(path).rstrip("/").lower().endswith((".tif", ".tiff"))
        made = (
            atomic_folder(path, overwrite=overwrite, marker=".zgroup")
            if zarr
            else atomic_path(path, overwrite=overwrite)
        )
        temporary, done = stack.enter_context(made), stack.enter_context(_bar(picture, progress))
        (write_zarr if zarr else write_tiff)(temporary, picture, makes, done)
    return Path(os.fsdecode(path))


def _checked(transform: Any, image: Any, path: Any, interpolation: Any) -> Transform:
    """Validate the arguments; returns the transform."""
    map_ = held_transform(transform)
    if map_ is None or map_.fixed.dim != 2:
        received = type(transform).__name__ if map_ is None else "map between volumes"
        raise InputError(
            f"{FUNCTION}: `transform` is a {received}; give a Result or a Transform between two slides."
        )
    check_choice(interpolation, INTERPOLATIONS, FUNCTION, "interpolation")
    if not isinstance(image, (str, os.PathLike)) or not may_be_pyramid(image):
        raise InputError(
            f"{FUNCTION}: `image` is {image!r}; give the path of a TIFF or of an OME-Zarr (.ome.tif, .ome.zarr)."
        )
    if not isinstance(path, (str, os.PathLike)) or not is_slide(path):
        raise InputError(
            f"{FUNCTION}: `path` is {path!r}; a slide is written as {', '.join(SLIDES)}."
        )
    return map_


@contextmanager
def _opened(given: ImageFile, argument: str) -> Iterator[Pyramid]:
    with ExitStack() as stack:
        with explained(argument, FUNCTION, repr(str(given))):
            pyramid = stack.enter_context(open_pyramid(given, argument, FUNCTION))
        yield pyramid


def _target(map_: Transform, source: Pyramid, reference: Any) -> Grid:
    """The grid of the output at full resolution."""
    if reference is None:
        if len(source.levels) == 1:
            return map_.fixed
        pixel = source.levels[0].grid.spacing
        rows, columns = np.maximum(np.rint(map_.fixed.extent / pixel), 1).astype(int).tolist()
        return map_.fixed.resized((rows, columns))
    if isinstance(reference, (str, os.PathLike)) and may_be_pyramid(reference):
        given = reference if isinstance(reference, ImageFile) else ImageFile(reference)
        with _opened(given, "reference") as pyramid:
            number = pyramid.level(0 if given.level is None else given.level, "reference", FUNCTION)
            return pyramid.levels[number].grid
    grid = geometry(reference, "reference", FUNCTION).grid
    if grid.dim != 2:
        raise InputError(f"{FUNCTION}: `reference` is {grid.dim}D; give a slide of the fixed side.")
    return grid


def _level(map_: Transform, source: Pyramid, target: Grid) -> Level:
    """The coarsest level of the source that is as fine as the target under the map."""
    scale = float(np.sqrt(abs(np.linalg.det(map_.affine[:-1, :-1]))))
    wanted = scale * float(target.spacing.min()) * _FINER
    fine = [level for level in source.levels if level.grid.spacing.max() <= wanted]
    return fine[-1] if fine else source.levels[0]


def _fills(source: Pyramid, kind: str, fill: float | None) -> tuple[float, ...]:
    """Value of each channel outside the source: by default its background, from the coarsest level."""
    if kind == "labels":
        return (0.0,) * source.channels
    opacity = source.channels - 1 if source.coloured and source.channels in (2, 4) else None
    if fill is None:
        small = _glimpse(source.levels[-1])
        found = [outside_value(small[..., k].astype(np.float32)) for k in range(source.channels)]
    else:
        found = [fill] * source.channels
        _refuse_fill(fill, source.dtype)
    return tuple(0.0 if k == opacity else value for k, value in enumerate(found))


def _glimpse(level: Level) -> NDArray[np.generic]:
    """A level, or windows of a large one side by side, including windows at its border."""
    shape = level.grid.shape
    if level.grid.size <= _GLIMPSE:
        return level.read(slice(0, shape[0]), slice(0, shape[1]))
    rows, columns = (
        [slice(k, k + _WINDOW) for k in np.linspace(0, n - _WINDOW, _WINDOWS, dtype=int).tolist()]
        for n in shape
    )
    return np.concatenate([np.concatenate([level.read(r, c) for c in columns], 1) for r in rows])


def _refuse_fill(fill: float, dtype: np.dtype[Any]) -> None:
    if dtype.kind in "iu" and not (
        np.isfinite(fill)
        and fill == int(fill)
        and np.iinfo(dtype).min <= fill <= np.iinfo(dtype).max
    ):
        raise InputError(
            f"{FUNCTION}: `fill` must be a whole number from {np.iinfo(dtype).min} to {np.iinfo(dtype).max}, for the slide holds "
            f"{dtype}; got {fill:g}."
        )


def _makes(
    place: TileMap,
    level: Level,
    source: Pyramid,
    kind: str,
    fills: tuple[float, ...],
    threads: int | None,
) -> list[Make]:
    """The function of each plane that computes its tiles."""

    def of(channels: slice) -> Sampler:
        def read(rows: slice, columns: slice) -> NDArray[np.generic]:
            with explained("image", FUNCTION, repr(source.name)):  # a tile may be damaged
                return level.read(rows, columns)[..., channels]

        return Sampler(place, Level(level.grid, read), source.dtype, kind, fills[channels], threads)

    if source.coloured:
        return [of(slice(0, source.channels))]
    return [of(slice(k, k + 1)) for k in range(source.channels)]


@contextmanager
def _bar(picture: Written, progress: bool | None) -> Iterator[Any]:
    """A progress bar of tiles; yields the function that counts a tile."""
    from tqdm import tqdm

    wanted = is_watched(sys.stderr) and (progress is None or progress)
    with tqdm(
        total=tile_count(picture), unit="tile", leave=False, delay=1, disable=not wanted
    ) as bar:
        yield lambda: bar.update(1)
