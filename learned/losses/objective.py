r"""Training loss: the paper's terms with its weights, or the solver's energy.

.. math:: \mathcal L = \lambda_1 R(u) - \lambda_2\,\mathrm{MI}(F, M_w) + \lambda_3\,B(F, M_w)
          + \lambda_4\,C(M_A, M_w, u),

eq. (12) of doi 10.3390/math14122131.  With :math:`\lambda_3 = \lambda_4 = 0` it is the energy (13)
that :func:`varreg.solve` minimises, with the same value for the same options.
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
    """Weights of the loss terms, by default those of the paper (its Table 4).

    Parameters
    ----------
    smoothness : float
        lambda_1, weight of the smoothness term.
    similarity : float
        lambda_2, weight of mutual information (nats), which is subtracted.
    background : float
        lambda_3, weight of background suppression.
    consistency : float
        lambda_4, weight of dual consistency.

    Raises
    ------
    InputError
        If a weight is negative or not finite.
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
                    f"learned.losses.LossWeights: `{field.name}` must be a number >= 0; got {weight!r}."
                )

    @classmethod
    def energy(cls, options: Options, dimension: int = 2) -> LossWeights:
        """Weights of the solver's energy, -lambda MI + mu R; the default of mu depends on the `dimension`.

        Examples
        --------
        >>> from varreg.options.options import Options
        >>> LossWeights.energy(Options(similarity_weight=2.0))
        LossWeights(smoothness=0.35, similarity=2.0, background=0.0, consistency=0.0)
        """
        mu = smoothness_weight(options, dimension)
        return cls(mu, options.similarity_weight, 0.0, 0.0)


class Losses(NamedTuple):
    """Loss and unweighted terms, each the mean over the batch, of shape ()."""

    total: Tensor
    smoothness: Tensor
    similarity: Tensor  # nats; larger is better
    background: Tensor
    consistency: Tensor
    known_map: Tensor  # voxels of the images; only for pairs with a known map, see learned.losses.supervised
    dice: Tensor  # label overlap, larger is better; only for pairs with labels


class Objective:
    """Loss of a batch. It has no trainable parameters; values that are not finite are propagated.

    The options choose mutual information and smoothness: ``Options.preset("paper")`` and
    ``("cfir")`` have the paper's H1 term, the others an additional high-order term.

    Parameters
    ----------
    weights : LossWeights
    options : varreg.Options
        Similarity, estimator, smoothness length and order; an open regularity means a smooth map.
        ``constraint`` must be "zero-mean", ``volume_weight`` 0 or None.
    voxel_size : float
        Voxel size of the grid in mm; it converts the smoothness length of the options to voxels.
    background_threshold : float
        Voxels of the fixed image below this intensity in [0, 1] are background.
    inverse : {"fixed-point", "paper"}
        Method of inversion in the dual consistency.
    inverse_iterations : int
        Number of fixed-point iterations.

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
            received = type(weights).__name__
            raise InputError(f"{NAME}: `weights` must be a LossWeights; got {received}.")
        if not (isinstance(voxel_size, (int, float)) and 0 < voxel_size < math.inf):
            raise InputError(f"{NAME}: `voxel_size` must be above 0 mm; got {voxel_size!r}.")
        self.similarity = MutualInformation(options)
        if options.constraint != "zero-mean":
            raise InputError(
                f"{NAME}: `options.constraint` must be 'zero-mean', so that the border is free; "
                f"got {options.constraint!r}."
            )
        if volume_weight(options, 3) > 0:
            raise InputError(
                f"{NAME}: `options` must describe a smooth map, without a volume term; got "
                f"regularity={options.regularity!r}, volume_weight={options.volume_weight!r}. Networks predict "
                "smooth maps; refine a prediction by varreg.solve(start=..., regularity='fine')."
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
        """Loss and its terms. Background and consistency are 0, and not computed, if their weight is 0.

        Parameters
        ----------
        moving_affine : (N, 1, *S) tensor
            Moving image after the affine stage, in [0, 1].
        warped : (N, 1, *S) tensor
            Moving image after the affine and the deformable stages.
        fixed : (N, 1, *S) tensor
            Fixed image, in [0, 1].
        displacement : (N, d, *S) tensor or None
            Displacement of the deformable stages, in voxels; None for the affine stage, which has neither
            smoothness nor dual consistency.
        view : (N, 1, *S) tensor or None
            Share of each voxel in view of the moving image; None for 1.
        mask : (N, 1, *S) tensor or None
            Fixed mask, or weights in [0, 1].
        nodes : (N, d, *m) tensor or None
            Displacement, in voxels, at the nodes between which it is interpolated linearly. Smoothness is
            computed at the nodes: at the voxels a high-order term would measure only the kinks of the
            interpolation. None: every voxel is a node.

        Returns
        -------
        Losses
            Total and terms, means over the batch.

        Raises
        ------
        InputError
            If shapes differ or values are out of range.
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
        """Smoothness R of the displacement at its nodes, (N,)."""
        check_displacement(NAME, "displacement", displacement)
        nodes = displacement if nodes is None else nodes
        check_displacement(NAME, "nodes", nodes)
        if nodes.shape[:2] != displacement.shape[:2]:
            raise InputError(
                f"{NAME}: `nodes` must have the batch size and the components of `displacement`, "
                f"{tuple(displacement.shape)}; got {tuple(nodes.shape)}."
            )
        shape = tuple(displacement.shape[2:])
        spacing = [n / m for n, m in zip(shape, nodes.shape[2:], strict=True)]
        length = self._length(shape)
        order = smoothness_order(self.options, len(shape))
        return smoothness(single_or_double(nodes), length, order, spacing)

    def _length(self, shape: tuple[int, ...]) -> float:
        """Smoothness length in voxels; by default a fraction of the field of view."""
        if self.options.smoothness_length is not None:
            return self.options.smoothness_length / self.voxel_size
        return smoothness_length(Grid.with_spacing(shape), self.options)
