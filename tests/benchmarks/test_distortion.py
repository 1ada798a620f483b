"""The distortion of an EPI made from a real head is found from its T1."""

import numpy as np
import pytest


@pytest.mark.slow
@pytest.mark.data
def test_the_field_of_a_real_head_is_found_to_a_third_of_a_voxel(bench, data_folder):
    distortion = bench("distortion")
    fixed, moving, field, head = distortion.made(data_folder, "du7294", 3)
    assert np.abs(field[head]).mean() > 0.4
    found = distortion.ours(fixed, moving, 3, dict(axes="j"), 2)
    assert not found[[0, 2]].any()
    assert np.abs(found[1] - field)[head].mean() < 0.3
