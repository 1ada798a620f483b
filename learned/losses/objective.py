r"""The training loss: the terms of the paper with its weights, or the energy of the solver.

.. math:: \mathcal L = \lambda_1 R(u) - \lambda_2\,\mathrm{MI}(F, M_w) + \lambda_3\,B(F, M_w)
          + \lambda_4\,C(M_A, M_w, u),

eq. (12) of doi 10.3390/math14122131.  With :math:`\lambda_3 = \lambda_4 = 0` it is the energy (13)
that :func:`varreg.solve` minimises, and the same options give the same number.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from varreg.errors import InputError
from varreg.geometry.grid import Grid
from varreg.options.options import Options
from varreg.stages.pyramid import (
    smoothness_length,
    smoothness_order,
    smoothness_weight,
    volume_weight,
)

from ..tensors import check_displacement, single_or_double, without_autocast
from .mutual_information import MutualInformation
from .terms import background_suppression, dual_consistency, smoothness

NAME = "learned.losses.Objective"


@dataclass(frozen=True)
class LossWeights:
    """What the terms of the loss are multiplied by; the defaults are the paper's (its Table 4).

    Parameters
    ----------
    smoothness : float
        lambda_1, of the smoothness term.
    similarity : float
        lambda_2, of mutual information (nats), which is subtracted.
    background : float
        lambda_3, of background suppression.
    consistency : float
        lambda_4, of dual consistency.

    Raises
    ------
    InputError
        If one is negative or not finite.
    """

    smoothness: float = 1.0
    similarity: float = 50.0
    background: float = 100.0
    consistency: float = 100.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            weight = getattr(self, field.name)
            number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
            if not (number and 0 <= weight < math.inf):
                raise InputError(
                    f"learned.losses.LossWeights: `{field.name}` must be a number from 0; got {weight!r}."
                )

    @classmethod
    def energy(cls, options: Options, dimension: int = 2) -> LossWeights:
        """Those of the energy of the solver, -lambda MI + mu R, in `dimension` dimensions.

        Examples
        --------
        >>> from varreg.options.options import Options
        >>> LossWeights.energy(Options(similarity_weight=2.0))
        LossWeights(smoothness=0.35, similarity=2.0, background=0.0, consistency=0.0)
        """
        mu = smoothness_weight(options, dimension)
        return cls(mu, options.similarity_weight, 0.0, 0.0)


class Losses(NamedTuple):
    """The loss and its terms before their weights, each the mean over the batch, of shape ()."""

    total: Tensor
    smoothness: Tensor
    similarity: Tensor  # nats; larger is better
    background: Tensor
    consistency: Tensor
    known_map: Tensor  # voxels of the images; of random pairs only, see learned.losses.supervised
    dice: Tensor  # overlap of labels, larger is better; of pairs that have them


class Objective:
    """The loss of a batch. Nothing is learned here; what is not finite is returned as it is.

    The options say which mutual information and which smoothness: ``Options.preset("paper")`` and
    ``("cfir")`` have the paper's H1 term, the others a term of high order besides.

    Parameters
    ----------
    weights : LossWeights
    options : varreg.Options
        Similarity, estimator, smoothness length and order, those of a smooth map where its regularity is
        left open; ``constraint`` must be "zero-mean", ``volume_weight`` 0 or None.
    voxel_size : float
        Of the grid at hand in mm, in which the options have the smoothness length.
    background_threshold : float
        Darker voxels of the fixed image, of [0, 1], are background.
    inverse : {"fixed-point", "paper"}
        How the dual consistency inverts.
    inverse_iterations : int
        Steps of the fixed point.

    Raises
    ------
    InputError

    Examples
    --------
    >>> import torch
    >>> from varreg.options.options import Options
    >>> options = Options()
    >>> objective = Objective(LossWeights.energy(options), options)
    >>> image = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    >>> losses = objective(image, image, image, torch.zeros(1, 2, 16, 16))
    >>> bool(losses.total == -losses.similarity)
    True
    """

    def __init__(
        self,
        weights: LossWeights,
        options: Options,
        *,
        voxel_size: float = 1.0,
        background_threshold: float = 0.1,
        inverse: str = "fixed-point",
        inverse_iterations: int = 5,
    ) -> None:
        if not isinstance(weights, LossWeights):
            came = type(weights).__name__
            raise InputError(f"{NAME}: `weights` must be a LossWeights; got {came}.")
        if not (isinstance(voxel_size, (int, float)) and 0 < voxel_size < math.inf):
            raise InputError(f"{NAME}: `voxel_size` must be above 0 mm; got {voxel_size!r}.")
        self.similarity = MutualInformation(options)
        if options.constraint != "zero-mean":
            raise InputError(
                f"{NAME}: `options.constraint` must be 'zero-mean', without a pull at the border; "
                f"got {options.constraint!r}."
            )
        if volume_weight(options, 3) > 0:
            raise InputError(
                f"{NAME}: `options` must be those of a smooth map, without a volume term; got "
                f"regularity={options.regularity!r}, volume_weight={options.volume_weight!r}. Networks learn "
                "smooth maps; refine theirs by varreg.solve(start=..., regularity='fine')."
            )
        self.weights, self.options, self.voxel_size = weights, options, float(voxel_size)
        self.background_threshold = background_threshold
        self.inverse, self.inverse_iterations = inverse, inverse_iterations

    def __call__(
        self,
        moving_affine: Tensor,
        warped: Tensor,
        fixed: Tensor,
        displacement: Tensor | None,
        view: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        nodes: Tensor | None = None,
    ) -> Losses:
        """The loss and its terms. A term whose weight is 0 and that costs a warp is not computed: 0.

        Parameters
        ----------
        moving_affine : (N, 1, *S) tensor
            The moving image after the affine stage, in [0, 1].
        warped : (N, 1, *S) tensor
            The moving image after both.
        fixed : (N, 1, *S) tensor
            In [0, 1].
        displacement : (N, d, *S) tensor or None
            Of the deformable stages, in voxels; None for the affine stage, which has neither
            smoothness nor dual consistency.
        view : (N, 1, *S) tensor or None
            Share of each voxel in view of the moving image; None for 1.
        mask : (N, 1, *S) tensor or None
            Fixed mask, or weights in [0, 1].
        nodes : (N, d, *m) tensor or None
            The displacement, in voxels, at the nodes between which it is linear; the smoothness term
            is theirs. Between nodes far apart a term of high order would see nothing but kinks. None
            takes every voxel for a node.

        Returns
        -------
        Losses

        Raises
        ------
        InputError
        """
        weights = self.weights
        with without_autocast(fixed):
            information = self.similarity(warped, fixed, view, mask).mean()
            none = torch.zeros_like(information)
            rough = background = consistency = none
            if displacement is not None:
                rough = self._smoothness(displacement, nodes).mean()
            if weights.background > 0:
                background = background_suppression(
                    warped, fixed, self.background_threshold, mask
                ).mean()
            if displacement is not None and weights.consistency > 0:
                consistency = dual_consistency(
                    moving_affine, warped, displacement, self.inverse, self.inverse_iterations
                ).mean()
            total = weights.smoothness * rough - weights.similarity * information
            total = total + weights.background * background + weights.consistency * consistency
        return Losses(total, rough, information, background, consistency, none, none)

    def _smoothness(self, displacement: Tensor, nodes: Tensor | None) -> Tensor:
        """R of the displacement at its nodes, (N,)."""
        check_displacement(NAME, "displacement", displacement)
        nodes = displacement if nodes is None else nodes
        check_displacement(NAME, "nodes", nodes)
        if nodes.shape[:2] != displacement.shape[:2]:
            raise InputError(
                f"{NAME}: `nodes` must have the pairs and components of `displacement`, "
                f"{tuple(displacement.shape)}; got {tuple(nodes.shape)}."
            )
        shape = tuple(displacement.shape[2:])
        spacing = [n / m for n, m in zip(shape, nodes.shape[2:], strict=True)]
        length = self._length(shape)
        order = smoothness_order(self.options, len(shape))
        return smoothness(single_or_double(nodes), length, order, spacing)

    def _length(self, shape: tuple[int, ...]) -> float:
        """ell in voxels; without an option a share of the field of view."""
        if self.options.smoothness_length is not None:
            return self.options.smoothness_length / self.voxel_size
        return smoothness_length(Grid.with_spacing(shape), self.options)
