"""Registration by a trained network: ``learned.predict(moving, fixed)`` and ``python -m learned.predict``."""

from __future__ import annotations

import json
import os
import sys
import types
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from varreg.cli.common_options import as_json, force, threads
from varreg.cli.exit_codes import Command
from varreg.cli.image_paths import ImagePath, header_option
from varreg.cli.outputs import result_writer, said_of_output
from varreg.cli.value_types import NameOrMatrix
from varreg.options.names import STARTS

from .weights import OF_DIMENSION

if TYPE_CHECKING:
    import torch

    from varreg.geometry.displacement import Float

    from .inference import Registrar
    from .prediction import Prediction


def predict(
    moving: Any,
    fixed: Any,
    *,
    model: str | os.PathLike[str] | Registrar | None = None,
    start: str | Float | None = "header",
    spacing: float | None = None,
    threads: int | None = None,
    device: str | torch.device | None = None,
) -> Prediction:
    """Register `moving` to `fixed` by a trained network, without iterative optimisation.

    Every map goes fixed -> moving: the fixed point x corresponds to the moving point A(x + u(x)).
    No energy is minimised; :func:`varreg.solve` with ``start=prediction`` refines the map.

    Parameters
    ----------
    moving, fixed : array (*S), path, nibabel image or varreg.Image
        Two images of the same anatomy, on any grids, of the dimension of the network; arrays have
        a spacing of 1 mm.
    model : str, PathLike or Registrar, optional
        A name from :func:`learned.weights.names`, a file, or the result of :func:`learned.load`; by default
        "brain-2d" for slices and "brain-3d" for volumes.
    start : {"header", "centres", "moments"} or (d + 1, d + 1) array
        Initial world map (fixed -> moving, mm) through which the moving image is resampled for the
        network: from the headers, or aligning the centres of the fields of view or of mass.
    spacing : float, optional
        Voxel size in mm of the network's input, centred on the fixed image, cropped or padded with
        zeros.  By default the smallest that covers the whole fixed field of view, or, for a network that
        accepts images of any size, that of its training.
    threads : int, optional
        Number of threads, by default all available; the result depends on it only by rounding.
    device : str or torch.device, optional
        Device of the network: "cpu", "cuda", "cuda:1", ...; by default a GPU if there is one.  The result
        depends on it only by rounding.

    Returns
    -------
    Prediction

    Raises
    ------
    InputError, GeometryError, OverlapError, FileError
        If an argument is invalid, as for :func:`varreg.solve`.
    DivergenceError
        If the predicted map is not finite, or its affine part is singular.

    Examples
    --------
    >>> import learned, numpy as np
    >>> moving, fixed = np.random.default_rng(0).random((2, 64, 64))
    >>> prediction = learned.predict(moving, fixed)  # doctest: +SKIP
    >>> prediction.warped.data.shape  # doctest: +SKIP
    (64, 64)
    """
    from varreg.images.accepted import as_pair

    from .inference import registrar

    if model is None:
        moving, fixed = as_pair(moving, fixed, "learned.predict")
        model = OF_DIMENSION[fixed.grid.dim]
    settings: dict[str, Any] = {"start": start, "spacing": spacing, "threads": threads}
    settings["device"] = device
    return registrar(model).predict(moving, fixed, **settings)


def predict_batch(
    pairs: Iterable[Any],
    *,
    model: str | os.PathLike[str] | Registrar | None = None,
    batch_size: int = 8,
    start: str | Float | None = "header",
    spacing: float | None = None,
    threads: int | None = None,
    device: str | torch.device | None = None,
) -> list[Prediction]:
    """Register many pairs by a trained network, in batches.

    Batch normalisation uses its stored statistics, so that predictions do not depend on the other pairs:
    they equal those of :func:`predict` up to float32 rounding.

    Parameters
    ----------
    pairs : iterable
        Pairs (moving, fixed), or dictionaries with the keys ``moving``, ``fixed`` and optionally
        ``start``.  Images may have different sizes; a generator is read one batch at a time.
    batch_size : int
        Number of pairs per evaluation of the network.
    model, start, spacing, threads, device
        As for :func:`predict`; the default model is that for the dimension of the first pair.

    Returns
    -------
    list of Prediction
        In the order of the pairs.

    Raises
    ------
    VarregError
        As :func:`predict`, for the first invalid pair; the message begins with its position.

    Examples
    --------
    >>> import learned
    >>> learned.predict_batch([("t2.nii", "t1.nii"), ("flair.nii", "t1.nii")])  # doctest: +SKIP
    """
    from .inference import name_for_pairs, registrar

    if model is None:
        model, pairs = name_for_pairs(pairs, "learned.predict_batch")
    settings: dict[str, Any] = {"start": start, "spacing": spacing, "threads": threads}
    settings["device"] = device
    return registrar(model).predict_batch(pairs, batch_size=batch_size, **settings)


@click.command(
    cls=Command, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.argument("moving", type=ImagePath())
@click.argument("fixed", type=ImagePath())
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    help="Output folder, readable by `varreg apply` and `varreg info`; or a file with an image "
    "extension (.nii.gz, .png) for the warped image alone.",
)
@click.option(
    "--model",
    metavar="NAME|FILE",
    help="Name of a shipped network, or a .safetensors file. [default: brain-2d for slices, "
    "brain-3d for volumes]",
)
@click.option(
    "--start",
    type=NameOrMatrix(STARTS),
    default="header",
    show_default=True,
    help="Initial alignment before the network: from the headers, by the centres of the fields of view or of "
    "mass, or a text file with a matrix (fixed world to moving world, mm).",
)
@click.option(
    "--spacing",
    type=float,
    help="Voxel size in mm of the network's input. [default: that of its training if it accepts images of any "
    "size, else the smallest that covers all of FIXED]",
)
@header_option
@threads
@click.option(
    "--device", metavar="NAME", help="cpu, cuda, cuda:1, ... [default: a GPU if there is one]"
)
@force
@as_json
@click.option("-q", "--quiet", is_flag=True, help="Print no report.")
def main(moving: str, fixed: str, output: str, force: bool, as_json: bool, quiet: bool, **settings: Any) -> None:  # fmt: skip
    """Register the image MOVING to the image FIXED by a trained network."""
    write: Any
    # opened first, to detect an output that cannot be written before any computation
    with result_writer(output, moving, fixed, None, force) as write:
        prediction = predict(moving, fixed, **settings)
        write(prediction)
    if as_json:
        click.echo(json.dumps(summary(prediction), indent=2))
    elif not quiet:
        click.echo(f"{prediction}\n{said_of_output(output)}")


def summary(prediction: Prediction) -> dict[str, Any]:
    """Figures of a prediction, as JSON values."""
    return {
        "fixed": prediction.fixed_name,
        "moving": prediction.moving_name,
        "model": prediction.model,
        "shape": list(prediction.transform.fixed.shape),
        "affine": prediction.affine.tolist(),
        "smallest_determinant": prediction.smallest_determinant,
        "overlap": prediction.overlap,
        "provenance": prediction.provenance,
        "seconds": prediction.seconds,
    }


class _CallableModule(types.ModuleType):
    """Callable module: importing ``learned.predict`` replaces the function of that name by the module."""

    def __call__(self, *arguments: Any, **settings: Any) -> Prediction:
        return predict(*arguments, **settings)


sys.modules[__name__].__class__ = _CallableModule

if __name__ == "__main__":
    main(prog_name="python -m learned.predict")
