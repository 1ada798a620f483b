"""Assessment of a map between two images without knowing the true one."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from typing import Any

from ..errors import FileError
from ..images.image import Image
from ..optimise.check import Check, failed
from ..optimise.history import Energy, Unfolding
from ..options.options import Options
from .accuracy import Accuracy
from .records import Folds, Gradients, InverseResidual, Perturbation, Refinement, Shuffled


@dataclass(frozen=True, repr=False)
class Certificate:
    """The result of :func:`varreg.certify`.  ``print(certificate)`` gives a summary in words.

    Attributes
    ----------
    fixed_name, moving_name : str
    kind : str
        Type of the given map.
    shape, spacing : tuple
        Shape and spacing of the fixed image (voxels, mm).
    options : Options
        Options of the energy.
    seed : int
        Seed of all random numbers.
    similarity_as_given : float
        Similarity of the given map, before it was resampled to the displacement grid.
    folds_as_given : Folds
        Folds of the given map, on its own nodes.
    mean_moved, largest_moved : float
        Motion of points by the resampling, in mm; 0 if the map was on that grid.
    energy : Energy
        Energy on the displacement grid, including folds.
    folds : Folds
        Folds on the displacement grid.
    unfolding : Unfolding or None
        Changes required before the refinement and the perturbations, if the map folds there.
    identity, affine : Energy
        Energies with the header geometry, and of the affine part alone.
    affine_stage : Energy or None
        Without deformation: the energy of the affine stage of the solver.
    affine_determinant : float
        Determinant of the linear part of A, which det(id + grad u) does not include.
    affine_scales : tuple of float
        Scales of A along its principal axes, largest first, the last negative for a reflection; empty if written
        by an earlier version.
    gradients : Gradients
    refinement : Refinement
    inverse : InverseResidual
    overlap : float
        Fraction of the fixed voxels that the affine part maps inside the moving image.
    in_view : float
        Fraction of the fixed voxels inside the mask that the map takes to a voxel inside the moving mask.
    shuffled : Shuffled
    perturbations : tuple of Perturbation
    checks : tuple of Check
        Checks of the map; see :mod:`varreg.checks`.  Empty if written by an earlier version.
    notes : tuple of str
        Changes of the images and masks on reading, one sentence each.
    accuracy : Accuracy or None
        Estimate of the mean error; None without trials.
    spread : Image or None
        Distance of the trials from the map: root mean square, mm, on a coarse fixed grid.  It is
        not saved: None after :meth:`load`.
    """

    fixed_name: str
    moving_name: str
    kind: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    options: Options
    seed: int
    similarity_as_given: float
    folds_as_given: Folds
    mean_moved: float
    largest_moved: float
    energy: Energy
    folds: Folds
    unfolding: Unfolding | None
    identity: Energy
    affine: Energy
    affine_stage: Energy | None
    affine_determinant: float
    gradients: Gradients
    refinement: Refinement
    inverse: InverseResidual
    overlap: float
    in_view: float
    shuffled: Shuffled
    perturbations: tuple[Perturbation, ...]
    affine_scales: tuple[float, ...] = ()
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()
    accuracy: Accuracy | None = None
    spread: Image | None = field(default=None, compare=False, repr=False)

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return failed(self.checks)

    def to_json(self) -> str:
        """All values as JSON text."""
        from ..io.records import plain

        return json.dumps(
            {"format": FORMAT, **plain(dataclasses.replace(self, spread=None))}, indent=2
        )

    @classmethod
    def from_json(cls, text: str) -> Certificate:
        """The certificate from the text of :meth:`to_json`.

        Parameters
        ----------
        text : str
            JSON.

        Returns
        -------
        Certificate

        Raises
        ------
        FileError
            If the text is not such a certificate; the message gives the reason.
        """
        from ..io.records import Damage, nested, renamed

        try:
            content = json.loads(text)
            if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
                raise Damage(f"its `format` is not {FORMAT!r}")
            absent: dict[str, Any] = {
                "affine_scales": [],
                "checks": [],
                "notes": [],
                "accuracy": None,
                "spread": None,
            }
            content = {**absent, **renamed(content), "spread": None}
            return nested(cls, content, "certificate")
        except (Damage, TypeError, ValueError, RecursionError) as error:
            raise FileError(
                f"Certificate.from_json: the text is not a usable certificate: {error}."
            ) from error

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write :meth:`to_json` to a file, atomically.

        Parameters
        ----------
        path : str or PathLike
            File to be created.
        overwrite : bool
            Replace an existing file.

        Raises
        ------
        FileError
            If it exists or cannot be written; an existing file is then unchanged.
        """
        from ..io.files import atomic_path

        with atomic_path(path, overwrite=overwrite) as temporary:
            temporary.write_text(self.to_json() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Certificate:
        """Read a file written by :meth:`save`.

        Parameters
        ----------
        path : str or PathLike

        Returns
        -------
        Certificate

        Raises
        ------
        FileError
            If the file cannot be read, or is not a certificate.
        """
        from ..io.destination import usable_path

        path = usable_path(path, "Certificate.load")
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except (OSError, ValueError) as error:
            raise FileError(
                f"Certificate.load: {os.fspath(path)!r} cannot be read ({error}); check the path."
            ) from error
        return cls.from_json(text)

    def __str__(self) -> str:
        from .summary import summary

        return summary(self)

    def __repr__(self) -> str:
        moving, fixed = self.moving_name or "moving image", self.fixed_name or "fixed image"
        folds = (
            "folds nowhere" if self.folds.bound > 0 else f"may fold in {self.folds.folded} cells"
        )
        checks = f"{len(self.warnings)} of {len(self.checks)} checks warn"
        return (
            f"<varreg.Certificate: {moving} onto {fixed}; {checks}, the map {folds}. "
            "print(...) shows all of it.>"
        )

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Representation in notebooks: the complete summary."""
        printer.text(repr(self) if cycle else str(self))


FORMAT = "varreg certificate 1"
