"""Checks of the energy: its terms, and comparison with the identity and with independent images."""

from __future__ import annotations

import numpy as np

from ..energy.affine import AffineObjective
from ..images.level_image import LevelImage
from ..optimise.check import Check
from ..stages.problem import Problem
from ..stages.pyramid import smoothness_weight
from .alternatives import MEASURE, Alternatives
from .answer import Answer

#: Similarities that measure shared information in nats.
INFORMATION = ("regional-mi", "mi", "nmi")
#: Largest smoothness term, as a multiple of the similarity term.
SMOOTHNESS = 0.065
#: Lower limit for the share in view when dividing by it.
LEAST_VIEW = 0.1
#: Smallest relative gain of the affine part over the headers; smaller losses are within noise.
GAIN = -0.02
#: Smallest similarity, in units of the similarity after random permutation of the moving voxels.
SHARED = 6.0
#: Similarity (nats), in the same units, above which the permutation is not computed.
PLENTY = 0.15
#: Seed of the permutation; and lower limit (nats) of its similarity.
SEED, LEAST_CHANCE = 0, 1e-3


def smoothness(answer: Answer) -> Check | None:
    """mu R relative to lambda S; None unless S measures information and is positive."""
    options, energy = answer.problem.options, answer.energy
    # voxels out of view share no information, and would overstate the relative cost
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
    """The affine part compared with the header geometry."""
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
    """The similarity of the affine part compared with that after random permutation of the moving voxels."""
    here = alternatives.here.similarity
    # chance similarity reaches this only in small images, and the permutation is expensive
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
