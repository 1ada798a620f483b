"""Test cases: energies with gradients at one map, and complete registrations."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..backends.arrays import Array
from ..energy.deformable import DeformableObjective
from ..energy.smoothness import Smoothness
from ..options.names import SIMILARITIES
from ..options.options import Options
from ..similarity.choice import similarity
from .images import level_pair

SHAPES = {2: (70, 64), 3: (26, 30, 28)}
#: Node spacing in voxels.
VOXELS_PER_NODE = 4


@dataclass(frozen=True)
class ValueCase:
    """The energy of one similarity at one map, its gradient and the bound on the determinant.

    Attributes
    ----------
    name : str
        Name of the similarity.
    dimension : {2, 3}
    masks : bool
    constraint : {"zero-mean", "zero-boundary"}
    interpolation : {"linear", "cubic"}
    volume_weight : float
        Weight of the volume term, which is evaluated as an energy if positive.
    weighted : bool
        Whether the masks are weights.
    """

    name: str
    dimension: int
    masks: bool
    constraint: str = "zero-mean"
    interpolation: str = "linear"
    volume_weight: float = 0.0
    weighted: bool = False

    def __str__(self) -> str:
        """
        >>> print(ValueCase("lncc", 2, True))
        lncc, 2D, masks, zero-mean, linear
        """
        masks = ("weights" if self.weighted else "masks") if self.masks else "no masks"
        description = (
            f"{self.name}, {self.dimension}D, {masks}, {self.constraint}, {self.interpolation}"
        )
        return f"{description}, volume term" if self.volume_weight else description

    def evaluate(self, kernels: Any) -> tuple[Array, Array]:
        """Evaluate (energy, share in view and bound; gradient) by a backend."""
        shape = SHAPES[self.dimension]
        similarity_option = "mi" if self.name == "overlap-mi" else self.name
        options = Options(
            similarity=similarity_option, constraint=self.constraint,
            interpolation=self.interpolation, volume_weight=self.volume_weight,
        )  # fmt: skip
        fixed, moving = level_pair(shape, self.masks, self.dimension, self.weighted)
        found = similarity(self.name, fixed, moving, options, kernels, 1)
        nodes = tuple(n // VOXELS_PER_NODE for n in shape)
        spacing = fixed.grid.extent / np.array(nodes)
        smoothness = Smoothness(nodes, spacing, 1.0, 1.0, self.constraint)
        rng = np.random.default_rng(7)
        affine = np.eye(self.dimension + 1)
        affine[:-1] += rng.uniform(-0.03, 0.03, affine[:-1].shape)
        objective = DeformableObjective(found, affine, smoothness, options)
        z = smoothness.to_coordinates(0.3 * rng.normal(size=(self.dimension, *nodes)))
        state = z, smoothness.to_field(z)
        evaluation = objective.evaluate_folded(state)
        energy = [evaluation.energy.similarity, evaluation.in_view, evaluation.smallest_determinant]
        if self.volume_weight:
            energy.append(evaluation.energy.volume)
        return np.array(energy), evaluation.gradient() - z


@dataclass(frozen=True)
class AnswerCase:
    """One registration.

    Attributes
    ----------
    shape : tuple of int
    arguments : dict
        Arguments of :func:`varreg.solve`.
    """

    shape: tuple[int, ...]
    arguments: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """
        >>> print(AnswerCase((64, 60), dict(memory=0)))
        solve, 64 x 60, memory=0
        """
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.arguments.items())
        return f"solve, {' x '.join(map(str, self.shape))}, {arguments or 'defaults'}"


def value_cases() -> list[ValueCase]:
    """Every similarity in 2D and 3D, with and without masks; cubic splines, both constraints, the volume term."""
    cases = [
        ValueCase(name, dimension, masks, "zero-boundary" if masks else "zero-mean")
        for name, dimension, masks in itertools.product(
            (*SIMILARITIES, "overlap-mi"), (2, 3), (False, True)
        )
    ]
    for dimension, name in itertools.product((2, 3), ("regional-mi", "overlap-mi", "lncc")):
        cases.append(ValueCase(name, dimension, True, weighted=True))
    for dimension, masks in itertools.product((2, 3), (False, True)):
        cases.append(ValueCase("regional-mi", dimension, masks, "zero-mean", "cubic"))
    return [*cases, *(ValueCase("ssd", d, False, volume_weight=0.45) for d in (2, 3))]


def answer_cases() -> list[AnswerCase]:
    """Registrations with default options, affine only, with fine regularity, with the other constraint and other energies.

    With images for which CPU results change by less than a hundredth of a voxel under perturbations of rounding size.
    """
    slice_, volume = (96, 88), (40, 44, 42)
    return [
        AnswerCase(slice_),
        AnswerCase(slice_, dict(affine="rigid", deformable=False)),
        AnswerCase(slice_, dict(interpolation="cubic")),
        AnswerCase(slice_, dict(constraint="zero-boundary", iterations=8)),
        AnswerCase(slice_, dict(preset="paper", iterations=10)),
        AnswerCase(slice_, dict(similarity="lncc")),
        AnswerCase(slice_, dict(preset="cfir", iterations=6)),
        AnswerCase(volume, dict(affine="translation", deformable=True, iterations=8)),
        AnswerCase(
            volume,
            dict(affine="translation", deformable=True, regularity="fine", iterations=8),
        ),
        AnswerCase(volume, dict(affine="affine", deformable=False)),
    ]
