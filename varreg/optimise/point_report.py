"""Report of the distances between matching points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .check import Check
from .lengths import length

#: A distance above this multiple of the median of the others, and above this many voxels, suggests a misplaced point.
RATIO, VOXELS = 3.0, 3.0
#: Most points that are listed individually.
MOST = 20


@dataclass(frozen=True)
class PointReport:
    """Distances of a pair of matching points.

    Attributes
    ----------
    name : str
        Name of the point, or its number from 1.
    weight : float
        Weight as given.
    before, after : float
        Distance (mm) between the points before registration, and between the mapped fixed point and the moving point.
    """

    name: str
    weight: float
    before: float
    after: float


def points_text(points: Sequence[PointReport]) -> str:
    """Text of the report, points in decreasing order of distance.

    >>> print(points_text([PointReport("AC", 1.0, 8.0, 0.4), PointReport("PC", 2.0, 9.0, 0.6)]))
    Points: 2 guides, median distance 8.5 mm before, 0.50 mm after, largest 0.60 mm.
      PC: 0.60 mm (weight 2).
      AC: 0.40 mm (weight 1).
    """
    if not points:
        return ""
    before, after = (np.array([getattr(p, name) for p in points]) for name in ("before", "after"))
    lines = [
        f"Points: {len(points)} guides, median distance {length(float(np.median(before)), 1)} "
        f"mm before, {length(float(np.median(after)))} mm after, largest "
        f"{length(float(after.max()))} mm."
    ]
    farthest = sorted(points, key=lambda p: -p.after)
    lines += [f"  {p.name}: {length(p.after)} mm (weight {p.weight:g})." for p in farthest[:MOST]]
    if len(points) > MOST:
        lines.append(f"  and {len(points) - MOST} with smaller distances.")
    return "\n".join(lines)


def point_checks(points: Sequence[PointReport], voxel: float) -> tuple[Check, ...]:
    """Warnings about points with a much larger distance than the others, which may be misplaced.

    Parameters
    ----------
    points : sequence of PointReport
    voxel : float
        Voxel size of the fixed image, mm.
    """
    if len(points) < 3:
        return ()
    found = []
    for k, one in enumerate(points):
        others = float(np.median([p.after for j, p in enumerate(points) if j != k]))
        limit = max(RATIO * others, VOXELS * voxel)
        if one.after > limit:
            found.append(
                Check(
                    f"point {one.name}", one.after, limit, False,
                    f"Point {one.name} is {length(one.after, 1)} mm from its mapped position, "
                    f"the others {length(others)} mm in the median.",
                    "Check it in both images: it may be misplaced, or on the wrong side.",
                )
            )  # fmt: skip
    return tuple(found)
