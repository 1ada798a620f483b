"""What masks change, and what they leave as it is."""

import numpy as np

import varreg

from .measures import QUICK


def test_masks_change_the_result_where_they_should(bent):
    """A wrong bright block: outside the mask it does not matter at all, inside it does."""
    spoilt = bent.moving.copy()
    spoilt[20:34, 26:44] = 1.0
    mask = np.ones(spoilt.shape, bool)
    mask[18:36, 24:46] = False
    ranges = dict(moving_range=(0, 1), fixed_range=(0, 1))
    free = varreg.solve(spoilt, bent.fixed, affine=None, **QUICK, **ranges)
    clean = varreg.solve(bent.moving, bent.fixed, affine=None, moving_mask=mask, **QUICK, **ranges)
    masked = varreg.solve(spoilt, bent.fixed, affine=None, moving_mask=mask, **QUICK, **ranges)
    np.testing.assert_array_equal(masked.u, clean.u)
    assert np.abs(free.u - clean.u).max() > 0.2


def test_what_a_fixed_mask_leaves_out_has_no_force(bent):
    mask = np.zeros(bent.fixed.shape, bool)
    mask[:, :35] = True
    changed = bent.fixed.copy()
    changed[:, 35:] = np.random.default_rng(7).random(changed[:, 35:].shape)
    ranges = dict(moving_range=(0, 1), fixed_range=(0, 1))
    here, there = (
        varreg.solve(bent.moving, fixed, affine=None, fixed_mask=mask, **QUICK, **ranges)
        for fixed in (bent.fixed, changed)
    )
    np.testing.assert_array_equal(here.u, there.u)
    assert np.abs(here.u).max() > 0.3


def test_a_mask_of_everything_changes_nothing(bent):
    everything = np.ones(bent.fixed.shape, bool)
    plain = varreg.solve(bent.moving, bent.fixed, affine=None, **QUICK)
    masked = varreg.solve(bent.moving, bent.fixed, affine=None, fixed_mask=everything, **QUICK)
    np.testing.assert_array_equal(masked.u, plain.u)
