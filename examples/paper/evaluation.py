"""Figures of a method on test pairs: error, similarity, folds and time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import shared  # noqa: F401
import torch
from torch import Tensor

from learned.cascade import Cascade
from learned.data.datasets import Pair
from learned.inverse import fold_fraction, jacobian_determinant
from learned.losses.mutual_information import MutualInformation
from learned.spatial import view_weight, warp
from learned.validation import target_registration_error
from varreg.options.options import Options

Scores = dict[str, Any]
Run = Callable[[Pair], Tensor]
#: Preset of mutual information as in the code of the parent paper: 100 bins on [0, 1], nats.
ESTIMATOR = "cfir"


def scores(pair: Pair, total: Tensor) -> Scores:
    """Figures of a total displacement (d, *S), fixed -> moving, in voxels.

    Returns
    -------
    dict
        "tre": mean distance to the true map over the foreground in view, voxels; "mi": nats; "ncc":
        normalised cross-correlation of the warped and the fixed image in view; "folds": percentage
        of cells with folds; "determinant": smallest Jacobian determinant of the map.
    """
    total, moving, fixed = total[None].float(), pair.moving[None], pair.fixed[None]
    warped, view = warp(moving, total), view_weight(total, tuple(fixed.shape[2:]))
    similarity = MutualInformation(Options.preset(ESTIMATOR))
    error = target_registration_error(total, pair.truth[None], pair.visible[None])
    return {
        "tre": float(error),
        "mi": float(similarity(warped.clamp(0, 1), fixed, view)),
        "ncc": correlation(warped[view > 0.5], fixed[view > 0.5]),
        "folds": 100 * float(fold_fraction(total)),
        "determinant": float(jacobian_determinant(total).min()),
    }


def correlation(one: Tensor, other: Tensor) -> float:
    """Normalised cross-correlation of two tensors; 0 if one of them is constant."""
    a, b = (x.double() - x.double().mean() for x in (one, other))
    norm = float(a.norm() * b.norm())
    return float(a @ b) / norm if norm > 0 else 0.0


@torch.inference_mode()
def evaluated(run: Run | None, pairs: Iterable[Pair], gpu: Run | None = None) -> list[Scores]:
    """Figures of a method on every pair, with its time in seconds.

    Parameters
    ----------
    run : callable or None
        Function from a pair to the total displacement (d, *S); None: the true map.
    pairs : iterable of Pair
    gpu : callable, optional
        The same method on the GPU, to measure its time.
    """
    pairs = list(pairs)
    if run is None:
        return [{"subject": pair.subject, **scores(pair, pair.truth)} for pair in pairs]
    run(pairs[0])  # warm-up: loading and compilation
    found = []
    for pair in pairs:
        seconds, total = timed(lambda pair=pair: run(pair))
        found.append({"subject": pair.subject, **scores(pair, total), "cpu": seconds})
    if gpu is not None:
        gpu(pairs[0])
        for row, pair in zip(found, pairs, strict=True):
            row["gpu"] = timed(lambda pair=pair: gpu(pair), torch.cuda.synchronize)[0]
    return found


def timed(work: Callable[[], Any], wait: Callable[[], None] | None = None) -> tuple[float, Any]:
    """Time of a function in seconds, and its result."""
    if wait is not None:
        wait()
    start = time.perf_counter()
    result = work()
    if wait is not None:
        wait()
    return time.perf_counter() - start, result


def runs_of(cascade: Cascade) -> tuple[Run, Run | None]:
    """Cascade as a method, on the CPU and, if there is one, on the GPU."""

    def on(device: str) -> Run:
        def run(pair: Pair) -> Tensor:
            cascade.to(device)  # has no effect if it is there already
            images = pair.moving[None].to(device), pair.fixed[None].to(device)
            return cascade(*images).total[0].cpu()

        return run

    return on("cpu"), on("cuda") if torch.cuda.is_available() else None


def mean_and_deviation(values: Iterable[float]) -> list[float]:
    """Mean and sample standard deviation."""
    array = np.array(list(values), dtype=float)
    return [float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else 0.0]
