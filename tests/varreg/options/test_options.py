"""Options refuse what makes no sense, by name, and compare by value."""

import dataclasses
import json
import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from varreg.errors import InputError, VarregError
from varreg.options.changes import Changes
from varreg.options.options import Options
from varreg.options.presets import BY_DIMENSION, PRESETS

POSITIVE = ["similarity_weight", "points_weight", "rigidity_weight", "kernel_width", "largest_step"]
FRACTIONS = ["gradient_tolerance", "energy_tolerance", "smallest_determinant"]
WHOLE = ["bins", "memory", "affine_iterations"]
CHOICES = ["similarity", "regularity", "constraint", "estimator", "interpolation"]
RANGES = ["fixed_range", "moving_range"]
NOT_NUMBERS = [
    np.nan,
    np.inf,
    -np.inf,
    -1,
    "1",
    b"1",
    True,
    np.bool_(True),
    [],
    [1.0],
    {},
    ...,
    1j,
]
NOT_NUMBERS += [np.array([1.0]), np.array([1.0, 2.0]), np.complex128(1), "", len, type]

BAD = {
    **{name: [*NOT_NUMBERS, None, 0, 0.0] for name in POSITIVE},
    **{name: [*NOT_NUMBERS, None, 1, 1.0, 1.5, -1e-9] for name in FRACTIONS},
    **{name: [*NOT_NUMBERS, None, 1.5, 10**400] for name in WHOLE},
    **{name: ["", "zero mean", "zero_mean", None, 0, 1.5, True, [], ["linear"], {}] for name in CHOICES},
    **{
        name: [
            (1, 0), (1, 1), (0,), (0, 1, 2), (np.nan, 1), (0, np.inf), ("0", "1"), "01", 5, True,
            (None, 1), np.zeros((2, 2)), {}, ..., (True, 2),
        ]
        for name in RANGES
    },
    "axes": [
        (), (0, 0), (1,), (1, -1), (2, 1), (np.nan, 1), "", "x", "jj", "1", 1, True, (True, 1), {}, ..., [[1, 2]], (None, 1),
        (1, 1, 1, 1),
    ],
    "weights": [
        (), (0,), (1, -1), (np.nan,), (np.inf, 1), "1", ("1",), 1, True, (True,), {}, ..., [[1, 2]], (None,), 1e-300,
    ],
    "similarities": [(), ("x",), "mi", ("mi", "x"), 1, True, {}, ..., (1,), (None,), [["mi"]]],
    "smoothness_weight": [*NOT_NUMBERS, 0, 0.0],
    "regions": [*NOT_NUMBERS, 1.5, 10**400],
    "smoothness_order": [*NOT_NUMBERS, 1.5, 10**400, 0, 1, 5],
    "volume_weight": [*NOT_NUMBERS, -1e-9, 1e200],
    "smoothness_length": [v for v in NOT_NUMBERS],
    "samples_per_node": [*NOT_NUMBERS, 0, 0.0, 0.99],
    "levels": [
        (), (0.5,), (1, 2), (2, 2, 1), (np.nan,), (np.inf, 1), "421", ("4", "1"), 4, True, (-4, 1),
        (4, None), ..., [[4, 1]], {}, (4, 0),
    ],
    "iterations": [
        (), -1, (5, -1), 2.5, (2.5,), np.nan, (np.nan,), np.inf, "10", ("10",), True, (True,),
        ..., [[1, 2]], {}, (None,), 1j,
    ],
}  # fmt: skip
BAD["smallest_determinant"] = [*BAD["smallest_determinant"], 0, 0.0]
BAD["kernel_width"] = [*BAD["kernel_width"], 0.01, 101, 1e300]
BAD["smoothness_length"] = [*BAD["smoothness_length"], 1e200]
BAD["samples_per_node"] = [*BAD["samples_per_node"], 1e200]
BAD["similarity_weight"] = [*BAD["similarity_weight"], 1e300, 1e-300]
BAD["points_weight"] = [*BAD["points_weight"], 1e300, 1e-300]
BAD["rigidity_weight"] = [*BAD["rigidity_weight"], 1e300, 1e-300]
BAD["bins"] = [*BAD["bins"], 7, 0, 1025]
BAD["regions"] = [*BAD["regions"], 0, 65]


def test_every_field_is_tested():
    assert set(BAD) == {field.name for field in dataclasses.fields(Options)}


@pytest.mark.parametrize(
    "name, value", [(n, v) for n, values in BAD.items() for v in values], ids=lambda v: repr(v)[:30]
)
def test_a_bad_value_is_refused_by_name(name, value):
    with pytest.raises(InputError, match=rf"`Options\({name}=\.\.\.\)` must be") as caught:
        Options(**{name: value})
    assert isinstance(caught.value, VarregError)
    with pytest.raises(InputError, match=name):
        Options().replace(**{name: value})


