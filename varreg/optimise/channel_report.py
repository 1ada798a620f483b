"""Report of the similarity of each of several pairs of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ChannelReport:
    """Similarity of one of several jointly registered pairs of images.

    Attributes
    ----------
    moving, fixed : str
        File names; "" for arrays.
    similarity : str
        Name of the similarity of the pair, as in the options.
    weight : float
        Weight in the mean; the weights sum to 1.
    start, end : float
        Similarity (nats) of the pair at the finest level, before registration and after it.
    """

    moving: str
    fixed: str
    similarity: str
    weight: float
    start: float
    end: float


def channels_text(channels: Sequence[ChannelReport]) -> str:
    """Text of the report of several pairs; empty for a single pair.

    >>> print(channels_text([ChannelReport("t2", "t1", "mi", 0.75, 0.1, 0.4), ChannelReport("", "", "mi", 0.25, 0.2, 0.3)]))
    Similarity: weighted mean of 2 pairs.
      t2 and t1: weight 0.75, mi from 0.1000 to 0.4000 nats.
      pair 2: weight 0.25, mi from 0.2000 to 0.3000 nats.
    """
    if not channels:
        return ""
    lines = [f"Similarity: weighted mean of {len(channels)} pairs."]
    for number, one in enumerate(channels, 1):
        named = f"{one.moving} and {one.fixed}" if one.moving and one.fixed else f"pair {number}"
        lines.append(
            f"  {named}: weight {one.weight:.3g}, {one.similarity} from {one.start:.4f} to {one.end:.4f} nats."
        )
    return "\n".join(lines)
