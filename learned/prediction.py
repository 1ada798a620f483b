"""Result of a network in world space, with the same spaces and methods as a varreg.Result."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from varreg._version import __version__
from varreg.backends.compilation import compilation_clock, compilation_seconds, computing_time
from varreg.errors import DivergenceError, GeometryError
from varreg.geometry.displacement import Float
from varreg.geometry.folding import smallest_determinant
from varreg.images.image import Image
from varreg.optimise.check import NONE_MADE
from varreg.optimise.history import Energy
from varreg.options.options import Options
from varreg.results.registered import Registered
from varreg.results.result import Result
from varreg.transforms.transform import Transform

from .preparation import Prepared, world_transform

#: First line of a printed prediction if the images themselves gave no warning.
UNCHECKED = "Checks: none were run; varreg.certify(moving, fixed, prediction) assesses the map."


@dataclass(frozen=True, eq=False, repr=False)
class Prediction(Registered):
    """Result of :func:`learned.predict`; ``print(prediction)`` shows a summary.

    The map goes fixed -> moving: the fixed point x corresponds to the moving point A(x + u(x)).

    Attributes
    ----------
    transform : varreg.Transform
        The map; most of its methods are also available here.
    warped : varreg.Image
        Moving image on the fixed grid.
    model : str
        Name of the network.
    fixed_name, moving_name : str
        File names of the images; "" for arrays.
    smallest_determinant : float
        Certified lower bound of det(id + grad u) at all points, also between voxels.
    overlap : float
        Fraction of the fixed voxels that map into the moving image.
    provenance : dict
        JSON values: versions, ``backend`` (the network), ``threads`` and ``seconds`` (of each part; time
        common to a batch is divided evenly, and ``compilation`` is not included in other parts).
    fixed, moving : varreg.Image
        Registered images.
    """

    warped: Image
    model: str
    fixed_name: str
    moving_name: str
    smallest_determinant: float
    overlap: float
    provenance: dict[str, Any]
    fixed: Image
    moving: Image

    @property
    def seconds(self) -> float:
        """Total time in seconds, without :attr:`compilation_seconds`."""
        return self.as_result().seconds

    @property
    def compilation_seconds(self) -> float:
        """Time for compiling kernels or loading them from the cache on disk, in seconds."""
        return self.as_result().compilation_seconds

    def as_result(self) -> Result:
        """The prediction as a :class:`varreg.Result`, without levels and with nan as energies."""
        unknown = Energy(float("nan"), float("nan"), float("nan"))
        return Result(
            transform=self.transform,
            warped=self.warped,
            fixed_name=self.fixed_name,
            moving_name=self.moving_name,
            energy=unknown,
            start_energy=unknown,
            history=(),
            levels=(),
            options=Options(),
            smallest_determinant=self.smallest_determinant,
            overlap=self.overlap,
            provenance=self.provenance,
            fixed=self.fixed,
            moving=self.moving,
            checks=(*self.moving.checks, *self.fixed.checks),
            notes=(*self.moving.notes, *self.fixed.notes),
        )

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Save to a folder, completely or not at all; :func:`varreg.load` reads it as a Result.

        Parameters
        ----------
        path : str or PathLike
            Folder to create, in the format of :meth:`varreg.Result.save`.
        overwrite : bool
            Whether to replace an existing result.

        Raises
        ------
        FileError
            If the folder exists or cannot be written; existing files are unchanged.
        """
        self.as_result().save(path, overwrite)

    def __str__(self) -> str:
        # results print "given" for affine maps without a search
        text = str(self.as_result()).replace("Affine (given)", "Affine (predicted)")
        lines = text.replace(NONE_MADE, UNCHECKED).splitlines()
        remark = (
            "Predicted by a network; no energy was minimised. Inspect the images, or refine the map by "
            "varreg.solve(moving, fixed, start=prediction)."
        )
        return "\n".join([*lines[:-2], remark, *lines[-2:]])


@compilation_clock()
def predicted(
    pair: Prepared,
    affine: Float,
    field: Float,
    model: str,
    device: torch.device,
    seconds: float,
    threads: int,
    function: str,
) -> Prediction:
    """Prediction of a pair from the output of a network.

    Raises
    ------
    DivergenceError
        If the map is not finite, or its affine part is singular.
    """
    begun = computing_time()
    moving, fixed = pair.moving, pair.fixed
    try:
        transform = world_transform(affine, field, pair.grid, fixed, moving, pair.start)
    except GeometryError as error:
        raise DivergenceError(
            f"{function}: the network {model!r} predicts an invalid map for "
            f"{moving.name or '`moving`'} and {fixed.name or '`fixed`'} ({error}); use "
            "varreg.solve for this pair."
        ) from error
    warped = fixed.holding(transform.warp(moving), f"warped {moving.name}".strip())
    bound = _determinant_bound(transform, threads)
    times = {
        "preparation": pair.seconds,
        "network": seconds,
        "conversion": computing_time() - begun,
        "compilation": pair.compilation + compilation_seconds(),
    }
    return Prediction(
        transform=transform,
        warped=warped,
        model=model,
        fixed_name=fixed.name,
        moving_name=moving.name,
        smallest_determinant=bound,
        overlap=fixed.grid.overlap_fraction(moving.grid, transform.affine),
        provenance=_provenance(model, threads, times, device),
        fixed=fixed,
        moving=moving,
    )


def _determinant_bound(transform: Transform, threads: int) -> float:
    if transform.nodes is None:
        return 1.0
    from varreg.backends.numba import backend as cpu

    spacing, constraint = transform.fixed.spacing, transform.constraint
    return smallest_determinant(transform.nodes, spacing, constraint, cpu, threads)[0]


def _provenance(
    name: str, threads: int, seconds: dict[str, float], device: torch.device
) -> dict[str, Any]:
    return {
        "varreg": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": str(torch.__version__),
        "backend": f"network {name!r}",
        "device": str(device),
        "threads": threads,
        "platform": platform.platform(),
        "seconds": seconds,
    }
