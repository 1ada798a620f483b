"""Arrays of other libraries in the memory of the host; those on a GPU are in tests/varreg/backends/cupy."""

import numpy as np
import pytest

import varreg
from varreg.errors import InputError
from varreg.images.device_arrays import as_came, brought_to_host, is_on_gpu

from .image_files import noise, take


class Exchanged:
    """An array that speaks DLPack and nothing else."""

    def __init__(self, values, place=(1, 0)):
        self.values, self.place = values, place

    def __dlpack_device__(self):
        return self.place

    def __dlpack__(self, **keywords):
        return self.values.__dlpack__(**keywords)


def test_an_array_that_only_speaks_dlpack_is_taken_without_a_copy():
    data = noise((6, 7)).astype(np.float32)
    assert np.shares_memory(take(Exchanged(data)).data, data)
    transform = varreg.Transform(take(data).grid, take(data).grid, np.eye(3))
    np.testing.assert_array_equal(transform.warp(Exchanged(data)), transform.warp(data))


def test_an_array_on_another_kind_of_device_is_copied_by_dlpack():
    data = noise((6, 7)).astype(np.float32)
    asked = []

    class Elsewhere(Exchanged):
        def __dlpack__(self, *, dl_device=None, **keywords):
            asked.append(dl_device)
            return self.values.copy().__dlpack__(**{**keywords, "copy": None})

    elsewhere = Elsewhere(data, (14, 0))
    assert not is_on_gpu(elsewhere)
    if not hasattr(np, "from_dlpack") or np.lib.NumpyVersion(np.__version__) < "2.1.0":
        pytest.skip("NumPy before 2.1 does not ask for a copy on the host")
    found = take(elsewhere).data
    np.testing.assert_array_equal(found, data)
    assert not np.shares_memory(found, data) and asked == [(1, 0)]


def test_what_raises_when_it_is_asked_where_it_is_is_no_such_array():
    class Nowhere:
        def __dlpack_device__(self):
            raise ValueError("no memory")

    nowhere = Nowhere()
    assert not is_on_gpu(nowhere) and brought_to_host(nowhere) is nowhere
    with pytest.raises(InputError, match="`moving`"):
        take(nowhere)


def test_tensors_of_pytorch_are_images_masks_and_maps():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    data = noise((32, 30)).astype(np.float32)
    tensor = torch.from_numpy(data.copy())
    assert np.shares_memory(take(tensor).data, tensor.numpy())
    tensor.requires_grad_()
    np.testing.assert_array_equal(take(tensor).data, data)
    assert np.shares_memory(take(tensor).data, tensor.detach().numpy())
    moved = torch.ones((2, 32, 30), dtype=torch.float64, requires_grad=True)
    mask = torch.ones((32, 30), dtype=torch.bool)
    mask[:5] = False
    settings = dict(iterations=1, levels=(1,), progress=False, threads=1)
    pair = np.roll(data, 1, axis=1), data
    found = varreg.solve(*map(torch.from_numpy, pair), start=moved, fixed_mask=mask, **settings)
    wanted = varreg.solve(*pair, start=moved.detach().numpy(), fixed_mask=mask.numpy(), **settings)
    np.testing.assert_array_equal(found.displacement, wanted.displacement)
    assert isinstance(found.warp(tensor), np.ndarray)
    with pytest.raises(InputError, match="BFloat16"):
        take(torch.from_numpy(data).bfloat16())


def test_an_answer_goes_back_to_the_namespace_of_what_came():
    class Namespace:
        @staticmethod
        def from_dlpack(array):
            return "taken", array

    class Standard:
        def __array_namespace__(self):
            return Namespace

    array = Exchanged(noise((4, 4)))
    assert as_came(array, Standard()) == ("taken", array)
    assert as_came(array, array) is array
    assert as_came(array, object()) is array  # nobody takes it
    host = noise((4, 4))
    assert as_came(host, Standard()) is host
