"""What can be said of a map between two images without knowing the true one."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from ..errors import FileError
from ..optimise.history import Energy, Stop, Unfolding
from ..options.options import Options


@dataclass(frozen=True)
class Place:
    """Where a cell of the displacement folds.

    Attributes
    ----------
    voxel, world : tuple of d floats
        Its centre, in voxels of the fixed image and in its world (mm).
    bound : float
        On det(id + grad u) in it.
    """

    voxel: tuple[float, ...]
    world: tuple[float, ...]
    bound: float


@dataclass(frozen=True)
class Folds:
    """Folds of a displacement that is multilinear between its nodes.

    Attributes
    ----------
    bound : float
        Lower bound on det(id + grad u) over every point; exact in 2D.
    nodes : tuple of int
        Of the grid that was looked at.
    cells, folded : int
        How many cells there are, and how many have a bound of zero or less.
    places : tuple of Place
        The worst of them, at most ten.
    """

    bound: float
    nodes: tuple[int, ...]
    cells: int
    folded: int
    places: tuple[Place, ...]

    @property
    def share(self) -> float:
        """Folded cells / cells."""
        return self.folded / self.cells if self.cells else 0.0


@dataclass(frozen=True)
class Gradients:
    """Norms of the energy's gradient in the solver's coordinates z (the Sobolev gradient).

    Attributes
    ----------
    here, affine, identity : float
        At the map; at its affine part alone; where the headers place the images.
    """

    here: float
    affine: float
    identity: float


@dataclass(frozen=True)
class Refinement:
    """What the solver still gains from the map, at the finest level, its affine part held.

    Attributes
    ----------
    iterations : int
        Steps taken.
    stop : Stop
        Why it ended.
    start, end : Energy
        From the map, unfolded if it folds, to where it ended.
    share : float or None
        Gain in percent of what the end is below the identity; None if it is not below it.
    mean_moved, percentile_moved, largest_moved : float
        Mean, 95th percentile and maximum of how far it took the points of the foreground, in mm.
    """

    iterations: int
    stop: Stop
    start: Energy
    end: Energy
    share: float | None
    mean_moved: float
    percentile_moved: float
    largest_moved: float

    @property
    def gain(self) -> float:
        """Energy gained, never negative."""
        return self.start.total - self.end.total


@dataclass(frozen=True)
class InverseResidual:
    """How well the map can be inverted: abs(v + u(w + v)) at moving voxels, in mm.

    Attributes
    ----------
    points : int
        Moving voxels looked at: all, or a random choice of a large image.
    largest, mean, tolerance : float
    """

    points: int
    largest: float
    mean: float
    tolerance: float


@dataclass(frozen=True)
class Shuffled:
    """Similarity after the warped values have been permuted at random among the voxels that count.

    Attributes
    ----------
    draws : int
    mean, deviation : float
    """

    draws: int
    mean: float
    deviation: float


@dataclass(frozen=True)
class Perturbation:
    """The energy of the map after random smooth fields have been added.

    Attributes
    ----------
    size : float
        Root mean square of the fields, in voxels.
    draws, folded : int
        Fields that were added, and those that were left out because they would have folded it.
    mean_rise : float or None
        Mean change of the energy; None if all were left out.
    share_rising : float or None
        Share of the draws that raised it, from 0 to 1; None likewise.
    """

    size: float
    draws: int
    folded: int
    mean_rise: float | None
    share_rising: float | None


@dataclass(frozen=True)
class Certificate:
    """The answer of :func:`varreg.certify`.  ``print(certificate)`` explains it in words.

    Attributes
    ----------
    fixed_name, moving_name : str
    kind : str
        What the map came as.
    shape, spacing : tuple
        Of the fixed image (voxels, mm).
    options : Options
        Of the energy.
    seed : int
        Of everything random.
    similarity_as_given : float
        Of the map itself, before it was brought to the displacement grid.
    folds_as_given : Folds
        On the nodes it came with.
    mean_moved, largest_moved : float
        How far that moved points, in mm; 0 if it was on that grid.
    energy : Energy
        On the displacement grid, folds and all.
    folds : Folds
        On the displacement grid.
    unfolding : Unfolding or None
        What the refinement and the perturbations had to change first, if it folds there.
    identity, affine : Energy
        Where the headers place the images; of the affine part alone.
    affine_stage : Energy or None
        If nothing deforms: as the affine stage of the solver measures it.
    affine_determinant : float
        Of the linear part of A; det(id + grad u) leaves it out.
    gradients : Gradients
    refinement : Refinement
    inverse : InverseResidual
    overlap : float
        Share of the fixed voxels that the affine part maps inside the moving image.
    in_view : float
        Share of the fixed voxels that count which the whole map takes to a voxel that counts.
    shuffled : Shuffled
    perturbations : tuple of Perturbation
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

    def to_json(self) -> str:
        """All figures as JSON text."""
        from ..io.records import plain

        return json.dumps({"format": FORMAT, **plain(self)}, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Certificate:
        """The certificate that :meth:`to_json` wrote.

        Raises
        ------
        FileError
            If the text is not such a certificate; the message says what is wrong.
        """
        from ..io.records import Damage, nested, renamed

        try:
            content = json.loads(text)
            if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
                raise Damage(f"its `format` is not {FORMAT!r}")
            return nested(cls, renamed(content), "certificate")
        except (Damage, TypeError, ValueError, RecursionError) as error:
            raise FileError(
                f"Certificate.from_json: the text is not a usable certificate: {error}."
            ) from error

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write :meth:`to_json` to a file, whole or not at all.

        Raises
        ------
        FileError
            If it exists or cannot be written; what existed before is untouched.
        """
        from ..io.files import atomic_path

        with atomic_path(path, overwrite=overwrite) as temporary:
            temporary.write_text(self.to_json() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Certificate:
        """Read what :meth:`save` wrote; FileError if it cannot be."""
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


FORMAT = "varreg certificate 1"
