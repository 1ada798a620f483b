"""Inverses of the displacement of a network: time and residual."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import shared  # noqa: F401
import torch
from evaluation import timed
from torch import Tensor
from trainings import Record, Study, Variant

from learned.cascade import Cascade
from learned.data.datasets import Pair
from learned.inverse import inverse_displacement, inverse_residual

Inverse = Callable[[Tensor], Tensor]
#: Formulas for the inverse of any displacement (N, d, *S).
FORMULAS: dict[str, Inverse] = {
    "paper": lambda u: inverse_displacement(u, "paper"),
    "minus": torch.neg,
    "fixed-point-5": lambda u: inverse_displacement(u, iterations=5),
    "fixed-point-20": lambda u: inverse_displacement(u, iterations=20),
}


def inverse_figures(study: Study, variant: Variant, formula: str | None) -> Record:
    """Time of network and inverse, and residual of the inverse, on all test pairs.

    Parameters
    ----------
    study : Study
    variant : Variant
        Network with one stage at the resolution of the images.
    formula : str or None
        One of :data:`FORMULAS`; None: the inverse predicted by the network itself.

    Returns
    -------
    dict
        "pairs", each with "cpu" (seconds, without AT-Net), "inverse" (seconds of the formula alone), "gpu"
        if there is one, and "residual" and "worst": mean and largest distance from x to
        x + v(x) + u(x + v(x)) over the foreground, voxels.
    """
    key = f"inverse-{formula or 'own'}-{study.key(variant)}"
    return study.recorded(
        key, lambda: {"pairs": _measured(study.cascade(variant), study.pairs, formula)}
    )


@torch.inference_mode()
def _measured(cascade: Cascade, pairs: list[Pair], formula: str | None) -> list[dict[str, Any]]:
    # the first pair twice, as a warm-up
    found = [_of_pair(cascade, pair, formula) for pair in pairs[:1] + pairs][1:]
    if torch.cuda.is_available():
        cascade.to("cuda")
        for index, (entry, pair) in enumerate(zip(found, pairs, strict=True)):
            work = _work(cascade, _seen(cascade, pair, "cuda"), formula)
            if not index:
                work()
            entry["gpu"] = timed(work, torch.cuda.synchronize)[0]
    return found


def _of_pair(cascade: Cascade, pair: Pair, formula: str | None) -> dict[str, Any]:
    seconds, (u, v) = timed(_work(cascade, _seen(cascade, pair, "cpu"), formula))
    alone = None if formula is None else timed(lambda: FORMULAS[formula](u))[0]
    residual = inverse_residual(u, v)[0][pair.visible].double().numpy()
    return {
        "subject": pair.subject,
        "cpu": seconds,
        "inverse": alone,
        "residual": float(np.mean(residual)),
        "worst": float(np.max(residual)),
    }


def _work(
    cascade: Cascade, seen: Tensor, formula: str | None
) -> Callable[[], tuple[Tensor, Tensor]]:
    """Function that computes the displacement and its inverse for a pair after AT-Net."""
    net: Any = cascade.dt_nets[0]

    def work() -> tuple[Tensor, Tensor]:
        if formula is None:
            return net.with_inverse(seen)
        u = net(seen)
        return u, FORMULAS[formula](u)

    return work


def _seen(cascade: Cascade, pair: Pair, device: str) -> Tensor:
    """Input of the network: the moving image after AT-Net, and the fixed image."""
    moving, fixed = (image[None].to(device) for image in (pair.moving, pair.fixed))
    return torch.cat((cascade(moving, fixed).warped_affine, fixed), 1)
