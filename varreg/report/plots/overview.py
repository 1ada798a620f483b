"""The overview figure: images, checkerboards, grid, volume change, energy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .panels import (
    INK,
    PALE,
    checkerboard,
    draw_determinant,
    draw_energy,
    draw_grid,
    draw_outline,
    draw_picture,
    grey,
)
from .planes import Plane, middle_planes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ...results.result import Result

Float = NDArray[np.floating]
ARROW = "\N{RIGHTWARDS ARROW}"
OUTLINE = "#ff9d2e"
FORMATS = (".png", ".pdf", ".svg")


def overview(
    result: Result,
    fixed: Any,
    moving: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    truth: Float | None = None,
    mask: NDArray[np.bool_] | None = None,
    title: str = "",
    overwrite: bool = False,
) -> Figure:
    """Draw an overview of a registration; of 2D images, or of the three middle planes of volumes.

    Parameters
    ----------
    result : varreg.Result
        Result of :func:`varreg.solve`.
    fixed, moving : varreg.Image or (*S) array
        The registered images. Arrays must have the shape of the fixed grid; an image on another
        grid is resampled in world space for the panels before registration.
    path : path, optional
        Path of the figure; the suffix determines the format (PNG, PDF, SVG).
    truth : (d, *S) array, optional
        True displacement in voxels; its error is written into the figure.
    mask : (*S) array of bool, optional
        Evaluation region of the error; by default all voxels above the minimum of the fixed image.
    title : str
        Title above the figure.
    overwrite : bool
        Whether to replace an existing file.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    varreg.errors.InputError
        If shapes do not match.
    varreg.errors.FileError
        If the file exists or cannot be written.

    Examples
    --------
    >>> from varreg.report.plots.overview import overview
    >>> overview(result, fixed, moving, "overview.png")  # doctest: +SKIP
    """
    reference = _array(fixed)
    shape = np.asarray(result.warped.data).shape
    if reference.shape != shape:
        raise InputError(
            f"overview: `fixed` must have the shape {shape} of the result; got {reference.shape}."
        )
    before = _on_fixed_grid(moving, fixed, shape)
    planes = middle_planes(shape, result.warped.grid.affine)
    figure, axes = _panels(len(planes))
    _draw_images(axes, planes, reference, before, np.asarray(result.warped.data))
    draw_grid(axes[1, 2], planes[0], result)
    draw_determinant(axes[1, 3], planes[0], result, planes[0].cut(grey(reference)))
    draw_energy(axes[0, 3], result.history)
    _make_room(axes[0, 3], figure.get_figheight())
    _write_numbers(figure, result, title, _errors(result, reference, truth, mask))
    if path is not None:
        _save(figure, path, overwrite)
    return figure


def _panels(planes: int) -> tuple[Figure, NDArray[Any]]:
    """An empty figure and its axes, (2, 4) for one plane and (3, 4) for more."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from .shown import ShownFigure

    figure = ShownFigure(figsize=(15.0, 8.6 if planes == 1 else 12.6), facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2 if planes == 1 else 3, 4)
    height = figure.get_figheight()
    top = 1 - 0.98 / height
    figure.subplots_adjust(
        left=0.012, right=0.985, bottom=0.42 / height, top=top, wspace=0.06, hspace=0.15
    )
    return figure, axes


def _make_room(axes: Axes, height: float) -> None:
    """Reserve space for the labels of a chart, in a figure of the given height in inches."""
    place = axes.get_position()
    axes.set_position(
        (
            place.x0 + 0.028,
            place.y0 + 0.3 / height,
            place.width - 0.028,
            place.height - 0.3 / height,
        )
    )


def _array(image: Any) -> Float:
    return np.asarray(getattr(image, "data", image) if hasattr(image, "grid") else image)


