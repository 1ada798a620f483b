"""AT-Net asked in several ways, and mutual information to judge its answers.

A network that regresses an affine map errs by chance: of the same pair mirrored, it errs otherwise.
So it is asked about every mirrored view of the pair, and of its answers, their mean, and the map so
far, the one of the highest mutual information goes on.  The energy of the solver is the judge, so no
pass can make worse what the one before found.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from varreg.options.options import Options

from .affine import affine_displacement
from .affine_passes import after
from .losses.mutual_information import MutualInformation
from .spatial import view_weight, warp
from .views import symmetric_views, viewed


@torch.no_grad()
def search_affine(at_net: nn.Module, moving: Tensor, fixed: Tensor, passes: int = 1) -> Tensor:
    r"""The best affine map that AT-Net finds, (N, d, d + 1) on centred coordinates.

    Of a view G (:func:`learned.views.symmetric_views`), AT-Net sees :math:`M \circ G` and :math:`F \circ G`; its
    answer B stands for the map :math:`G B G^{-1}`.

    Parameters
    ----------
    at_net : nn.Module
        In evaluation mode.
    moving, fixed : (N, 1, \*S) tensors
        In [0, 1].
    passes : int
        Each begins at the best map of the one before.

    Examples
    --------
    >>> from learned.at_net import ATNet
    >>> moving, fixed = torch.rand(2, 1, 1, 64, 64)
    >>> search_affine(ATNet(width=1, shape=(64, 64)).eval(), moving, fixed).tolist()
    [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    """
    shape, d = tuple(moving.shape[2:]), moving.ndim - 2
    views = symmetric_views(shape)
    similarity = MutualInformation(Options(similarity="mi"))
    best = torch.eye(d, d + 1).to(moving).expand(len(moving), -1, -1)
    most = _information(similarity, moving, fixed, best[None])[0]
    for _ in range(passes):
        seen = warp(moving, affine_displacement(best, shape))
        answers = torch.stack([after(best, told) for told in _answers(at_net, seen, fixed, views)])
        candidates = torch.cat((answers, answers.mean(0, keepdim=True)))
        information = _information(similarity, moving, fixed, candidates)
        value, place = information.max(0)
        better = value > most
        chosen = candidates[place, torch.arange(len(place))]
        best = torch.where(better[:, None, None], chosen, best)
        most = torch.where(better, value, most)
    return best


def _answers(
    at_net: nn.Module, moving: Tensor, fixed: Tensor, views: Sequence[Tensor]
) -> list[Tensor]:
    """What AT-Net says of every view, as maps of the images as they are."""
    pair = torch.cat((moving, fixed), 1)
    seen = torch.cat([viewed(pair, view) for view in views])
    told = at_net(seen).to(moving.dtype).chunk(len(views))
    answers = []
    for view, answer in zip(views, told, strict=True):
        turn = view.to(answer)
        linear, shift = turn @ answer[..., :-1] @ turn.T, turn @ answer[..., -1:]
        answers.append(torch.cat((linear, shift), -1))
    return answers


def _information(
    similarity: MutualInformation, moving: Tensor, fixed: Tensor, candidates: Tensor
) -> Tensor:
    """Mutual information of each pair under each of its candidates, (K, N), all in one go."""
    several = (len(candidates), *[1] * (moving.ndim - 1))
    displacement = affine_displacement(candidates.flatten(0, 1), tuple(moving.shape[2:]))
    found = information_under(
        similarity, moving.repeat(several), fixed.repeat(several), displacement
    )
    return found.unflatten(0, candidates.shape[:2])


def information_under(
    similarity: MutualInformation, moving: Tensor, fixed: Tensor, displacement: Tensor
) -> Tensor:
    r"""Mutual information of each pair under a map, (N,) nats.

    Parameters
    ----------
    similarity : MutualInformation
    moving, fixed : (N, 1, \*S) tensors
    displacement : (N, d, \*S) tensor
        Voxels.
    """
    view = view_weight(displacement, tuple(moving.shape[2:]))
    return similarity(warp(moving, displacement), fixed, view)
