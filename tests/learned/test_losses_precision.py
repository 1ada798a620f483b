"""Derivatives, precision and memory of mutual information, and the input that it refuses."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from learned.losses import MutualInformation, windows
from learned.losses.fine_histogram import joint_histogram
from varreg.backends.arrays import Windows
from varreg.errors import InputError
from varreg.options.options import Options

from ..varreg.problems import smooth_image

FLAT = (29, 34)
NAMED = {name: Options.preset(name) for name in ("default", "accurate", "paper", "cfir")}
ESTIMATORS = pytest.mark.parametrize("name", NAMED)


def random_pair(shape, seed=0, dtype=torch.float64):
    """Warped and fixed image, (1, 1, *S), and a weight."""
    rng = np.random.default_rng(seed)
    warped, fixed, weight = (smooth_image(shape, rng) for _ in range(3))
    return [torch.from_numpy(image)[None, None].to(dtype) for image in (warped, fixed, weight)]


# --- derivatives --------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 9), (3, 4, 8)], ids=["2D", "3D"])
@ESTIMATORS
def test_derivatives_by_finite_differences(name, shape):
    """Of both pairs of a batch, by the warped image and by the weight; masked and weighted."""
    rng = np.random.default_rng(5)
    warped, fixed = (torch.from_numpy(rng.uniform(0.02, 0.98, (2, 1, *shape))) for _ in range(2))
    weight = torch.from_numpy(rng.uniform(0.2, 0.9, (2, 1, *shape)))
    mask = torch.from_numpy(rng.random((2, 1, *shape)) > 0.2)
    similarity = MutualInformation(NAMED[name].replace(bins=12))
    inputs = warped.requires_grad_(), weight.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda w, v: similarity(w, fixed, v, mask),
        inputs,
        eps=1e-5,
        atol=1e-7,
        rtol=1e-4,
        fast_mode=len(shape) == 3,
    )


def test_derivative_of_overshooting_values():
    rng = np.random.default_rng(5)
    fixed = torch.from_numpy(rng.random((1, 1, 6, 7)))
    warped = torch.from_numpy(rng.uniform(-0.4, 1.4, (1, 1, 6, 7))).requires_grad_()
    similarity = MutualInformation(Options.preset("accurate", bins=12))
    assert torch.autograd.gradcheck(
        lambda w: similarity(w, fixed), (warped,), eps=1e-6, atol=1e-7, rtol=1e-4
    )


@ESTIMATORS
def test_only_what_needs_a_derivative_gets_one(name):
    warped, fixed, weight = random_pair(FLAT)
    similarity = MutualInformation(NAMED[name])
    for leaf in (warped, weight):
        leaf.requires_grad_()
        similarity(warped, fixed, weight).sum().backward()
        assert leaf.grad.abs().max() > 0
        leaf.requires_grad_(False)
    value = similarity(warped.requires_grad_(), fixed).sum()
    with pytest.raises(RuntimeError, match="can be differentiated only once"):
        torch.autograd.grad(value, warped, create_graph=True)


# --- precision, memory, and what is refused -----------------------------------------------------


@ESTIMATORS
def test_autocast_changes_no_bit(name):
    warped, fixed, weight = random_pair(FLAT, dtype=torch.float32)
    similarity = MutualInformation(NAMED[name])
    results = []
    for enabled in (False, True):
        leaf = warped.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            value = similarity(leaf, fixed, weight)
            value.sum().backward()  # within, which is the worst case
        assert value.dtype == torch.float32
        results.append((value, leaf.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


@ESTIMATORS
def test_16_bit_images_are_computed_in_32(name):
    warped, fixed, weight = random_pair(FLAT, dtype=torch.bfloat16)
    similarity = MutualInformation(NAMED[name])
    found = similarity(warped, fixed, weight)
    assert found.dtype == torch.float32
    assert torch.equal(found, similarity(warped.float(), fixed.float(), weight.float()))


def test_per_pixel_windows_on_a_processor_are_those_on_a_gpu():
    generator = torch.Generator().manual_seed(0)
    bins, reach = 20, Windows(4, 0.7)
    fixed, value = (torch.rand(2, 300, generator=generator) * (bins - 1) for _ in range(2))
    weight = torch.rand(2, 300, generator=generator)
    slope = torch.randn(2, bins, bins, generator=generator, dtype=torch.float64)
    tables = [
        table(fixed, value, weight, bins, reach)
        for table in (windows._table_by_kernel, windows._table_by_matrices)
    ]
    torch.testing.assert_close(*tables, rtol=1e-5, atol=1e-5)
    slopes = [
        given(fixed, value, weight, slope, reach)
        for given in (windows._slopes_by_kernel, windows._slopes_by_matrices)
    ]
    for kernel, matrices in zip(*slopes, strict=True):
        torch.testing.assert_close(kernel, matrices, rtol=1e-4, atol=1e-5)


class Largest(TorchDispatchMode):
    """Records how many numbers the largest tensor of any operation has."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.count = max(self.count, tensor.numel())
        return result


