"""Groups of values of a certificate."""

from __future__ import annotations

from dataclasses import dataclass

from ..optimise.history import Energy, Stop


@dataclass(frozen=True)
class Place:
    """Location of a folded cell of the displacement.

    Attributes
    ----------
    voxel, world : tuple of d floats
        Its centre, in voxels of the fixed image and in its world (mm).
    bound : float
        Lower bound on det(id + grad u) in it.
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
        Nodes of the grid of the displacement.
    cells, folded : int
        Number of cells, and of those with a bound of zero or less.
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
        At the map; after affine; with the header geometry.
    """

    here: float
    affine: float
    identity: float


@dataclass(frozen=True)
class Refinement:
    """Energy still gained by the solver from the map, at the finest level, with fixed affine part.

    Attributes
    ----------
    iterations : int
        Number of steps.
    stop : Stop
        Reason for termination.
    start, end : Energy
        Of the map, unfolded if it folds, and after the refinement.
    share : float or None
        Gain in percent of the difference between identity and final energy; None unless that is positive.
    mean_moved, percentile_moved, largest_moved : float
        Mean, 95th percentile and maximum of the motion of points of the head, in mm.
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
    """Residual of the inverse: abs(v + u(w + v)) at moving voxels, in mm.

    Attributes
    ----------
    points : int
        Number of evaluated moving voxels: all, or a random sample of a large image.
    largest, mean, tolerance : float
    """

    points: int
    largest: float
    mean: float
    tolerance: float


@dataclass(frozen=True)
class Shuffled:
    """Similarity after random permutation of the warped intensities among the voxels inside the mask.

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
    """Energy of the map after adding random smooth fields.

    Attributes
    ----------
    size : float
        Root mean square of the fields, in voxels.
    draws, folded : int
        Number of fields added, and of those excluded because the sum would fold.
    mean_rise : float or None
        Mean change of the energy; None if all were excluded.
    share_rising : float or None
        Share of the draws that raised it, from 0 to 1; None if all were excluded.
    """

    size: float
    draws: int
    folded: int
    mean_rise: float | None
    share_rising: float | None
