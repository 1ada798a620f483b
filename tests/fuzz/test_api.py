"""Arguments of any kind, in any place: an answer, or a refusal that names function and argument."""

import numpy as np
import pytest

import varreg

from ..varreg.children import needs_fork
from .running import odd, run_cases

pytestmark = [pytest.mark.slow, needs_fork]

GRID = varreg.Grid.with_spacing((20, 22))


def pictures():
    x, y = np.mgrid[:20, :22]
    fixed = np.exp(-((x - 9.0) ** 2 + (y - 11.0) ** 2) / 30)
    return 1 - fixed, fixed


MOVING, FIXED = pictures()
FAST = dict(iterations=1, progress=False, threads=1)


class Odd:
    """An object that is nothing in particular, and is not equal to anything."""

    def __repr__(self):
        return "Odd()"

    def __len__(self):
        raise RuntimeError("no length")


def values(random):
    """Something of any type."""
    made = (
        lambda: None, lambda: True, lambda: odd(random), lambda: int(random.integers(-9, 99)), lambda: 2**70,
        lambda: "", lambda: "affine", lambda: "abc\0", lambda: b"bytes", lambda: 1j, lambda: [], lambda: (),
        lambda: {}, lambda: {"a": 1}, lambda: [1, "a"], lambda: Odd(), lambda: Odd, lambda: len, lambda: iter([]),
        lambda: np.zeros(0), lambda: np.zeros((20, 22)), lambda: np.eye(3), lambda: np.eye(4) * odd(random),
        lambda: np.full((20, 22), odd(random)), lambda: np.zeros((2, 20, 22)), lambda: np.ones((20, 22), bool),
        lambda: np.zeros((20, 22), complex), lambda: np.array(["a"]), lambda: np.array([None, {}], object),
        lambda: np.random.default_rng(0).random((3, 4, 5)), lambda: np.float32(odd(random)), lambda: np.array(3.0),
        lambda: np.ma.masked_array(FIXED, FIXED > 0.5), lambda: np.zeros((20, 22), "M8[s]"), lambda: (1, 2, 3, 4),
        lambda: varreg.Image.from_array(FIXED), lambda: GRID, lambda: varreg.Transform(GRID, GRID, np.eye(3)),
        lambda: [varreg.Transform(GRID, GRID, np.eye(3))] * 2, lambda: slice(3), lambda: "/", lambda: "/nonexistent/a.nii",
        lambda: "/dev/null", lambda: range(3), lambda: np.iinfo(int), lambda: float, lambda: frozenset([1]),
        lambda: np.zeros((2, 2, 2, 2, 2)), lambda: np.zeros((1, 1)), lambda: np.zeros((20, 22), ">i4"),
    )  # fmt: skip
    return made[random.integers(len(made))]()


WORDS = (
    "mi", "regional-mi", "nmi", "lncc", "mind", "ssd", "zero-boundary", "cubic", "per-pixel", "rigid", "moments",
    "paper", "cfir", "fast", "numpy",
)  # fmt: skip


def likely(random):
    """Something that may well be meant."""
    made = (
        lambda: odd(random), lambda: abs(odd(random)), lambda: int(random.integers(0, 9)), lambda: None,
        lambda: bool(random.integers(2)), lambda: tuple(sorted(random.normal(0, 2, 2).tolist())),
        lambda: (odd(random), odd(random)), lambda: WORDS[random.integers(len(WORDS))],
        lambda: float(random.uniform(0, 4)),
    )  # fmt: skip
    return made[random.integers(len(made))]()


SOLVE = (
    "fixed_mask", "moving_mask", "start", "affine", "deformable", "options", "preset", "backend", "threads",
    "callback",
)  # fmt: skip
#: Fields of the options whose absurd values cost no more than a step or two.
OPTIONS = (
    "similarity", "regions", "similarity_weight", "smoothness_weight", "smoothness_length", "smoothness_order",
    "regularity", "volume_weight", "constraint", "estimator", "kernel_width", "fixed_range", "moving_range", "interpolation", "samples_per_node",
    "levels", "memory", "gradient_tolerance", "energy_tolerance", "largest_step", "smallest_determinant",
)  # fmt: skip


def solving(random):
    drawn = likely if random.random() < 0.7 else values
    given = {
        str(name): drawn(random) for name in random.choice(SOLVE + OPTIONS, random.integers(1, 3))
    }
    if callable(given.get("callback")):  # what it raises is the caller's own
        del given["callback"]
    images = [MOVING, FIXED]
    if random.random() < 0.3:
        images[random.integers(2)] = values(random)
    return lambda: varreg.solve(*images, **{**FAST, **given})


def certifying(random):
    transform = values(random) if random.random() < 0.5 else np.eye(3)
    given = {
        str(name): values(random)
        for name in random.choice(("fixed_mask", "moving_mask", "seed", "preset"), 1)
    }
    given = {} if random.random() < 0.3 else given
    return lambda: varreg.certify(MOVING, FIXED, transform, iterations=1, threads=1, **given)


def using(random):
    """Methods of transforms, images and grids, with anything in one place."""
    map_, value, other = varreg.Transform(GRID, GRID, np.eye(3)), values(random), values(random)
    calls = (
        lambda: map_.warp(value), lambda: map_.warp(FIXED, value), lambda: map_.warp(FIXED, fill=value),
        lambda: map_.warp_labels(value), lambda: map_.warp_labels(FIXED > 0.5, value), lambda: map_.points(value),
        lambda: map_.points([[1.0, 2.0]], value), lambda: map_.inverse(value), lambda: map_.inverse(iterations=value),
        lambda: map_.inverse(method=value), lambda: varreg.Transform(GRID, GRID, value),
        lambda: varreg.Transform(GRID, GRID, np.eye(3), value), lambda: varreg.Grid(value, np.eye(3)),
        lambda: varreg.Grid((4, 4), value), lambda: varreg.Grid.with_spacing((4, 4), value),
        lambda: varreg.Image.from_array(value), lambda: varreg.Image.from_array(FIXED, spacing=value),
        lambda: varreg.Image.from_array(FIXED, affine=value), lambda: varreg.load(value),
        lambda: varreg.read_transform(value, GRID, GRID), lambda: varreg.read_transform(value, other, GRID),
        lambda: varreg.read_transform(map_, GRID, GRID, format=value),
        lambda: varreg.read_transform(map_, GRID, GRID, invert=value),
        lambda: varreg.write_transform(value, "/nonexistent/a"),
        lambda: varreg.write_transform(map_, "/nonexistent/a", value), lambda: varreg.Options(iterations=value),
        lambda: varreg.Options(bins=value), lambda: varreg.Options.preset(value),
        lambda: list(varreg.iterate_batch(value, **FAST)), lambda: varreg.solve_batch([(MOVING, value)], **FAST),
        lambda: varreg.solve_batch([(MOVING, FIXED)], errors=value, **FAST),
        lambda: varreg.Certificate.from_json(value), lambda: varreg.Certificate.load(value),
    )  # fmt: skip
    return calls[random.integers(len(calls))]


def test_solve():
    varreg.solve(MOVING, FIXED, **FAST)
    run_cases("arguments of solve", 500, solving, least_fine=0.02, seconds=60)


def test_certify():
    run_cases("arguments of certify", 100, certifying, least_fine=0.03)


def test_everything_else():
    run_cases("arguments of methods", 900, using, least_fine=0.02)
