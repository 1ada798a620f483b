"""The figures of a certificate, question by question."""

from __future__ import annotations

from dataclasses import dataclass

from ..optimise.history import Energy, Stop


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
        At the map; after affine; where the headers place the images.
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
        Mean, 95th percentile and maximum of how far it took the points of the head, in mm.
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
    """Similarity after the warped values have been permuted at random among the voxels inside the mask.

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