GOOD = {
    "similarity_weight": [1, 0.5, np.float32(2), np.int16(3), Fraction(1, 2)],
    "smoothness_length": [None, 0, 0.0, 16, np.float64(3.5)],
    "regularity": ["auto", "smooth", "fine"],
    "volume_weight": [None, 0, 0.0, 0.45, 2, np.float32(0.5)],
    "smoothness_order": [None, 2, 3, 4, 3.0, np.int64(2), np.float32(4)],
    "samples_per_node": [None, 1, 250, 1e6, np.float64(3.5), np.int16(300)],
    "bins": [8, 1024, 64.0, np.int64(32), np.float32(16)],
    "similarity": ["regional-mi", "mi"],
    "regions": [None, 1, 64, 8.0, np.int64(5)],
    "memory": [0, 1000, 6.0, np.uint8(3)],
    "affine_iterations": [1, 5.0],
    "fixed_range": [None, (0, 1), [0.0, 2.5], np.array([1, 3])],
    "levels": [None, (1,), [4, 2, 1], (3.5, 1), np.array([8.0, 4.0]), range(3, 0, -1)],
    "smoothness_weight": [None, 1, 0.25, np.float32(2)],
    "iterations": [None, 0, 5, 5.0, (5, 3), [1, 2, 3], np.array([4, 2])],
    "smallest_determinant": [0.01, 0.5],
    "gradient_tolerance": [0, 0.0, 0.999],
    "constraint": ["zero-mean", "zero-boundary"],
    "estimator": ["fine-histogram", "per-pixel"],
    "interpolation": ["linear", "cubic"],
}


@pytest.mark.parametrize("name, value", [(n, v) for n, values in GOOD.items() for v in values])
def test_a_good_value_becomes_a_plain_one(name, value):
    """Ints stay ints, tuples hold numbers: they are hashed, compared, and written to JSON."""
    others = {"similarity": "mi"} if name == "estimator" else {}
    options = Options(**{name: value}, **others)
    stored = getattr(options, name)
    again = Options(**{name: json.loads(json.dumps(stored))}, **others)
    assert again == options
    assert hash(again) == hash(options)
    assert pickle.loads(pickle.dumps(options)) == options
    if name in (*WHOLE, "smoothness_order") and value is not None:
        assert type(stored) is int
    if name == "iterations" and value is not None:
        assert all(type(n) is int for n in (stored if isinstance(stored, tuple) else (stored,)))
    if value is not None and not isinstance(value, str):
        np.testing.assert_array_equal(np.asarray(stored, float), np.asarray(value, float))


def test_decimals_are_numbers_or_refused():
    try:
        assert Options(kernel_width=Decimal("1.5")).kernel_width == 1.5
    except InputError as error:
        assert "kernel_width" in str(error)


def test_equal_by_value_and_frozen():
    assert Options() == Options()
    assert Options(levels=[4, 2, 1]) == Options(levels=(4.0, 2.0, 1.0))
    assert Options(iterations=np.array([3, 2])) == Options(iterations=(3, 2))
    assert Options() != Options(bins=33)
    assert len({Options(), Options(), Options(bins=33)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        Options().bins = 3


@pytest.mark.parametrize(
    "typo, meant",
    [
        ("smoothnes_weight", "smoothness_weight"),
        ("bin", "bins"),
        ("interpolate", "interpolation"),
        ("iteration", "iterations"),
        ("moving_ranges", "moving_range"),
    ],
)
def test_a_misspelt_name_suggests_the_nearest(typo, meant):
    with pytest.raises(InputError, match=f"no field `{typo}`.*Did you mean `{meant}`"):
        Options().replace(**{typo: 1})
    with pytest.raises(InputError, match=f"Did you mean `{meant}`"):
        Options.preset("paper", **{typo: 1})


def test_a_name_like_no_other_lists_all():
    with pytest.raises(InputError, match="Known: similarity, regions, .*affine_iterations"):
        Options().replace(zzz=1)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_hold_what_they_say_and_take_changes(name):
    options = Options.preset(name)
    for field in dataclasses.fields(Options):
        wanted = PRESETS[name].get(field.name, getattr(Options(), field.name))
        assert getattr(options, field.name) == wanted
    assert Options.preset(name, bins=50).bins == 50


def test_the_papers_presets():
    paper, cfir = Options.preset("paper"), Options.preset("cfir")
    for options in (paper, cfir):
        assert options.smoothness_length == 0
        assert options.memory == 0
        assert options.constraint == "zero-mean"
        assert options.similarity == "mi"
    assert (paper.estimator, paper.bins, paper.kernel_width) == ("fine-histogram", 64, 1.0)
    assert (cfir.estimator, cfir.bins, cfir.kernel_width) == ("per-pixel", 100, 1.0)
    assert cfir.fixed_range == cfir.moving_range == (0, 1)


def test_the_per_pixel_estimator_needs_the_whole_image():
    message = r"estimator='per-pixel'.*add similarity='mi'"
    for refused in (
        lambda: Options(estimator="per-pixel"),
        lambda: Options().replace(estimator="per-pixel"),
        lambda: Options.preset("cfir", similarity="regional-mi"),
        lambda: Options.preset("cfir").replace(similarity="regional-mi"),
    ):
        with pytest.raises(InputError, match=message):
            refused()
    assert Options(estimator="per-pixel", similarity="mi").estimator == "per-pixel"


@pytest.mark.parametrize("name", ["papers", "", None, 3, ["paper"], {}])
def test_an_unknown_preset_lists_the_known(name):
    with pytest.raises(InputError, match="`name` must be one of 'default', .*'paper', 'cfir'"):
        Options.preset(name)


def test_what_only_the_dimension_decides():
    for dimension, wanted in BY_DIMENSION.items():
        options = Options(bins=40).for_dimension(dimension)
        assert {name: getattr(options, name) for name in wanted} == wanted
        assert options.bins == 40
    assert Options(smoothness_weight=2, iterations=7).for_dimension(3).smoothness_weight == 2


def test_keywords_of_solve_are_the_fields_with_their_types():
    fields = {field.name: field.type for field in dataclasses.fields(Options)}
    given = {name: hint.__forward_arg__ for name, hint in Changes.__annotations__.items()}
    assert given == fields
