"""The same bits for any number of threads, on every run, and nearly the same from the reference backend."""

import numpy as np
import pytest

import varreg
from varreg.data.phantom import deformed_pair

from ..problems import random_affine
from .measures import QUICK

#: Voxels onto voxels is where linear interpolation has its kinks, and rounding chooses the side.
OFF_LATTICE = {d: random_affine(d, np.random.default_rng(10)) for d in (2, 3)}


@pytest.mark.parametrize("which", ["plane", "volume"])
@pytest.mark.parametrize(
    "settings",
    [
        dict(),
        dict(similarity="mi"),
        dict(similarity="mi", estimator="per-pixel"),
        dict(smoothness_length=6.0, samples_per_node=2),
    ],
    ids=["regional", "fine-histogram", "per-pixel", "few-rows"],
)
def test_the_same_bits_for_any_number_of_threads_and_every_run(which, settings, request):
    pair = request.getfixturevalue(which)
    settings = dict(settings, iterations=(4, 3, 2), affine_iterations=4, levels=(2, 1))
    runs = [
        varreg.solve(pair.moving, pair.fixed, **settings, threads=threads)
        for threads in (1, 2, 4, 2)
    ]
    for run in runs[1:]:
        assert run.u.tobytes() == runs[0].u.tobytes()
        assert run.affine.tobytes() == runs[0].affine.tobytes()
        assert run.warped.data.tobytes() == runs[0].warped.data.tobytes()
        assert run.history == runs[0].history


def test_many_blocks_of_work_change_no_bit():
    pair = deformed_pair((180, 190), np.random.default_rng(4))
    runs = [
        varreg.solve(pair.moving, pair.fixed, affine=None, preset="paper", iterations=3, threads=t)
        for t in (1, 2, 4)
    ]
    assert runs[0].u.tobytes() == runs[1].u.tobytes() == runs[2].u.tobytes()
    assert np.abs(runs[0].u).max() > 0.1


def test_the_arguments_are_left_as_they_were(bent):
    moving, fixed, mask = bent.moving.copy(), bent.fixed.copy(), bent.mask.copy()
    varreg.solve(moving, fixed, fixed_mask=mask, moving_mask=mask, **QUICK)
    np.testing.assert_array_equal(moving, bent.moving)
    np.testing.assert_array_equal(fixed, bent.fixed)
    np.testing.assert_array_equal(mask, bent.mask)


@pytest.mark.parametrize("which", ["bent", "volume"])
@pytest.mark.parametrize(
    "settings",
    [
        dict(),
        dict(similarity="mi", estimator="per-pixel", bins=24, kernel_width=1.0),
        dict(interpolation="cubic", smoothness_length=0),
    ],
    ids=["default", "per-pixel", "cubic-h1"],
)
def test_the_numpy_backend_finds_the_same(which, settings, request):
    pair = request.getfixturevalue(which)
    fixed, moving = pair.fixed, pair.moving
    if fixed.ndim == 3:
        fixed, moving = fixed[::2, ::2, ::2], moving[::2, ::2, ::2]
    fast, slow = (
        varreg.solve(
            moving, fixed, affine=OFF_LATTICE[fixed.ndim], backend=backend, levels=(2, 1),
            iterations=3, threads=1, **settings,
        )
        for backend in ("numba", "numpy")
    )  # fmt: skip
    assert slow.provenance["backend"] == "numpy"
    assert slow.energy.total == pytest.approx(fast.energy.total, abs=1e-4)
    assert np.abs(slow.u - fast.u).max() < 0.01  # float32 rounds differently
    assert np.abs(fast.u).max() > 0.3
