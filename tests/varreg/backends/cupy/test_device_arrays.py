"""Arrays on a GPU as images and maps: brought to the host by a registration, warped where they are by a map."""

import sys
import types

import numpy as np
import pytest

import varreg
from varreg.errors import BackendError, InputError
from varreg.geometry import resampling
from varreg.selftest.images import deformed_pair, smooth_image
from varreg.transforms import inversion
from varreg.transforms.transform import Transform

from . import fake_cupy
from .device import needs_compiler

pytestmark = needs_compiler
QUIET = dict(progress=False, threads=1)
BRIEF = dict(affine="translation", deformable=True, iterations=2, levels=(1,), **QUIET)


class Tensor:
    """An array of another library on a GPU, which only speaks DLPack."""

    def __init__(self, values, gradient=False):
        self.values, self.gradient = values, gradient

    def __dlpack_device__(self):
        return 2, 0

    def __dlpack__(self, **_):
        if self.gradient:
            raise BufferError("tensor that requires gradient, use tensor.detach()")
        return self.values

    def detach(self):
        return Tensor(self.values)

    def cpu(self):
        assert not self.gradient
        return self.values


@pytest.fixture
def library(monkeypatch):
    """The library of :class:`Tensor`."""
    module = types.ModuleType("othertorch")
    module.from_dlpack = lambda array: Tensor(array.__dlpack__())
    monkeypatch.setitem(sys.modules, "othertorch", module)
    monkeypatch.setattr(Tensor, "__module__", "othertorch.tensors")


KINDS = {"cupy": lambda cupy, a: cupy.asarray(a), "tensor": lambda cupy, a: Tensor(a, True)}


@pytest.fixture(params=KINDS)
def there(request, device, library):
    """An array of the host -> the same on the device, of either library."""
    return lambda array: KINDS[request.param](device, array)


def host(array):
    """The numbers of an array of either library."""
    return array.values if isinstance(array, Tensor) else array.get()


