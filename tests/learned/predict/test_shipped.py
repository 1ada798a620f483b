"""The networks that come with the package, on heads that they have never seen."""

import numpy as np
import pytest

import learned
import varreg
from varreg.data.phantom import deformed_pair


@pytest.mark.parametrize(
    "shape, spacing, name", [((224, 224), 1.0, "brain-2d"), ((72, 88, 72), 2.5, "brain-3d")]
)
def test_the_network_for_the_dimension_halves_the_error(shape, spacing, name):
    pair = deformed_pair(shape, np.random.default_rng(3))
    moving, fixed = (
        varreg.Image.from_array(np.asarray(image, np.float32), spacing=spacing)
        for image in (pair.moving, pair.fixed)
    )
    prediction = learned.predict(moving, fixed, threads=1)
    assert prediction.model == name
    head = np.asarray(pair.fixed) > 0.1

    def error(displacement):
        return float(np.sqrt(((displacement - pair.displacement) ** 2).sum(0))[head].mean())

    assert error(prediction.displacement) < 0.5 * error(0 * pair.displacement)
    (again,) = learned.predict_batch([(moving, fixed)], threads=1)
    np.testing.assert_allclose(again.displacement, prediction.displacement, atol=1e-3)
    assert prediction.smallest_determinant > 0
