"""Outputs of commands, reserved before the computation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..images.slide_files import is_slide, may_be_pyramid
from .slides import write_slide

if TYPE_CHECKING:
    from ..results.result import Result

Write = Callable[["Result"], None]
PICTURES = (".png", ".tif", ".tiff")
#: Suffixes of other file types, which are probably mistakes in the name of a folder.
OTHERS = (
    ".mha", ".mhd", ".nrrd", ".nhdr", ".hdr", ".img", ".mnc", ".dcm", ".jpg", ".jpeg", ".bmp", ".gif", ".npy", ".npz",
    ".gz", ".h5", ".hdf5", ".x5", ".mat", ".tfm", ".xfm", ".lta", ".txt", ".csv", ".tsv", ".json", ".html", ".pdf", ".svg", ".zip",
)  # fmt: skip
VOLUMES = (".nii", ".nii.gz", ".mgh", ".mgz")


@contextmanager
def result_writer(
    path: str, moving: Any, fixed: Any, fill: float | None, overwrite: bool
) -> Iterator[Write]:
    """Reserve the output of a registration; it appears if the block ends without an exception.

    Parameters
    ----------
    path : str
        A folder for the result, or an image file for the warped image only.
    moving, fixed : path
        The two images: a moving picture is written as a picture with its colours, and the fixed image determines whether
        its dimension fits the file type.
    fill : float or None
        As for :func:`varreg.solve`.
    overwrite : bool
        Replace an existing output.

    Yields
    ------
    callable
        Takes the result and writes it.

    Raises
    ------
    varreg.errors.VarregError
        If the output cannot be written.

    Examples
    --------
    >>> from varreg.cli.outputs import result_writer
    >>> with result_writer("out", "moving.nii.gz", "fixed.nii.gz", None, overwrite=False) as write:  # doctest: +SKIP
    ...     write(result)
    """
    from ..io.destination import refuse_existing, target_of
    from ..io.files import atomic_folder, atomic_path, write_image, write_pixels
    from ..transforms.warped_pixels import is_picture, warped_pixels

    if path.lower().endswith(OTHERS) and not is_image(path):
        raise InputError(
            f"--output {path!r} is a file type that varreg does not write; give a folder for everything, or "
            f"for the warped image alone a file that ends in {', '.join(VOLUMES + PICTURES)}."
        )
    if is_slide(path) and may_be_pyramid(moving):
        refuse_existing(target_of(path), overwrite)  # before the computation
        yield lambda result: write_slide(result, moving, path, fixed, fill, overwrite)
        return
    if not is_image(path):
        with atomic_folder(path, overwrite=overwrite) as folder:
            yield lambda result: result.save(folder, overwrite=True)
        return
    with atomic_path(path, overwrite=overwrite) as file:
        if path.lower().endswith(PICTURES):
            _refuse_volume(path, fixed)
        if is_picture(path) and is_picture(moving):
            yield lambda result: write_pixels(
                file,
                warped_pixels(result.transform, moving, fill=fill, function="varreg register"),
                result.warped,
            )
        else:
            yield lambda result: write_image(
                file, result.warped.values, like=result.warped, overwrite=True
            )


@contextmanager
def figure_writer(path: str | None, overwrite: bool) -> Iterator[Write]:
    """Reserve the overview figure; without a path nothing is drawn.

    Parameters
    ----------
    path : str or None
        Ends in .png, .pdf or .svg.
    overwrite : bool
        Replace an existing file.

    Yields
    ------
    callable
        Takes the result and draws the figure.

    Raises
    ------
    varreg.errors.VarregError
        If the figure cannot be written.

    Examples
    --------
    >>> from varreg.cli.outputs import figure_writer
    >>> with figure_writer("overview.png", overwrite=False) as draw:  # doctest: +SKIP
    ...     draw(result)
    """
    if path is None:
        yield lambda result: None
        return
    from ..io.files import atomic_path
    from ..report.plots.overview import FORMATS

    if not path.lower().endswith(FORMATS):
        raise InputError(f"--png must be a file that ends in {', '.join(FORMATS)}; got {path!r}.")
    with atomic_path(path, overwrite=overwrite) as file:
        yield lambda result: _draw(result, file)


def said_of_output(path: str, figure: str | None = None) -> str:
    """The last line of a registration: the written outputs.

    Parameters
    ----------
    path : str
        Argument of :func:`result_writer`.
    figure : str, optional
        Argument of :func:`figure_writer`.

    Examples
    --------
    >>> from varreg.cli.outputs import said_of_output
    >>> said_of_output("warped.nii.gz", "overview.png")
    'Written: warped.nii.gz (the warped image), overview.png (figure).'
    """
    held = "the warped image"
    if not is_image(path):
        files = ", ".join(sorted(file.name for file in Path(path).expanduser().glob("*")))
        held = f"the result, for varreg.load and varreg apply: {files}"
    drawn = "" if figure is None else f", {figure} (figure)"
    return f"Written: {path} ({held}){drawn}."


def is_image(path: str) -> bool:
    """Whether an output is a file for the warped image rather than a folder.

    Parameters
    ----------
    path : str
        Only its suffix is used.

    Returns
    -------
    bool

    Examples
    --------
    >>> from varreg.cli.outputs import is_image
    >>> is_image("warped.NII.gz"), is_image("registration")
    (True, False)
    """
    return path.lower().endswith(VOLUMES + PICTURES) or is_slide(path)


def _refuse_volume(path: str, fixed: str) -> None:
    """Refuse a volume in a picture format, which would otherwise fail after the computation."""
    from ..images.accepted import as_image

    dimension = as_image(fixed, argument="fixed").grid.dim
    if dimension != 2:
        raise InputError(
            f"--output {path!r} is a picture, but the fixed image is {dimension}D; give a folder or "
            "a file that ends in .nii.gz."
        )


def _draw(result: Result, path: Path) -> None:
    from ..report.plots.overview import overview

    overview(result, result.fixed, result.moving, path, overwrite=True)
