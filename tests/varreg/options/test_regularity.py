"""What a regularity decides, where it is left open, and that decided options decide nothing more."""

import pytest

from varreg.options.names import REGULARITY_NUMBERS
from varreg.options.options import Options
from varreg.options.presets import BY_DIMENSION, BY_REGULARITY, PRESETS

both_dimensions = pytest.mark.parametrize("dimension", [2, 3])
both = pytest.mark.parametrize("regularity", ["smooth", "fine"])
GIVEN = [
    {"smoothness_weight": 0.3}, {"smoothness_length": 9.0}, {"smoothness_order": 3}, {"volume_weight": 0.0},
]  # fmt: skip


def numbers(options, wanted):
    return {name: getattr(options, name) for name in wanted}


@both
@both_dimensions
def test_a_regularity_has_its_numbers(regularity, dimension):
    wanted = BY_DIMENSION[dimension] | BY_REGULARITY[regularity][dimension]
    options = Options(regularity=regularity, bins=40)
    for found in (options.decided(dimension), options.for_dimension(dimension)):
        assert numbers(found, wanted) == wanted
        assert (found.regularity, found.bins) == (regularity, 40)


def test_what_fine_and_smooth_mean():
    smooth, fine = (Options(regularity=name).decided(3) for name in ("smooth", "fine"))
    assert (smooth.smoothness_weight, smooth.smoothness_order, smooth.volume_weight) == (0.25, 4, 0)
    assert (fine.smoothness_weight, fine.smoothness_order, fine.volume_weight) == (0.02, 2, 0.8)


@pytest.mark.parametrize("similarity", ["regional-mi", "mi"])
def test_a_volume_leaves_it_open_until_there_is_evidence(similarity):
    options = Options(similarity=similarity).for_dimension(3)
    assert options.regularity == "auto" and options.regions == 10
    assert all(getattr(options, name) is None for name in (*REGULARITY_NUMBERS, "iterations"))
    assert options.decided(3) == Options(similarity=similarity, regularity="smooth").decided(3)


@both_dimensions
@pytest.mark.parametrize("given", GIVEN, ids=lambda d: next(iter(d)))
def test_a_number_that_is_given_makes_auto_smooth(given, dimension):
    options = Options(**given).for_dimension(dimension)
    assert options == Options(regularity="smooth", **given).decided(dimension)
    assert options.regularity == "smooth" and numbers(options, given) == given


@pytest.mark.parametrize("given", GIVEN, ids=lambda d: next(iter(d)))
def test_a_number_that_is_given_is_kept_in_a_fine_map(given):
    options = Options(regularity="fine", **given).for_dimension(3)
    assert options.regularity == "fine" and numbers(options, given) == given


def test_iterations_leave_the_regularity_open():
    options = Options(iterations=(3, 2)).for_dimension(3)
    assert (options.regularity, options.iterations) == ("auto", (3, 2))


def test_slices_and_similarities_that_cannot_judge_are_smooth():
    assert Options().for_dimension(2).regularity == "smooth"
    for similarity in ("nmi", "lncc", "mind", "ssd"):
        assert Options(similarity=similarity).for_dimension(3).regularity == "smooth"


@pytest.mark.parametrize("name", [n for n in PRESETS if n not in ("paper", "cfir")])
def test_presets_leave_it_open(name):
    assert Options.preset(name).for_dimension(3).regularity == "auto"


@pytest.mark.parametrize("name", ["paper", "cfir"])
@both_dimensions
def test_the_papers_presets_are_smooth_and_have_no_volume_term(name, dimension):
    options = Options.preset(name).for_dimension(dimension)
    assert (options.regularity, options.volume_weight) == ("smooth", 0)


@both
@both_dimensions
def test_decided_options_stay_as_they_are(regularity, dimension):
    options = Options(regularity=regularity).decided(dimension)
    for again in (options.decided(dimension), options.for_dimension(dimension)):
        assert again == options
    assert options.for_dimension(5 - dimension) == options  # nothing is left open


@both_dimensions
@pytest.mark.parametrize("iterations", [None, 7, (9, 5)], ids=str)
def test_another_regularity_brings_its_own_numbers_and_nothing_else(dimension, iterations):
    smooth, fine = (
        Options(bins=40, regularity=name, iterations=iterations).decided(dimension)
        for name in ("smooth", "fine")
    )
    assert smooth.of_regularity("fine").decided(dimension) == fine
    assert fine.of_regularity("smooth").decided(dimension) == smooth
    assert fine.of_regularity("fine").decided(dimension) == fine
