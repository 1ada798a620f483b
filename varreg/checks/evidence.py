"""Evidence about a result besides its energy: checks, motion, channels, points, rigid masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..backends.arrays import Array
from ..images.channels import Pair
from ..optimise.channel_report import ChannelReport
from ..optimise.check import Check
from ..optimise.history import HeadMotion
from ..optimise.point_report import PointReport, point_checks
from ..optimise.rigidity_report import RigidityReport, rigidity_checks
from ..stages.channel_values import channel_reports
from ..stages.guides import Guides
from ..stages.rigidity import shapes_kept
from ..transforms.transform import Transform
from .answer import Answer
from .checks import checks_of


@dataclass(frozen=True)
class Evidence:
    """The fields of the result with evidence of its correctness."""

    checks: tuple[Check, ...]
    motion: HeadMotion | None
    channels: tuple[ChannelReport, ...]
    guides: tuple[PointReport, ...]
    rigidity: RigidityReport | None


def evidence(
    answer: Answer,
    transform: Transform,
    pairs: Sequence[Pair],
    guides: Guides | None,
    recent: Array | None,
) -> Evidence:
    r"""Motion, rigidity, distances of points and checks of a result.

    Parameters
    ----------
    answer : Answer
    transform : Transform
        Its transform.
    pairs : sequence of (moving, fixed)
    guides : Guides or None
        Matching points.
    recent : (d, \*m) array or None
        Sum of the last steps, at the nodes.
    """
    problem, affine, nodes = answer.problem, answer.affine, answer.nodes
    checks = checks_of(answer)
    shapes = shapes_kept(problem, affine, nodes)
    checks = *checks, *rigidity_checks(shapes)
    points: tuple[PointReport, ...] = ()
    if guides is not None:
        points = guides.reports(transform.points(guides.points.fixed.T).T)
        checks = *checks, *point_checks(points, float(problem.fixed.grid.spacing.min()))
    channels = channel_reports(problem, pairs, affine, nodes)
    return Evidence(checks, answer.motion(recent), channels, points, shapes)
