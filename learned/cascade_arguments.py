"""Arguments of a cascade: its scales, and how its affine network is asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from numbers import Real

from varreg.errors import InputError

#: Scales of the paper's groups 1 to 4 (Table 2): how many times coarser than the images.
GROUPS = {1: (1.0,), 2: (2.0, 1.0), 3: (4.0, 2.0, 1.0), 4: (8.0, 4.0, 2.0, 1.0)}

#: How AT-Net may be asked.
VIEWS = ("one", "symmetric")
#: Kinds of networks of the stages: :class:`learned.dt_net.DTNet`, :class:`learned.descent_net.DescentNet`.
NETWORKS = ("u-net", "descent")
#: How the passes of the stages see the pair.
PASS_VIEWS = ("one", "alternating")
#: From how many maps the coarse stages begin.
STARTS = ("one", "two")


def network_count(scales: Sequence[float], shared: bool) -> int:
    """Number of DT-Nets: one per scale, or one for all.

    Examples
    --------
    >>> network_count((4, 2, 1), shared=True), network_count((), shared=True)
    (1, 0)
    """
    return min(len(scales), 1) if shared else len(scales)


def check_affine_stage(scale: float, passes: int, views: str) -> None:
    """Refuse settings of the affine stage that are not possible."""
    good = isinstance(scale, Real) and 1 <= scale < math.inf
    if not good or not isinstance(passes, int) or passes < 1 or views not in VIEWS:
        raise InputError(
            "learned.Cascade: `affine_scale` must be a number from 1, `affine_passes` a whole number "
            f"from 1, `affine_views` 'one' or 'symmetric'; got {scale!r}, {passes!r} and {views!r}."
        )


def checked_scales(scales: Sequence[float]) -> tuple[float, ...]:
    """Scales as numbers, coarse to fine; another order or kind is an error."""
    good = isinstance(scales, Sequence) and all(
        isinstance(s, Real) and 1 <= s < math.inf for s in scales
    )
    if not good or any(a <= b for a, b in pairwise(scales)):
        raise InputError(
            "learned.Cascade: `scales` must be decreasing factors from 1, e.g. (4, 2, 1), or (); got "
            f"{scales!r}."
        )
    return tuple(map(float, scales))


def checked_iterations(
    iterations: Sequence[int] | None, scales: Sequence[float]
) -> tuple[int, ...]:
    """Passes of each stage; None or nothing is one of each.

    Examples
    --------
    >>> checked_iterations(None, (4, 2))
    (1, 1)
    """
    passes = tuple(iterations or (1,) * len(scales))
    good = all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in passes)
    if not good or len(passes) != len(scales):
        raise InputError(
            f"learned.Cascade: `iterations` must be {len(scales)} whole numbers from 1, one for each "
            f"scale of {tuple(scales)}; got {iterations!r}."
        )
    return passes


def check_stages(network: str, views: str, starts: str) -> None:
    """Refuse kinds of networks, views and starts that there are not."""
    for name, value, known in (
        ("network", network, NETWORKS), ("views", views, PASS_VIEWS), ("starts", starts, STARTS),
    ):  # fmt: skip
        if value not in known:
            raise InputError(
                f"learned.Cascade: `{name}` must be one of {', '.join(map(repr, known))}; got {value!r}."
            )
