"""Whatever comes: an image that can be registered, or an error of the package."""

import gzip

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from varreg.errors import VarregError
from varreg.images.accepted import Image, as_mask

from .image_files import noise, take


def accepted_or_refused(value):
    """Whatever comes, an image that can be registered or an error of the package."""
    try:
        image = take(value)
        assert image.data.dtype == np.float32 and np.isfinite(image.data).all()
        assert min(image.grid.shape) >= 4 and np.ptp(image.data) > 0
        assert image.to_nifti().ndim in (2, 3, 4)
    except VarregError as error:
        assert "`moving`" in str(error)
    try:
        as_mask(value, Image.from_array(noise((6, 5))), argument="mask")
    except VarregError as error:
        assert "`mask`" in str(error)


ODD_TYPES = arrays.scalar_dtypes() | st.sampled_from(["O", "V3", "S2", "U2", "f2", "f8"]).map(
    np.dtype
)
ODD_SHAPES = st.lists(st.sampled_from([0, 1, 3, 5, 6]), max_size=5).map(tuple)


@settings(max_examples=250)
@given(st.data())
def test_no_array_escapes_with_a_foreign_error(data):
    dtype, shape = data.draw(ODD_TYPES), data.draw(ODD_SHAPES)
    if dtype.kind in "OV":
        accepted_or_refused(np.zeros(shape, dtype))
    else:
        accepted_or_refused(data.draw(arrays.arrays(dtype, shape)))


@settings(max_examples=400)
@given(data=st.data())
def test_no_damaged_file_escapes_with_a_foreign_error(good, data):
    folder, files = good
    name = data.draw(st.sampled_from(sorted(files)))
    raw = bytearray(files[name])
    packed = name.endswith((".gz", ".mgz"))
    if packed and data.draw(st.booleans()):  # damage what is inside a sound gzip file
        raw = bytearray(gzip.decompress(raw))
    else:
        packed = False
    for _ in range(data.draw(st.integers(0, 4))):
        raw[data.draw(st.integers(0, min(len(raw), 400) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw
    path = folder / f"damaged-{name}"
    path.write_bytes(gzip.compress(raw) if packed else raw)
    accepted_or_refused(path)