@ESTIMATORS
def test_nothing_is_of_the_size_voxels_times_bins(name, monkeypatch):
    monkeypatch.setattr(windows, "CHUNK", 64)
    warped, fixed, weight = random_pair((120, 125), dtype=torch.float32)
    similarity = MutualInformation(NAMED[name].replace(regions=2))
    voxels, saved = warped.numel(), []

    def pack(tensor):
        saved.append(tensor.numel())
        return tensor

    with Largest() as largest, torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        warped.requires_grad_(), weight.requires_grad_()
        similarity(warped, fixed, weight).sum().backward()
    assert max(saved) == voxels and voxels <= largest.count <= 2 * voxels
    assert sum(saved) <= 12 * voxels


@ESTIMATORS
def test_what_is_not_finite_shows_only_in_its_pair(name):
    first, second = random_pair(FLAT, 0), random_pair(FLAT, 1)
    warped, fixed, weight = (torch.cat(images) for images in zip(first, second, strict=True))
    similarity = MutualInformation(NAMED[name])
    expected = similarity(*second)[0]
    for bad in (warped, weight):
        kept = bad[0, 0, 3, 4].item()
        bad[0, 0, 3, 4] = torch.nan
        found = similarity(warped, fixed, weight)
        assert found[0].isnan() and found[1] == pytest.approx(expected.item(), abs=1e-13)
        bad[0, 0, 3, 4] = kept


@ESTIMATORS
def test_layout_in_memory_does_not_matter(name):
    first, second = random_pair(FLAT, 0), random_pair(FLAT, 1)
    plain = [torch.cat(images) for images in zip(first, second, strict=True)]
    turned = [torch.stack([i[0] for i in images], -1).movedim(-1, 0) for images in
              zip(first, second, strict=True)]  # fmt: skip
    assert not turned[0].is_contiguous()
    similarity, found = MutualInformation(NAMED[name]), []
    for warped, fixed, weight in (plain, turned):
        leaf = warped.clone().requires_grad_()
        value = similarity(leaf, fixed, weight)
        value.sum().backward()
        found.append((value, leaf.grad))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-13)


def test_bad_input_is_refused():
    warped, fixed, weight = random_pair(FLAT)
    similarity = MutualInformation(Options())
    for arguments, message in (
        ((warped[0], fixed), r"`warped` must be \(N, 1, \*S\).*got shape \(1, 29, 34\)"),
        ((warped, fixed[..., 1:]), "`fixed` must have the shape and device of `warped`"),
        ((warped, fixed, weight.expand(2, 1, *FLAT)), "`weight` must have the shape"),
        ((warped, fixed, None, weight[..., 1:]), "`mask` must have the shape"),
        ((255 * warped, fixed), "`warped` must be in .* to 255"),
        ((warped, fixed - 1), "`fixed` must be in"),
        ((warped, fixed, 2 * weight), "`weight` must be in"),
        ((warped, fixed / 0), "`fixed` has values that are not finite"),
        ((warped.long(), fixed), "`warped` must be a floating-point tensor; got torch.int64"),
        ((warped.numpy(), fixed), "`warped` must be a floating-point tensor; got ndarray"),
        ((warped, fixed, None, "all"), "`mask` must be a floating-point tensor; got str"),
    ):
        with pytest.raises(InputError, match=message):
            similarity(*arguments)
    with pytest.raises(InputError, match="'regional-mi' or 'mi'; got 'lncc'"):
        MutualInformation(Options(similarity="lncc"))
    with pytest.raises(InputError, match="must be a varreg.Options; got str"):
        MutualInformation("default")


def test_order_of_voxels_changes_no_bit():
    """Sums are whole numbers: neither threads nor a device can change them."""
    rng = np.random.default_rng(0)
    value = torch.from_numpy(rng.uniform(1, 10, (1, 5000)))
    weight = torch.from_numpy(rng.random((1, 5000)))
    row = torch.from_numpy(rng.integers(0, 12, (1, 5000)))
    order = torch.from_numpy(rng.permutation(5000))
    table = joint_histogram(value, weight, row, 12, 12)
    again = joint_histogram(value[:, order], weight[:, order], row[:, order], 12, 12)
    assert torch.equal(table, again)
    assert table.sum().item() == pytest.approx(weight.sum().item(), rel=1e-13)
