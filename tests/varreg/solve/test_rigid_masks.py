"""Rigid masks as a user meets them: what is in them is carried along in its shape."""

import numpy as np
import pytest

import varreg
from varreg.errors import InputError
from varreg.selftest.images import smooth_image

SHAPE = (72, 64)
SETTINGS = dict(
    affine=None, deformable=True, threads=1, progress=False, similarity_weight=1.0, smoothness_length=4.0
)  # fmt: skip
x = np.stack(np.indices(SHAPE)).astype(float)
LESION = np.hypot(x[0] - 34, x[1] - 30) < 9


def images():
    """(moving, fixed): one anatomy that is bent by up to 2 voxels; the lesion is in the fixed image only."""
    from scipy.ndimage import map_coordinates

    anatomy = smooth_image(SHAPE, 3, 8.0)
    bend = 2 * np.sin(2 * np.pi * x[::-1] / np.reshape(SHAPE[::-1], (2, 1, 1)))
    fixed = 1 - map_coordinates(anatomy, x + bend, order=1, mode="nearest")
    waves = 0.5 + 0.4 * np.sin(x[0] / 1.5) * np.sin(x[1] / 2)
    return anatomy, np.where(LESION, waves, fixed)


def changes(result, where):
    """Largest change of length at every place of a mask."""
    gradient = np.stack([np.stack(np.gradient(part)) for part in result.displacement])
    gradient = np.moveaxis(gradient, (0, 1), (-2, -1)) + np.eye(2)
    return np.abs(np.log(np.linalg.svd(gradient, compute_uv=False))).max(-1)[where]


@pytest.mark.parametrize("side", ["fixed", "moving"])
def test_what_is_in_a_rigid_mask_keeps_its_shape(side):
    pair = images()
    plain = varreg.solve(*pair, **SETTINGS)
    rigid = varreg.solve(*pair, **{f"{side}_rigid_mask": LESION}, **SETTINGS)
    core = np.hypot(x[0] - 34, x[1] - 30) < 6
    before, after = changes(plain, core), changes(rigid, core)
    assert before.mean() > 0.04 and after.mean() < 0.01
    assert 0 < rigid.rigidity.mean < 0.03 and plain.rigidity is None
    share = 100 * LESION.mean()
    assert f"`{side}_rigid_mask` keeps the shape of {share:.3g} % of the voxels." in rigid.notes
    assert "Rigid masks: lengths in them change by" in str(rigid)
    assert rigid.provenance["call"][f"{side}_rigid_mask"] == f"{side}_rigid_mask"


def test_a_soft_term_says_that_shapes_are_not_kept():
    pair = images()
    weak = varreg.solve(*pair, fixed_rigid_mask=LESION, rigidity_weight=0.01, **SETTINGS)
    (check,) = [check for check in weak.warnings if check.name == "rigid masks"]
    assert "rigidity_weight" in check.remedy and check.value == weak.rigidity.p95


def test_the_certificate_measures_the_same_energy_and_results_keep_the_report(tmp_path):
    pair = images()
    result = varreg.solve(*pair, fixed_rigid_mask=LESION, iterations=5, **SETTINGS)
    result.save(tmp_path / "saved")
    loaded = varreg.load(tmp_path / "saved")
    assert loaded.rigidity == result.rigidity and loaded.energy == result.energy
    assert str(loaded).splitlines()[0] == str(result).splitlines()[0]
    said = varreg.certify(*pair, loaded, fixed_rigid_mask=LESION, iterations=0)
    assert said.energy.total == pytest.approx(result.energy.total, rel=1e-6)
    assert said.energy.rigidity == pytest.approx(result.energy.rigidity, rel=1e-4)


def test_odd_rigid_masks_are_refused_by_name():
    pair = images()
    for name in ("fixed_rigid_mask", "moving_rigid_mask"):
        with pytest.raises(InputError, match=f"`{name}` has no positive value"):
            varreg.solve(*pair, **{name: 0 * LESION}, **SETTINGS)
        with pytest.raises(InputError, match=f"`{name}`"):
            varreg.solve(*pair, **{name: LESION[:9]}, **SETTINGS)
    with pytest.raises(InputError, match="rigidity_weight"):
        varreg.solve(*pair, fixed_rigid_mask=LESION, rigidity_weight=0, **SETTINGS)


def test_a_rigid_mask_of_nothing_else_changes_nothing():
    """Without masks the weight is for nothing: the same bits."""
    pair = images()
    one, two = (
        varreg.solve(*pair, iterations=3, rigidity_weight=w, **SETTINGS) for w in (1.0, 1e4)
    )
    np.testing.assert_array_equal(one.u, two.u)
