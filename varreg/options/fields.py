"""Validation of the option fields, and conversion to plain Python values."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ..errors import InputError
from .names import AXES, REGULARITIES, SIMILARITIES, WHOLE_NUMBERS
from .validation import (
    are_axes,
    are_choices,
    are_counts,
    are_levels,
    are_weights,
    as_tuple,
    check,
    check_choice,
    check_or_none,
    check_whole,
    is_range,
    is_real,
    is_up_to_large,
    is_weight,
    is_whole,
    named,
    plain_numbers,
)

if TYPE_CHECKING:
    from .options import Options

TUPLES = ("weights", "similarities", "axes", "fixed_range", "moving_range", "levels", "iterations")


def check_fields(options: Options) -> None:
    """Validate all fields; lists become tuples, and NumPy numbers Python numbers.

    Raises
    ------
    InputError
    """
    for name in TUPLES:
        as_tuple(options, name)
    _check_names(options)
    _check_numbers(options)
    _check_tuples(options)
    for field in dataclasses.fields(options):
        number = int if field.name in WHOLE_NUMBERS else float
        value = plain_numbers(getattr(options, field.name), number)
        object.__setattr__(options, field.name, value)


def _check_tuples(options: Options) -> None:
    for name, valid, wanted in (
        ("axes", are_axes, f"letters of {', '.join(AXES)}, or a weight from 0 to 1 for each axis, e.g. (0.1, 1, 0.1), or None"),
        ("weights", are_weights, "a number above 0 for each pair of images, or None"),
        ("fixed_range", is_range, "None or two finite numbers (low, high) with low < high"),
        ("moving_range", is_range, "None or two finite numbers (low, high) with low < high"),
        ("levels", are_levels, "None or decreasing factors >= 1, e.g. (4, 2, 1)"),
        ("iterations", are_counts, "a whole number >= 0, one per level, or None"),
    ):  # fmt: skip
        check(options, name, valid, wanted)


def _check_names(options: Options) -> None:
    if isinstance(options.similarities, tuple):
        known = tuple(named(name, SIMILARITIES) for name in options.similarities)
        object.__setattr__(options, "similarities", known)
    each = "one of " + ", ".join(SIMILARITIES) + " for each pair"
    check_or_none(options, "similarities", are_choices(tuple(SIMILARITIES)), each)
    if options.similarities is not None:
        object.__setattr__(options, "similarity", options.similarities[0])
    for name, choices in (
        ("similarity", tuple(SIMILARITIES)),
        ("regularity", REGULARITIES),
        ("constraint", ("zero-mean", "zero-boundary")),
        ("estimator", ("fine-histogram", "per-pixel")),
        ("interpolation", ("linear", "cubic")),
    ):
        check_choice(options, name, choices)
    whole = {options.similarity, *(options.similarities or ())} == {"mi"}
    if options.estimator == "per-pixel" and not whole:
        raise InputError(
            "`Options(estimator='per-pixel')` exists for whole images only; add similarity='mi'."
        )


def _check_numbers(options: Options) -> None:
    for name in ("similarity_weight", "points_weight", "rigidity_weight", "largest_step"):
        check(options, name, is_weight, "above 0, up to 1e30")
    for name in ("gradient_tolerance", "energy_tolerance"):
        check(options, name, lambda v: is_real(v) and 0 <= v < 1, "a number in [0, 1)")
    for name, valid, wanted in (
        ("smallest_determinant", lambda v: is_real(v) and 0 < v < 1, "a number in (0, 1)"),
        ("kernel_width", lambda v: is_real(v) and 0.05 <= v <= 100, "from 0.05 to 100"),
    ):
        check(options, name, valid, wanted)
    check_whole(options, "bins", 8, 1024)
    check_whole(options, "memory", 0, 1000)
    check_whole(options, "affine_iterations", 1, 1_000_000)
    for name, valid, wanted in (
        ("smoothness_weight", is_weight, "above 0, up to 1e30"),
        ("smoothness_length", is_up_to_large, "a length in mm, 0 for the paper's H1 energy"),
        ("smoothness_order", lambda v: is_whole(v, 2, 4), "a whole number from 2 to 4"),
        ("volume_weight", is_up_to_large, "from 0 to 1e30"),
        ("regions", lambda v: is_whole(v, 1, 64), "from 1 to 64"),
        ("samples_per_node", lambda v: is_real(v) and 1 <= v <= 1e30, "a number of voxels, at least 1"),
    ):  # fmt: skip
        check_or_none(options, name, valid, wanted)
