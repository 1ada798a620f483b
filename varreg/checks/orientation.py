"""Checks against other orientations: rotated, mirrored, and re-centred."""

from __future__ import annotations

from ..optimise.check import Check
from ..optimise.lengths import length
from .alternatives import SAME, Alternative, Alternatives

#: Similarity of an alternative, relative to the result, above which it is better: rotated or re-centred, mirrored
#: (heads are nearly symmetric, in particular between subjects), and above which it is equivalent.
BETTER, MIRRORED, ALIKE = 1.04, 1.01, 0.95
#: Alternatives below this are not refined: re-centred, rotated, mirrored.
WORTH = 0.6, 0.82, 0.97


def orientations(alternatives: Alternatives) -> tuple[Check, ...]:
    """The checks, in the order of their names.

    Parameters
    ----------
    alternatives : Alternatives
        With a similarity that is positive for the result.
    """
    here, size = alternatives.here.similarity, alternatives.answer.head.size
    turned, mirrored = alternatives.turned(WORTH[1]), alternatives.mirrored(WORTH[2])
    best, placement = here, None
    # rarely needed: for a correct result it converges to the result itself
    odd = max(turned.similarity, mirrored.similarity) > here
    if odd or alternatives.replaced > SAME * size:
        placement = alternatives.placed(WORTH[0])
        best = max(here, placement.similarity)
    return (
        _placed(alternatives, placement, here, size),
        _turned(alternatives, turned, best, size),
        _mirrored(mirrored, best),
    )


def _placed(
    alternatives: Alternatives, placement: Alternative | None, here: float, size: float
) -> Check:
    value = 1.0
    if placement is not None and alternatives.apart(placement.matrix) > SAME * size:
        value = placement.similarity / here
    passed = value <= BETTER
    fact = (
        "A start with aligned centres gives no better affine map."
        if passed
        else f"Started with aligned centres, an affine map reaches {value:.2f} times the similarity, "
        f"{length(alternatives.apart(placement.matrix), 0)} mm away on average."  # type: ignore[union-attr]
    )
    return Check(
        "placement", value, BETTER, passed, fact, "Pass start='moments' or start='centres'."
    )


def _turned(alternatives: Alternatives, turned: Alternative, best: float, size: float) -> Check:
    value = turned.similarity / best
    if alternatives.apart(turned.matrix) <= SAME * size:
        value = min(value, ALIKE)
    if value > BETTER:
        fact = (
            f"Rotated by 90 or 180 degrees the head fits better: {value:.2f} times the similarity."
        )
        remedy = "Check the orientation in the headers; pass the rotation as `start` (a matrix)."
    else:
        fact = f"Rotated by 90 or 180 degrees the head has at most {value:.2f} times the similarity"
        fact += "." if value <= ALIKE else ": hardly less, so the orientation is ambiguous."
        remedy = (
            "Check that both images show the same anatomy; pass a `start` (a matrix) if the "
            "orientation is known."
        )
    return Check("orientation", value, ALIKE, value <= ALIKE, fact, remedy)


def _mirrored(mirrored: Alternative, best: float) -> Check:
    value = mirrored.similarity / best
    fact = f"Mirrored the head has {value:.2f} times the similarity"
    fact += "." if value <= MIRRORED else ": left and right may be exchanged."
    return Check(
        "mirror", value, MIRRORED, value <= MIRRORED, fact,
        "Check left and right in the headers, or mirror one of the images.",
    )  # fmt: skip