def _on_fixed_grid(moving: Any, fixed: Any, shape: tuple[int, ...]) -> Float:
    """The moving image before registration, on the fixed grid."""
    from scipy.ndimage import affine_transform

    data = _array(moving)
    if hasattr(moving, "grid") and hasattr(fixed, "grid"):
        if moving.grid.same_space(fixed.grid):
            return data
        matrix = np.linalg.inv(moving.grid.affine) @ fixed.grid.affine
        return affine_transform(data.astype(np.float32), matrix, output_shape=shape, order=1)
    if data.shape != shape:
        raise InputError(
            f"overview: `moving` has the shape {data.shape} and the fixed grid {shape}; pass both "
            "as varreg.Image so that their place in space is known."
        )
    return data


def _draw_images(axes: Any, planes: list[Plane], fixed: Float, before: Float, after: Float) -> None:
    """The images and their checkerboards; further planes get a row of checkerboards."""
    fixed, before, after = grey(fixed), grey(before), grey(after)
    main = planes[0]
    for column, (picture, title) in enumerate(
        (
            (fixed, "Fixed image"),
            (before, "Moving image before, outline of fixed"),
            (after, "Moving image after, outline of fixed"),
        )
    ):
        draw_picture(axes[0, column], main.cut(picture), main, title)
        if column:
            draw_outline(axes[0, column], main.cut(fixed), OUTLINE, 0.8)
    for index, plane in enumerate(planes):
        row, start = (1, 0) if index == 0 else (2, 2 * (index - 1))
        name = f"{plane.name} checkerboard" if plane.name else "Checkerboard of both"
        for offset, (picture, when) in enumerate(((before, "before"), (after, "after"))):
            board = checkerboard(plane.cut(fixed), plane.cut(picture))
            draw_picture(
                axes[row, start + offset],
                board,
                plane,
                f"{name}, {when}",
            )


def _errors(
    result: Result, reference: Float, truth: Float | None, mask: NDArray[np.bool_] | None
) -> tuple[float, float] | None:
    """Mean distance to the true map before and after registration, in voxels."""
    if truth is None:
        return None
    truth = np.asarray(truth)
    if truth.shape != result.displacement.shape:
        raise InputError(
            f"overview: `truth` must have the shape {result.displacement.shape} of "
            f"result.displacement; got {truth.shape}."
        )
    where = reference > reference.min() if mask is None else np.asarray(mask, dtype=bool)
    before = np.linalg.norm(truth, axis=0)[where]
    after = np.linalg.norm(result.displacement - truth, axis=0)[where]
    return float(before.mean()), float(after.mean())


def _write_numbers(
    figure: Figure, result: Result, title: str, errors: tuple[float, float] | None
) -> None:
    """The title and the main numbers, above the panels."""
    before, after = result.start_energy.similarity, result.energy.similarity
    steps = sum(step.iteration > 0 for step in result.history)
    numbers = [
        (f"{result.smallest_determinant:.3f}", "smallest det J (above 0: no folds)"),
        (f"{steps}", "accepted steps"),
    ]
    if np.isfinite(after):  # predictions have no energy
        text = f"{before:.2f} {ARROW} {after:.2f} nats"
        numbers.insert(0, (text, f"{result.similarity_name}, before and after"))
    if errors is not None:
        text = f"{errors[0]:.2f} {ARROW} {errors[1]:.2f} voxels"
        numbers.insert(0, (text, "mean error, before and after"))
    height = figure.get_figheight()
    figure.text(
        0.012,
        1 - 0.38 / height,
        title or "Registration",
        fontsize=17,
        weight="bold",
        color=INK,
        va="center",
    )
    for place, (value, label) in zip(np.linspace(0.26, 0.87, len(numbers)), numbers, strict=True):
        figure.text(place, 1 - 0.27 / height, value, fontsize=15, color=INK, va="center")
        figure.text(place, 1 - 0.52 / height, label, fontsize=9, color=PALE, va="center")


def _save(figure: Figure, place: str | os.PathLike[str], overwrite: bool) -> None:
    """Write the figure atomically."""
    from ...io.destination import usable_path
    from ...io.files import atomic_path

    path = usable_path(place, "overview")
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"overview: `path` must end in {', '.join(FORMATS)}; got {str(path)!r}.")
    with atomic_path(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, dpi=110, format=path.suffix[1:].lower())
