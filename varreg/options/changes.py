"""Types of single fields of Options as keywords, for completion and type checking in editors."""

from __future__ import annotations

from typing import TypedDict

Range = tuple[float, float]


class EnergyChanges(TypedDict, total=False):
    """Any fields of :class:`varreg.Options` except ``iterations``, which :func:`varreg.certify` defines itself."""

    similarity: str
    regions: int | None
    similarity_weight: float
    weights: tuple[float, ...] | None
    similarities: tuple[str, ...] | None
    regularity: str
    smoothness_weight: float | None
    smoothness_length: float | None
    smoothness_order: int | None
    volume_weight: float | None
    axes: str | tuple[float, ...] | None
    points_weight: float
    rigidity_weight: float
    constraint: str
    estimator: str
    bins: int
    kernel_width: float
    fixed_range: Range | None
    moving_range: Range | None
    interpolation: str
    samples_per_node: float | None
    levels: tuple[float, ...] | None
    memory: int
    gradient_tolerance: float
    energy_tolerance: float
    largest_step: float
    smallest_determinant: float
    affine_iterations: int


class Changes(EnergyChanges, total=False):
    """Any fields of :class:`varreg.Options`."""

    iterations: int | tuple[int, ...] | None
