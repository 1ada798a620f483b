"""Summary of a result in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..backends.compilation import duration_text
from ..geometry.affine_parts import affine_parts
from ..optimise.channel_report import channels_text
from ..optimise.check import first_line, remedies
from ..optimise.history import HeadMotion, Level, Stop
from ..optimise.lengths import length
from ..optimise.point_report import points_text
from ..optimise.rigidity_report import rigidity_text

if TYPE_CHECKING:
    from .result import Result


def summary(result: Result) -> str:
    """The text that ``print(result)`` shows.

    Parameters
    ----------
    result : Result
        In memory or loaded: the text is the same.

    Returns
    -------
    str
        One statement per line.
    """
    lines = [
        first_line(result.checks),
        remedies(result.checks),
        _subject(result),
        *result.notes,
        _start(result),
        "" if result.model is None else str(result.model),
        "" if result.regularity is None else str(result.regularity),
        _affine(result),
        _deformable(result),
    ]
    if result.levels:
        lines += [_energy(result), channels_text(result.channels), points_text(result.guides)]
        lines += [rigidity_text(result.rigidity), "Levels:"]
        lines += [f"  {level} ({level.seconds:.2f} s)." for level in result.levels]
        lines += [_ending(result.levels[-1], result.motion)]
    command = result.provenance.get("command")
    lines += [f"Command: {command}" if isinstance(command, str) else ""]
    lines += [_provenance(result), "Maps points of FIXED to MOVING (world mm, RAS+)."]
    return "\n".join(line for line in lines if line)


def _subject(result: Result) -> str:
    grid = result.transform.fixed
    moving = f"{result.moving_name} (moving)" if result.moving_name else "The moving image"
    fixed = f"{result.fixed_name} (fixed)" if result.fixed_name else "the fixed image"
    shape = " x ".join(map(str, grid.shape))
    spacing = " x ".join(f"{size:.3g}" for size in grid.spacing)
    return (
        f"{moving} was brought onto {fixed}, {shape} voxels of {spacing} mm; "
        f"{100 * result.overlap:.3g} % of them lie inside the moving image."
    )


def _start(result: Result) -> str:
    """Description of the start, if there is one."""
    start = result.start
    if start is None:
        return ""
    moved = ""
    if start.largest_moved > 0:
        moved = (
            ", resampled to the displacement grid, which moved points by "
            f"{length(start.mean_moved)} mm (at most {length(start.largest_moved)} mm)"
        )
    folded = "" if start.unfolding is None else f"; it FOLDED there and was {start.unfolding}"
    if start.unfolding is None and start.smallest_determinant <= 0:
        folded = (
            f"; it FOLDED as given (bound {start.smallest_determinant:.3f}), but not "
            "after resampling"
        )
    given = f"Start: {start.kind} of energy {start.energy.total:.4f}{moved}{folded}."
    if start.instead is None:
        return given
    return f"{given} It was NOT used: {start.instead} has less energy and was used instead."


def _affine(result: Result) -> str:
    if np.array_equal(result.affine, np.eye(len(result.affine))):
        return "Affine: the identity."
    degrees, scales, shift = affine_parts(result.affine, result.transform.fixed)
    sizes = " x ".join(f"{scale:.3f}" for scale in scales)
    found = any(level.stage == "affine" for level in result.levels)
    origin = "" if found else " (given)" if result.start is None else " (of the start)"
    return (
        f"Affine{origin}: rotation {degrees:.2f} degrees, scale {sizes}, "
        f"shift {length(shift)} mm at the centre."
    )


def _deformable(result: Result) -> str:
    nodes = result.transform.nodes
    if nodes is None:
        return "Deformable: none."
    bound = result.smallest_determinant
    folds = "it folds nowhere" if bound > 0 else "it may FOLD"
    if result.motion is None:  # of an earlier version, without its images: background included
        norm = np.linalg.norm(nodes, axis=0)  # u is multilinear, so that the maximum is at a node
        moves = f"u has mean {length(norm.mean())} mm, largest {length(norm.max())} mm"
    else:
        moves = (
            f"u moves the head by {length(result.motion.mean)} mm on average, at most "
            f"{length(result.motion.largest)} mm"
        )
    return f"Deformable: {moves}; {folds} (det(id + grad u) >= {bound:.3f} at every point)."


def _energy(result: Result) -> str:
    start, end = result.start_energy, result.energy
    return (
        f"Energy went from {start.total:.4f} to {end.total:.4f} ({result.similarity_name} "
        f"{end.terms})."
    )


def _ending(level: Level, motion: HeadMotion | None) -> str:
    """What the end of the last level implies for convergence, and what it does not."""
    if level.stop is Stop.IDENTICAL:
        return "The two images are identical voxel by voxel, so there was nothing to minimise."
    near = {
        Stop.GRADIENT: "near a stationary point",
        Stop.STATIONARY: "at a stationary point",
        Stop.STAGNATION: "where further steps gain almost nothing",
        Stop.BUDGET: "at its maximum number of steps",
        Stop.LINE_SEARCH: "where no step lowered the energy any more",
    }[level.stop]
    if motion is not None and motion.further is not None:
        left = f"20 further steps would move the head by about {motion.further:.2g} mm on average"
    else:
        left = f"gradient reduced to {100 * level.gradient_reduction:.2g} %"
    return (
        f"The solver stopped {near}; {left}. Convergence does not prove correctness: "
        "inspect the images."
    )


def _provenance(result: Result) -> str:
    known = result.provenance
    parts = [f"varreg {known['varreg']}"] if "varreg" in known else []
    place = f" on {known['device']}" if "device" in known else ""
    parts += [f"{known['backend']}{place}"] if "backend" in known else []
    if "threads" in known:
        parts.append(f"{known['threads']} thread{'' if known['threads'] == 1 else 's'}")
    return ", ".join([*parts, duration_text(result.seconds, result.compilation_seconds)]) + "."
