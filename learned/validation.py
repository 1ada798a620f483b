"""Evaluation of a cascade: error and overlap where known, similarity and folds after each stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from .affine import affine_displacement, compose_affine
from .cascade import Cascade
from .data.datasets import Pair, PairDataset
from .devices import gather
from .inverse import fold_fraction
from .losses.mutual_information import MutualInformation
from .losses.supervised import label_dice
from .spatial import resize_field, view_weight, warp

if TYPE_CHECKING:
    from lightning_fabric import Fabric

#: Rows of the table that do not depend on the number of stages.
IDENTITY, AFFINE = "identity", "affine"
#: Measures of a row: title, unit and number of decimal places.
MEASURES = {
    "tre": ("error", "voxels", 2),
    "dice": ("Dice", "", 3),
    "mi": ("MI", "nats", 3),
    "folds": ("folds", "", 4),
}
Table = dict[str, dict[str, float]]


class Registered(NamedTuple):
    """Pair with its predicted maps, on the CPU.

    Attributes
    ----------
    pair : Pair
    maps : dict of str to (d, *S) tensor
        Displacement fixed -> moving in voxels: identity, affine map, and after each stage.
    warped : (1, *S) tensor
        Moving image warped by the last map.
    """

    pair: Pair
    maps: dict[str, Tensor]
    warped: Tensor


def total_maps(cascade: Cascade, moving: Tensor, fixed: Tensor) -> dict[str, Tensor]:
    """Displacement of the total map after each stage of a cascade.

    Parameters
    ----------
    cascade : Cascade
        Cascade in evaluation mode.
    moving, fixed : (N, 1, *S) tensors
        Images with intensities in [0, 1].

    Returns
    -------
    dict of str to (N, d, *S) tensor
        "identity", "affine", "stage 1", ...: fixed -> moving, voxels of the images.

    Examples
    --------
    >>> cascade = Cascade.build(shape=(32, 32), at_width=1, dt_width=1, scales=(2, 1)).eval()
    >>> image = torch.rand(1, 1, 32, 32)
    >>> list(total_maps(cascade, image, image))
    ['identity', 'affine', 'stage 1', 'stage 2']
    """
    prediction = cascade(moving, fixed)
    size = tuple(moving.shape[2:])
    affine = affine_displacement(prediction.affine, size)
    maps = {IDENTITY: torch.zeros_like(affine), AFFINE: affine}
    for number, displacement in enumerate(prediction.stages, start=1):
        maps[f"stage {number}"] = compose_affine(
            prediction.affine, resize_field(displacement, size)
        )
    return maps


def target_registration_error(displacement: Tensor, truth: Tensor, visible: Tensor) -> Tensor:
    r"""Mean target registration error over voxels, (N,), in voxels.

    .. math:: \mathrm{TRE} = \frac{1}{|V|} \sum_{x \in V} |u(x) - u^*(x)|

    Parameters
    ----------
    displacement, truth : (N, d, *S) tensors
        u and u*, voxels.
    visible : (N, 1, *S) bool tensor
        V: foreground with its counterpart in view.

    Examples
    --------
    >>> still, shift = torch.zeros(1, 2, 4, 4), torch.full((1, 2, 4, 4), 3.0)
    >>> shift[:, 1] = 4
    >>> target_registration_error(still, shift, torch.ones(1, 1, 4, 4, dtype=torch.bool)).tolist()
    [5.0]
    """
    distance = torch.linalg.vector_norm((displacement - truth).double(), dim=1, keepdim=True)
    inside = torch.where(visible, distance, 0.0).flatten(1).sum(1)
    return inside / visible.flatten(1).sum(1).clamp(min=1)


@torch.no_grad()
def register(cascade: Cascade, pair: Pair, device: torch.device | None = None) -> Registered:
    """Register one pair by a cascade in evaluation mode; its mode is restored afterwards."""
    was_training = cascade.training
    cascade.eval()
    try:
        moving, fixed = (image[None].to(device) for image in (pair.moving, pair.fixed))
        maps = total_maps(cascade, moving, fixed)
        last = list(maps)[-1]
        warped = warp(moving, maps[last])
    finally:
        cascade.train(was_training)
    return Registered(pair, {name: u[0].cpu() for name, u in maps.items()}, warped[0].cpu())


def evaluate(
    cascade: Cascade,
    dataset: PairDataset,
    similarity: MutualInformation,
    fabric: Fabric | None = None,
) -> Table:
    """Evaluate a cascade: one row per stage, means over all pairs.

    Each process registers its share of the pairs one by one, so that the figures depend neither on the number
    of processes nor on a batch size.

    Parameters
    ----------
    cascade : Cascade
        Cascade to evaluate.
    dataset : PairDataset
        Dataset, whose epoch 0 is used.
    similarity : MutualInformation
        Similarity measure.
    fabric : Fabric or None
        Processes that share the pairs; None: this process only, on the CPU.

    Returns
    -------
    dict of str to dict
        For "identity", "affine", "stage 1", ...: "tre" in voxels, over pairs with known map; "dice", mean overlap
        of structures, over pairs with labels; "mi" in nats; "folds", fraction of cells in which the total map
        folds.  Measures that no pair has are omitted.

    Examples
    --------
    >>> from learned.config import preset
    >>> from learned.data.parts import make_parts
    >>> from varreg.options.options import Options
    >>> cascade = Cascade.build(shape=(64, 64), at_width=1, dt_width=1, scales=(1,))
    >>> pairs = make_parts(preset("smoke")).validation
    >>> table = evaluate(cascade, pairs, MutualInformation(Options()))
    >>> table["stage 1"]["tre"] == table["identity"]["tre"]
    True
    """
    mine = {}
    rank, count = (0, 1) if fabric is None else (fabric.global_rank, fabric.world_size)
    device = None if fabric is None else fabric.device
    for index in range(rank, len(dataset), count):
        registered = register(cascade, dataset[0, index], device)
        mine[index] = figures_of(registered, similarity)
    rows = {index: row for part in gather(fabric, mine) for index, row in part.items()}
    return _mean([rows[index] for index in sorted(rows)])


def figures_of(registered: Registered, similarity: MutualInformation) -> Table:
    """Figures of all maps of one pair; :func:`evaluate` returns their means."""
    return {name: _row(registered, name, similarity) for name in registered.maps}


def value_of(table: Table) -> float:
    """Criterion of a validation, smaller is better: error of the last row, else minus Dice, else minus MI.

    Examples
    --------
    >>> value_of({"affine": {"dice": 0.6, "mi": 0.5}})
    -0.6
    """
    last = table[list(table)[-1]]
    return last["tre"] if "tre" in last else -last["dice" if "dice" in last else "mi"]


def change(table: Table) -> str:
    """Summary of the change by a registration, for reports.

    Examples
    --------
    >>> change({"identity": {"dice": 0.5}, "stage 1": {"dice": 0.75}}) == "Dice 0.500 \N{RIGHTWARDS ARROW} 0.750"
    True
    """
    first, *_, last = table.values()
    return ", ".join(
        f"{title} {first[m]:.{digits}f} \N{RIGHTWARDS ARROW} {last[m]:.{digits}f} {unit}".strip()
        for m, (title, unit, digits) in MEASURES.items()
        if m in first and m != "folds"
    )


def known_figures(pair: Pair, total: Tensor) -> dict[str, float]:
    """Error and overlap of a displacement (1, d, *S), if the pair has a known map or labels."""
    figures: dict[str, float] = {}
    if pair.known:
        error = target_registration_error(total, pair.truth[None], pair.visible[None])
        figures["tre"] = float(error)
    if pair.moving_labels.any() and pair.fixed_labels.any():
        maps = pair.moving_labels[None], pair.fixed_labels[None]
        figures["dice"] = float(label_dice(total.round(), *maps))  # by nearest neighbour
    return figures


def _row(registered: Registered, name: str, similarity: MutualInformation) -> dict[str, float]:
    """Figures of one map of one pair."""
    pair, total = registered.pair, registered.maps[name][None]
    warped = warp(pair.moving[None], total)
    view = view_weight(total, tuple(pair.fixed.shape[1:]))
    return {
        **known_figures(pair, total),
        "mi": float(similarity(warped, pair.fixed[None], view)),
        "folds": float(fold_fraction(total)),
    }


def _mean(rows: Sequence[dict[str, dict[str, Any]]]) -> Table:
    """Means over the pairs that have a measure, summed in the order of the pairs."""
    table: Table = {}
    for name in rows[0]:
        found = {m: [row[name][m] for row in rows if m in row[name]] for m in MEASURES}
        table[name] = {m: sum(values) / len(values) for m, values in found.items() if values}
    return table
