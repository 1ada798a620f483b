"""Smooth maps stay smooth and detailed ones become fine, by what unseen voxels say; a choice holds, and is told."""

import numpy as np
import pytest

import varreg
from varreg.data.phantom import deformed_pair
from varreg.optimise.regularity_choice import FINE_GAIN
from varreg.options.options import Options
from varreg.stages import problem

from .detail import detailed_pair

SHAPE = (56, 56, 56)
PLAIN = dict(affine=None, deformable=True)
QUICK = dict(PLAIN, iterations=(4, 3))


@pytest.fixture(scope="module")
def detailed():
    return detailed_pair(SHAPE, 3)


@pytest.fixture(scope="module")
def fine(detailed):
    return varreg.solve(*detailed, **QUICK, threads=1)


def same(result, other):
    assert result.u.tobytes() == other.u.tobytes()
    assert result.energy == other.energy and result.options == other.options


@pytest.mark.parametrize("seed", [3, 4])
def test_one_brain_seen_through_a_smooth_warp_stays_smooth(seed):
    pair = deformed_pair(SHAPE, np.random.default_rng(seed), affine=False)
    result = varreg.solve(pair.moving, pair.fixed, **PLAIN, iterations=(12, 8))
    choice = result.regularity
    assert (choice.regularity, result.options.regularity) == ("smooth", "smooth")
    assert choice.gain - 2 * choice.noise < 0.85 * FINE_GAIN
    assert result.options == Options(iterations=(12, 8)).decided(3)
    assert result.energy.volume == 0


def test_many_small_deformations_become_fine(fine):
    choice = fine.regularity
    assert (choice.regularity, fine.options.regularity) == ("fine", "fine")
    assert choice.gain > 1.3 * FINE_GAIN and choice.gain > 4 * choice.noise
    assert choice.length == pytest.approx(2.0)  # two voxels
    assert fine.options == Options(regularity="fine", iterations=(4, 3)).decided(3)
    assert fine.energy.volume > 0
    assert fine.smallest_determinant > 0.1


def test_images_that_share_nothing_stay_smooth():
    rng = np.random.default_rng(0)
    moving, fixed = rng.random((2, 48, 48, 48))
    assert varreg.solve(moving, fixed, **QUICK).regularity.regularity == "smooth"


def test_the_energy_of_a_fine_map_is_the_sum_of_its_terms(fine):
    energy, options = fine.energy, fine.options
    wanted = (
        options.smoothness_weight * energy.smoothness
        + options.volume_weight * energy.volume
        - options.similarity_weight * energy.similarity
    )
    assert energy.total == pytest.approx(wanted, rel=1e-12)


def test_a_choice_is_printed_saved_and_loaded(fine, tmp_path):
    assert str(fine.regularity) in str(fine)
    assert "Regularity: fine, 2.0 mm" in str(fine)
    assert f"volume {fine.energy.volume:.4f}" in str(fine)
    fine.save(tmp_path / "out")
    loaded = varreg.load(tmp_path / "out")
    assert loaded.regularity == fine.regularity
    same(loaded, fine)
    assert str(loaded) == str(fine)


def test_nothing_is_said_where_nothing_was_open(detailed):
    for given in (dict(regularity="fine"), dict(smoothness_weight=0.25)):
        result = varreg.solve(*detailed, **QUICK | dict(iterations=1), **given)
        assert result.regularity is None
        assert "Regularity" not in str(result)


def test_the_same_options_give_the_same_bits(detailed, fine):
    again = varreg.solve(*detailed, **PLAIN, options=fine.options)
    same(again, fine)
    assert again.regularity is None


@pytest.mark.parametrize("regularity", ["smooth", "fine"])
def test_the_same_bits_by_options_that_hold_default_iterations(regularity):
    """On two levels, where smooth and fine descents have other numbers of steps."""
    pair = deformed_pair((40, 40, 40), np.random.default_rng(5))
    settings = dict(PLAIN, levels=(2, 1))
    first = varreg.solve(pair.moving, pair.fixed, **settings, regularity=regularity)
    same(varreg.solve(pair.moving, pair.fixed, **PLAIN, options=first.options), first)


@pytest.mark.parametrize("threads", [2, 3])
def test_the_same_bits_for_any_number_of_threads(monkeypatch, detailed, fine, threads):
    monkeypatch.setattr(problem, "LEAST_VOXELS_FOR_THREADS", 0)
    other = varreg.solve(*detailed, **QUICK, threads=threads)
    same(other, fine)
    assert other.regularity == fine.regularity


def test_a_fine_map_to_go_on_from_is_not_questioned(detailed, fine):
    result = varreg.solve(*detailed, start=fine, iterations=(4, 3))
    assert result.options == fine.options and result.regularity is None
    assert result.energy.total <= fine.energy.total


def test_a_map_of_others_to_go_on_from_is(detailed, fine):
    result = varreg.solve(*detailed, start=fine.displacement, iterations=(2, 2))
    assert result.regularity is not None


def test_a_certificate_measures_the_fine_energy(detailed, fine):
    certificate = varreg.certify(*detailed, fine, iterations=2)
    assert certificate.options == fine.options
    assert certificate.energy.total == pytest.approx(fine.energy.total, rel=1e-6)
    assert certificate.energy.volume == pytest.approx(fine.energy.volume, rel=1e-9)
    other = varreg.certify(*detailed, fine, options=Options(regularity="smooth"), iterations=1)
    assert other.energy.volume == 0
