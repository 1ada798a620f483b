"""Checks of the energy: its split, and what it is against nothing done and nothing shared."""

from __future__ import annotations

import numpy as np

from ..energy.affine import AffineObjective
from ..images.level_image import LevelImage
from ..optimise.check import Check
from ..stages.problem import Problem
from ..stages.pyramid import smoothness_weight
from .alternatives import MEASURE, Alternatives
from .answer import Answer

#: Similarities in nats of what is shared.
INFORMATION = ("regional-mi", "mi", "nmi")
#: Largest smoothness term, in shares of the similarity term.
SMOOTHNESS = 0.065
#: Least share of the fixed voxels in view that is divided by.
LEAST_VIEW = 0.1
#: Least energy that the affine part gains over the headers, in shares of it; less than its own noise is no loss.
GAIN = -0.02
#: Least similarity, in units of what the images share with the moving voxels in random places.
SHARED = 6.0
#: Similarity (nats) that no permutation reaches, in units of the same: it is not asked for one.
PLENTY = 0.15
#: Of the permutation; and the least (nats) that its similarity counts for.
SEED, LEAST_CHANCE = 0, 1e-3


def smoothness(answer: Answer) -> Check | None:
    """mu R against lambda S; None unless S is an information and positive."""
    options, energy = answer.problem.options, answer.energy
    # what is out of view has nothing to share, and would make it dear
    gained = options.similarity_weight * energy.similarity / max(answer.in_view, LEAST_VIEW)
    if not set(answer.problem.names) <= set(INFORMATION) or gained <= 0:
        return None
    cost = smoothness_weight(options, answer.problem.fixed.grid.dim) * energy.smoothness
    share = cost / gained
    return Check(
        "smoothness", share, SMOOTHNESS, share <= SMOOTHNESS,
        f"The smoothness term is {100 * share:.1f} % of the similarity term"
        + (f"; above {100 * SMOOTHNESS:.1f} % the deformation costs more than correct ones do." if share > SMOOTHNESS else "."),
        ("The affine part may be wrong, or the images show different anatomy: inspect the "
        "affine stage alone (deformable=False)."),
    )  # fmt: skip


def worse_than_nothing(answer: Answer) -> Check:
    """The affine part against the place where the headers put the images."""
    headers, affine = answer.identity.total, answer.affine_alone.total
    gain = (headers - affine) / max(abs(headers), LEAST_CHANCE)
    return Check(
        "affine gain",
        gain,
        GAIN,
        gain >= GAIN,
        f"The energy is {affine:.4f} after affine, {headers:.4f} before"
        + (": the affine part makes it worse." if gain < GAIN else "."),
        "Pass affine=None if the headers are right, or start='header'.",
    )


def shared(answer: Answer, alternatives: Alternatives) -> Check:
    """The similarity of the affine part against what is left with the moving voxels in random places."""
    here = alternatives.here.similarity
    # so much is shared by chance in small images at most, and permuting takes its time
    chance = PLENTY / SHARED if here >= PLENTY else _by_chance(answer, alternatives.judge)
    ratio = here / max(chance, LEAST_CHANCE)
    return Check(
        "shared",
        ratio,
        SHARED,
        ratio >= SHARED,
        f"After affine the images share {here:.3f} nats; {SHARED:g} times the value by chance "
        f"is {SHARED * chance:.3f}" + ("." if ratio >= SHARED else ": hardly more than chance."),
        "Check that both images show the same anatomy.",
    )  # fmt: skip


def _by_chance(answer: Answer, factor: float) -> float:
    """The similarity of the affine part after a permutation of the moving voxels."""
    problem = answer.problem
    fixed, moving = problem.level(factor)
    random = np.random.default_rng(SEED)
    mixed = random.permutation(moving.data.ravel()).reshape(moving.data.shape)
    there = LevelImage(mixed, moving.mask, moving.grid)
    options = problem.options.replace(levels=(1.0,))
    apart = Problem(fixed, there, options, problem.kernels, problem.threads)
    return (
        AffineObjective(apart.similarity(1.0, MEASURE), "translation")
        .evaluate(answer.affine)
        .energy.similarity
    )