def bent(shape, moving_shape, constraint="zero-mean", seed=0):
    """A map of an oblique affine part and a random smooth displacement."""
    rng, d = np.random.default_rng(seed), len(shape)
    affine = np.eye(d + 1)
    affine[:-1] += rng.uniform(-0.05, 0.05, affine[:-1].shape)
    grids = [varreg.Image.from_array(np.zeros(s), spacing=1.5).grid for s in (shape, moving_shape)]
    nodes = rng.uniform(-2, 2, (d, *(max(n // 6, 2) for n in shape)))
    return Transform(*grids, affine, nodes, constraint)


SHAPES = [((40, 36), (38, 44)), ((12, 15, 14), (13, 11, 16))]


@pytest.mark.parametrize("backend", ["cupy", "numba"])
def test_a_registration_of_arrays_on_a_device_is_that_of_their_copies(there, backend):
    images, start = deformed_pair((40, 36), 3), np.full((2, 40, 36), 0.5)
    start[0] += np.linspace(0, 1, 36)
    masks = dict(fixed_mask=smooth_image((40, 36), 5, 0.7) > 0.3)
    wanted = varreg.solve(*images, start=start, backend=backend, **masks, **QUIET, iterations=2)
    masks = {name: there(mask) for name, mask in masks.items()}
    found = varreg.solve(
        *map(there, images), start=there(start), backend=backend, **masks, **QUIET, iterations=2
    )
    np.testing.assert_array_equal(found.displacement, wanted.displacement)
    np.testing.assert_array_equal(found.warped.values, wanted.warped.values)
    matrix = np.eye(3)
    matrix[0, 2] = 1.0
    for given in (matrix, there(matrix)):
        fixed = varreg.solve(*images, affine=given, deformable=False, backend=backend, **QUIET)
        np.testing.assert_array_equal(fixed.affine, matrix)


def test_what_holds_no_data_or_nothing_at_all_is_told_of_arrays_on_a_device(there):
    moving, fixed = deformed_pair((40, 36), 3)
    moving[4:9, 5:8] = np.nan
    result = varreg.solve(there(moving), there(fixed), backend="cupy", **BRIEF)
    assert any("15 voxels of `moving`" in note for note in result.notes)
    with pytest.raises(InputError, match="`fixed` is constant"):
        varreg.solve(there(moving), there(np.ones((40, 36))), backend="cupy", **BRIEF)
    with pytest.raises(InputError, match="`fixed` must hold real numbers"):
        varreg.solve(there(moving), there(np.ones((40, 36), complex)), **BRIEF)
    with pytest.raises(InputError, match=r"`image` has shape \(36, 40\)"):
        result.warp(there(moving.T.copy()))
    with pytest.raises(InputError, match="`image` must hold real numbers"):
        result.warp(there(moving.astype(complex)))
    with pytest.raises(InputError, match="`image` holds no data"):
        result.warp(there(np.full((40, 36), np.nan)))
    with pytest.raises(InputError, match=r"`labels` must hold whole numbers.*got e.g. 0\.5"):
        result.warp_labels(there(np.full((40, 36), 0.5)))


@pytest.mark.parametrize("interpolation", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("constraint", ["zero-mean", "zero-boundary"])
@pytest.mark.parametrize("shapes", SHAPES)
def test_an_image_on_a_device_is_warped_there(there, device, shapes, constraint, interpolation):
    transform = bent(*shapes, constraint)
    image = 100 * smooth_image(shapes[1], 1) - 20
    onto = {"fixed": (transform, image)}
    back = transform.inverse()
    onto["moving"] = back, 100 * smooth_image(shapes[0], 2) - 20
    for either, source in onto.values():
        wanted = either.warp(source, interpolation)
        given = there(source)
        device.log.reset()
        found = either.warp(given, interpolation)
        assert type(found) is type(given)
        sent = device.log.bytes_up, device.log.bytes_down
        np.testing.assert_allclose(host(found), wanted, rtol=0, atol=1e-5 * np.ptp(source))
        # of a map its nodes go up, of an inverse v; down comes a sample that shows what the background is
        assert sent[0] < (0.2 * image.nbytes if either is transform else 1.2 * back.v.nbytes) + 8000
        assert sent[1] <= 3 * source.nbytes


def test_a_linear_warp_runs_the_kernel(device):
    transform = bent(*SHAPES[0])
    image = device.asarray(smooth_image(SHAPES[0][1], 1))
    device.log.reset()
    transform.warp(image, fill=0.0)
    assert device.log.launches == ["read_points"]


@pytest.mark.parametrize("every_voxel", [False, True])
@pytest.mark.parametrize("shapes", SHAPES)
def test_slabs_on_the_device_are_parts_of_the_whole(device, monkeypatch, shapes, every_voxel):
    transform = bent(*shapes)
    if every_voxel:
        transform = Transform(transform.fixed, transform.moving, transform.affine, transform.u)
    image = device.asarray(smooth_image(shapes[1], 1))
    labels = device.asarray((4 * smooth_image(shapes[1], 2)).astype(np.uint8))

    def found():
        warped = [transform.warp(image, kind).get() for kind in ("linear", "nearest", "cubic")]
        inverse = transform.inverse(backend="cupy")
        back = inverse.warp(device.asarray(smooth_image(shapes[0], 3))).get()
        return *warped, transform.warp_labels(labels).get(), back, inverse.v

    whole = found()
    monkeypatch.setattr(resampling, "DEVICE_SLAB_VOXELS", 500)
    monkeypatch.setattr(inversion, "_DEVICE_SLAB_VOXELS", 500)
    for part, wanted in zip(found(), whole, strict=True):
        np.testing.assert_array_equal(part, wanted)


@pytest.mark.parametrize("shapes", SHAPES)
def test_voxels_without_data_stay_without_on_a_device(there, shapes):
    transform, image = bent(*shapes), smooth_image(shapes[1], 1)
    image[3:6, 4:7] = np.nan
    wanted, found = transform.warp(image), host(transform.warp(there(image)))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    assert np.nanmax(host(transform.warp(there(image), fill=7.0))) == 7.0


@pytest.mark.parametrize("rule", ["linear", "nearest"])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
@pytest.mark.parametrize("shapes", SHAPES)
def test_labels_on_a_device_are_warped_there(there, shapes, dtype, rule):
    transform = bent(*shapes)
    labels = (4 * smooth_image(shapes[1], 1)).astype(int).astype(dtype)
    wanted, given = transform.warp_labels(labels, rule), there(labels)
    found = transform.warp_labels(given, rule)
    assert type(found) is type(given) and host(found).dtype == wanted.dtype
    np.testing.assert_array_equal(host(found), wanted)
    if labels.dtype != bool:
        exact = transform.warp(there(labels), "nearest")
        np.testing.assert_array_equal(host(exact), transform.warp(labels, "nearest"))
    back = transform.inverse()
    other = (4 * smooth_image(shapes[0], 1)).astype(np.uint8)
    np.testing.assert_array_equal(
        host(back.warp_labels(there(other), rule)), back.warp_labels(other, rule)
    )


@pytest.mark.parametrize("method", ["fixed-point", "paper"])
@pytest.mark.parametrize("constraint", ["zero-mean", "zero-boundary"])
@pytest.mark.parametrize("shapes", SHAPES)
def test_an_inverse_is_found_on_the_device(device, shapes, constraint, method):
    transform = bent(*shapes, constraint)
    wanted = transform.inverse(method=method, backend="numba")
    found = transform.inverse(method=method, backend="cupy")
    assert device.log.operations and isinstance(found.v, np.ndarray)
    assert found.iterations == wanted.iterations
    np.testing.assert_allclose(found.v, wanted.v, rtol=0, atol=1e-6)
    assert found.residual == pytest.approx(wanted.residual, rel=1e-3)
    assert found.mean_residual == pytest.approx(wanted.mean_residual, rel=1e-3)
    assert np.array_equal(transform.inverse(method=method, backend="cupy").v, found.v)


def test_a_map_that_does_not_deform_is_inverted_and_warps_on_the_device(there):
    still = bent(*SHAPES[0])
    still = Transform(still.fixed, still.moving, still.affine)
    image = smooth_image(SHAPES[0][1], 1)
    np.testing.assert_allclose(host(still.warp(there(image))), still.warp(image), atol=1e-5)
    assert not still.inverse(backend="cupy").v.any()


def test_an_inverse_without_a_device_is_an_error(device):
    device.cuda.runtime.devices = 0
    with pytest.raises(BackendError, match=r"Transform.inverse: `backend` 'cupy'.*'numba'"):
        bent(*SHAPES[0]).inverse(backend="cupy")


def test_what_is_on_a_device_without_cupy_is_an_error_with_a_remedy(library, monkeypatch):
    from varreg.backends.cupy import selection

    selection.device_backend.cache_clear()
    monkeypatch.setitem(sys.modules, "cupy", None)
    image = smooth_image(SHAPES[0][1], 1)
    with pytest.raises(BackendError, match=r"`image` is on a GPU.*pip install.*image\.cpu\(\)"):
        bent(*SHAPES[0]).warp(Tensor(image))


def test_memory_that_is_not_handed_out_is_an_error(device, library):
    tensor = Tensor(smooth_image(SHAPES[0][1], 1))
    tensor.detach = lambda: Tensor(tensor.values, True)
    with pytest.raises(InputError, match="Tensor on a GPU.*requires gradient"):
        bent(*SHAPES[0]).warp(tensor)


def test_an_array_of_the_cuda_array_interface_alone_is_warped_there(device, monkeypatch):
    class Interface:
        def __init__(self, values):
            self.values = values

        __cuda_array_interface__ = property(lambda self: {"shape": self.values.shape})

    def asarray(values, *arguments, **keywords):
        if isinstance(values, Interface):
            return fake_cupy.ndarray(values.values)
        return before(values, *arguments, **keywords)

    before = device.asarray
    monkeypatch.setattr(device, "asarray", asarray, raising=False)
    transform, image = bent(*SHAPES[0]), smooth_image(SHAPES[0][1], 1)
    found = transform.warp(Interface(image))
    assert isinstance(found, fake_cupy.ndarray)  # no library to give it back to
    np.testing.assert_allclose(found.get(), transform.warp(image), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(40, 36), (12, 15, 14)])
def test_the_warped_image_of_a_registration_is_made_on_the_device(device, shape):
    result = varreg.solve(*deformed_pair(shape, 3), backend="cupy", **BRIEF)
    assert isinstance(result.warped.data, np.ndarray)
    wanted = result.warp(result.moving)
    np.testing.assert_allclose(result.warped.values, wanted, rtol=0, atol=1e-5)
