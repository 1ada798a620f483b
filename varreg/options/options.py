"""Options of the energy and its minimisation: a frozen, validated dataclass.

Settings of the machine (backend, threads, progress) are not part of the problem and are
arguments of :func:`varreg.solve` instead.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .fields import check_fields
from .names import JUDGES, REGULARITY_NUMBERS, Range
from .presets import BY_DIMENSION, BY_REGULARITY, PRESETS
from .validation import named, refuse_unknown

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .changes import Changes


@dataclass(frozen=True)
class Options:
    r"""The energy that :func:`varreg.solve` minimises, and the steps of its minimisation.

    The energy is
    :math:`E(u) = -\lambda\,S + \mu\,\mathrm{mean}(|\nabla u|^2 + \ell^{2m-2} |D^m u|^2) + \nu\,V(u)`,
    with u in mm, m the smoothness order and V the volume term (docs/theory.md). Matching points add
    :math:`\eta\,P`, see ``points_weight``, and rigid masks :math:`\kappa\,K`, see ``rigidity_weight``.

    Parameters
    ----------
    similarity : {"regional-mi", "mi", "nmi", "lncc", "mind", "ssd"}
        S, in nats: regional mutual information; mutual information of the whole image; normalised mutual
        information; local normalised cross-correlation, for contrasts that are locally affine functions of
        each other; self-similarity descriptors, for common structures; squared differences, for one
        contrast in the same range of intensities. The affine stage uses "mi" except for "ssd", and
        so does the coarsest of several levels for "regional-mi", "lncc" and "mind".
    regions : int or None
        Boxes along the longest axis for "regional-mi", each with a joint density of its own. None
        takes 8 for slices, 10 for volumes.
    similarity_weight : float
        :math:`\lambda > 0`, weight of the similarity (nats).
    weights : tuple of float or None
        One weight for each of several pairs of images that are registered together: S is the weighted mean
        of their similarities. None takes equal weights.
    similarities : tuple of str or None
        One similarity for each of several pairs; `similarity` is then the first one. None takes `similarity` for all.
    regularity : {"auto", "smooth", "fine"}
        Values of the four options below that are None. "smooth": for images of one person. "fine": for
        images of different people, whose cortical folds differ; the fine map starts from the coarsest level
        of a smooth one. "auto" chooses, for volumes and mutual information, the fine map if it explains
        more of the voxels held out of a trial; the printed result reports the choice and its reason.
        If one of the four is given, and for slices, "auto" means "smooth".
    smoothness_weight : float or None
        :math:`\mu > 0`, weight of the smoothness term (no unit). None takes 0.35 for slices, 0.25
        for volumes; 0.02 if fine.
    smoothness_length : float or None
        :math:`\ell \ge 0` in mm, the length of the high-order term; 0 is the paper's H1 energy.
        None takes 5 % of the geometric mean extent of the fixed image, 11 mm for a head; if fine, 1.5 %,
        and at least two voxels, at every level.
    smoothness_order : {2, 3, 4} or None
        m, the order of the derivatives in the high-order term. None takes 4; 2 if fine.
    volume_weight : float or None
        :math:`\nu \ge 0`, weight of the volume term (no unit). None takes 0; 0.8 if fine.
    axes : str, tuple of float or None
        Axes of the fixed array along which u may point: letters, "j" or "ik", or a weight w from 0 to 1 for each
        axis, (0.1, 1, 0.1). Displacement along an axis costs :math:`1/w^2` times the smoothness; with weight 0
        that component of u is exactly 0. None: all axes equally.
    points_weight : float
        :math:`\eta > 0`, weight of the mean squared distance of matching points, if there are any: its cost
        in nats if all of them are 1 mm apart.
    rigidity_weight : float
        :math:`\kappa > 0`, weight of the mean squared strain within rigid masks, if there are any.
    constraint : {"zero-mean", "zero-boundary"}
        Constraint on u under which the energy is coercive; zero mean leaves translation to the affine part.
    estimator : {"fine-histogram", "per-pixel"}
        Density estimator: smoothed fine histogram, or the parent paper's Gaussian windows
        normalised at each pixel.
    bins : int
        Bins per image, at least 8.
    kernel_width : float
        Standard deviation of the Parzen kernel in bins, from 0.05 to 100.
    fixed_range, moving_range : (float, float) or None
        Intensities mapped to the first and last bin, clipped beyond; None takes the 0.1 percentile
        of all voxels and the 99.8 percentile of the foreground, both without outliers. With several
        pairs they apply to the first one.
    interpolation : {"linear", "cubic"}
        Interpolation of the moving image; cubic B-splines make the energy C1.
    samples_per_node : float or None
        In an image with many voxels per node of the displacement, only every second or fourth
        row enters the histogram, as long as this many voxels per node remain; None takes all rows.
        "lncc", "mind" and "ssd" always use all rows.
    levels : tuple of float or None
        Decreasing coarsening factors of the image pyramid, e.g. (4, 2, 1). None chooses them from the
        image so that the coarsest level has 40 to 80 voxels per axis.
    iterations : int, tuple of int or None
        Largest number of accepted steps per level, coarse to fine; one number applies to every level,
        and with fewer levels than numbers the last numbers apply.
        None takes (12, 10, 18) for slices, (12, 10, 32) for volumes; (12, 12, 32) if fine.
    memory : int
        Number of step pairs stored by L-BFGS; 0 is the paper's gradient descent.
    gradient_tolerance : float
        Stop when the gradient norm has fallen below this fraction of its first value.
    energy_tolerance : float
        Stop when five steps together gain less than this fraction of the energy gained so far.
    largest_step : float
        No point moves further than this in one step, in voxels of the level.
    smallest_determinant : float
        det(id + grad u) stays above this everywhere; between 0 and 1.
    affine_iterations : int
        Largest number of accepted steps per level of the affine stage.
    """

    similarity: str = "regional-mi"
    regions: int | None = None
    similarity_weight: float = 1.0
    weights: tuple[float, ...] | None = None
    similarities: tuple[str, ...] | None = None
    regularity: str = "auto"
    smoothness_weight: float | None = None
    smoothness_length: float | None = None
    smoothness_order: int | None = None
    volume_weight: float | None = None
    axes: str | tuple[float, ...] | None = None
    points_weight: float = 0.02
    rigidity_weight: float = 1000.0
    constraint: str = "zero-mean"
    estimator: str = "fine-histogram"
    bins: int = 24
    kernel_width: float = 0.5
    fixed_range: Range | None = None
    moving_range: Range | None = None
    interpolation: str = "linear"
    samples_per_node: float | None = 250.0
    levels: tuple[float, ...] | None = None
    iterations: int | tuple[int, ...] | None = None
    memory: int = 6
    gradient_tolerance: float = 1e-3
    energy_tolerance: float = 1e-4
    largest_step: float = 1.0
    smallest_determinant: float = 0.05
    affine_iterations: int = 40

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def preset(cls, name: str, **changes: Unpack[Changes]) -> Options:
        """The options of a preset, with single fields changed.

        Parameters
        ----------
        name : {"default", "fast", "accurate", "precise", "paper", "cfir"}
            ``"fast"``: fewer steps; ``"accurate"``: more steps, finer bins and cubic interpolation;
            ``"paper"``: H1 energy (length 0) and plain backtracking gradient descent;
            ``"cfir"``: the same with the parent paper's estimator (100 bins on [0, 1], Gaussian
            windows normalised per pixel); ``"precise"``: the default energy run to convergence.
        **changes
            Fields of :class:`Options` that override the preset.

        Examples
        --------
        >>> from varreg.options.options import Options
        >>> Options.preset("paper", bins=32).memory
        0
        """
        name = named(name, PRESETS)
        if not isinstance(name, str) or name not in PRESETS:
            raise InputError(
                f"Options.preset: `name` must be one of {', '.join(map(repr, PRESETS))}; got {name!r}."
            )
        return cls().replace(**PRESETS[name]).replace(**changes)

    def for_dimension(self, dimension: int) -> Options:
        """These options with the default values that depend only on the dimension.

        An open regularity, and the values that depend on it, stay open until there is evidence.

        Parameters
        ----------
        dimension : {2, 3}

        Examples
        --------
        >>> from varreg.options.options import Options
        >>> Options().for_dimension(3).regions, Options().for_dimension(2).smoothness_weight
        (10, 0.35)
        """
        given = any(getattr(self, name) is not None for name in REGULARITY_NUMBERS)
        judged = {self.similarity, *(self.similarities or ())} <= set(JUDGES)
        is_open = dimension == 3 and judged and not given
        if self.regularity == "auto" and is_open:
            return self._filled(BY_DIMENSION[dimension])
        return self.decided(dimension)

    def decided(self, dimension: int) -> Options:
        """These options with all values, where an open regularity is smooth.

        Parameters
        ----------
        dimension : {2, 3}

        Examples
        --------
        >>> from varreg.options.options import Options
        >>> Options().decided(3).smoothness_weight
        0.25
        """
        regularity = "smooth" if self.regularity == "auto" else self.regularity
        numbers = {**BY_DIMENSION[dimension], **BY_REGULARITY[regularity][dimension]}
        return dataclasses.replace(self._filled(numbers), regularity=regularity)

    def _filled(self, numbers: dict[str, Any]) -> Options:
        missing = {name: value for name, value in numbers.items() if getattr(self, name) is None}
        return dataclasses.replace(self, **missing) if missing else self

    def of_regularity(self, regularity: str) -> Options:
        """These options with another regularity and its default values, including iterations unless given.

        Parameters
        ----------
        regularity : {"smooth", "fine"}

        Examples
        --------
        >>> from varreg.options.options import Options
        >>> Options(smoothness_weight=1.0).of_regularity("fine").decided(3).smoothness_weight
        0.02
        """
        usual = [
            numbers["iterations"] for numbers in BY_REGULARITY.get(self.regularity, {}).values()
        ]
        iterations = None if self.iterations in usual else self.iterations
        open_: dict[str, Any] = dict.fromkeys(REGULARITY_NUMBERS)
        return self.replace(regularity=regularity, iterations=iterations, **open_)

    def replace(self, **changes: Unpack[Changes]) -> Options:
        """A copy with changed fields; an unknown field raises an error that suggests the nearest name."""
        refuse_unknown(changes, [field.name for field in dataclasses.fields(self)])
        return dataclasses.replace(self, **changes)
