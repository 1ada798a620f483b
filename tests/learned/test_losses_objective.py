"""The loss is the weighted sum of its terms; with the weights of the solver it is its energy."""

import numpy as np
import pytest
import torch

from learned.losses import (
    Losses,
    LossWeights,
    MutualInformation,
    Objective,
    background_suppression,
    dual_consistency,
    smoothness,
)
from learned.spatial import view_weight, warp
from varreg.backends.numba import backend as cpu
from varreg.energy.deformable import DeformableObjective
from varreg.energy.smoothness import Smoothness
from varreg.errors import InputError
from varreg.geometry.displacement import expand
from varreg.options.options import Options
from varreg.similarity.choice import similarity as solver_similarity
from varreg.stages.pyramid import smoothness_length, smoothness_order, smoothness_weight

from ..varreg.problems import pair, smooth_image, state

SHAPES = pytest.mark.parametrize("shape", [(29, 34), (11, 13, 12)], ids=["2D", "3D"])
NODES = {2: (9, 12), 3: (4, 6, 5)}
ENERGIES = {
    "default": {},
    "two-mm-length": {"smoothness_length": 2.0, "smoothness_order": 3, "similarity_weight": 3.0},
    "paper": None,
    "cfir": None,
}


def tensor(image):
    return torch.from_numpy(np.ascontiguousarray(image))[None, None]


def energy_problem(shape, options, nodes, voxel_size=1.0):
    """(objective of the solver, its state, fixed, moving) for a random smooth displacement."""
    fixed, moving = pair(shape, (voxel_size,) * len(shape), 3)
    similarity = solver_similarity(options.similarity, fixed, moving, options, cpu, 1, np.float64)
    term = Smoothness(
        nodes, fixed.grid.extent / np.array(nodes), smoothness_weight(options, len(shape)),
        smoothness_length(fixed.grid, options), options.constraint,
        order=smoothness_order(options, len(shape)),
    )  # fmt: skip
    objective = DeformableObjective(similarity, np.eye(len(shape) + 1), term, options)
    rng = np.random.default_rng(4)
    field = np.stack([3 * voxel_size * (smooth_image(nodes, rng) - 0.4) for _ in shape])
    while objective.bound(field) < 0.2:
        field *= 0.7
    return objective, state(objective, term.to_coordinates(field)), fixed.data, moving.data


@SHAPES
@pytest.mark.parametrize("coarse", [False, True], ids=["voxels", "nodes"])
@pytest.mark.parametrize("name", ENERGIES)
def test_energy_and_gradient_of_the_solver(name, coarse, shape):
    changes = ENERGIES[name]
    options = Options(**changes) if changes is not None else Options.preset(name)
    nodes, voxel_size = NODES[len(shape)] if coarse else shape, 0.8
    objective, at, fixed, moving = energy_problem(shape, options, nodes, voxel_size)
    evaluation = objective.evaluate(at)
    node_field = torch.from_numpy(at[1] / voxel_size)[None].requires_grad_()
    # the field between its nodes, in the table of the solver, whose transpose is tested elsewhere
    field = node_field
    if coarse:
        field = torch.from_numpy(expand(at[1] / voxel_size, shape, options.constraint))[None]
    moving_affine = tensor(moving)
    loss = Objective(LossWeights.energy(options, len(shape)), options, voxel_size=voxel_size)
    losses = loss(
        moving_affine, warp(moving_affine, field), tensor(fixed), field,
        view_weight(field, shape), nodes=node_field if coarse else None,
    )  # fmt: skip
    found = [losses.total.item(), losses.similarity.item(), losses.smoothness.item()]
    energy = evaluation.energy
    expected = energy.total, energy.similarity, energy.smoothness
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert losses.background == losses.consistency == 0
    assert energy.smoothness > 1e-3 and energy.similarity > 0.05
    if not coarse:
        losses.total.backward()
        by_mm = node_field.grad[0].numpy() / voxel_size
        slope, gradient = objective.smoothness.pull_gradient(by_mm), evaluation.gradient()
        assert np.abs(slope - gradient).max() < 1e-6 * np.abs(gradient).max()


def batch(shape, seed=0, dtype=torch.float64):
    """(moving after the affine stage, fixed, displacement) of two pairs."""
    rng = np.random.default_rng(seed)
    images = [np.stack([smooth_image(shape, rng)[None] for _ in range(2)]) for _ in range(2)]
    field = np.array([[4 * smooth_image(shape, rng, 0.7) - 1.6 for _ in shape] for _ in range(2)])
    return [torch.from_numpy(array).to(dtype) for array in (*images, field)]


def losses_of(objective, moving, fixed, field, **more):
    view = view_weight(field, field.shape[2:])
    return objective(moving, warp(moving, field), fixed, field, view, **more)


@SHAPES
@pytest.mark.parametrize("name", ["default", "paper"])
def test_total_is_the_weighted_sum_of_the_terms(name, shape):
    options = Options.preset(name, smoothness_length=2.0 if name == "default" else 0.0)
    moving, fixed, field = batch(shape)
    mask = fixed > 0.3
    objective = Objective(LossWeights(), options, background_threshold=0.4, inverse_iterations=3)
    found = losses_of(objective, moving, fixed, field, mask=mask)
    warped, view = warp(moving, field), view_weight(field, shape)
    terms = (
        smoothness(field, options.smoothness_length, 4),
        MutualInformation(options)(warped, fixed, view, mask),
        background_suppression(warped, fixed, 0.4, mask),
        dual_consistency(moving, warped, field, iterations=3),
    )
    assert isinstance(found, Losses) and all(term.shape == () for term in found)
    assert found.known_map == found.dice == 0  # the stages of a training add them
    assert all(term > 1e-4 for term in found[1:-2])
    torch.testing.assert_close(found[1:-2], tuple(term.mean() for term in terms))
    expected = terms[0] - 50 * terms[1] + 100 * terms[2] + 100 * terms[3]
    torch.testing.assert_close(found.total, expected.mean())


def test_weights_of_the_paper_are_the_default():
    assert LossWeights() == LossWeights(1.0, 50.0, 100.0, 100.0)


@pytest.mark.parametrize("shape", [(6, 7), (3, 4, 4)], ids=["2D", "3D"])
def test_derivative_of_the_whole_by_finite_differences(shape):
    moving, fixed, field = batch(shape)
    field = (0.1 * field + 0.37).requires_grad_()
    options = Options.preset("default", bins=10, smoothness_length=1.2)
    objective = Objective(LossWeights(), options, background_threshold=0.4, inverse_iterations=2)
    assert torch.autograd.gradcheck(
        lambda u: losses_of(objective, moving, fixed, u).total, (field,), eps=1e-5, atol=1e-4,
        rtol=1e-4, fast_mode=len(shape) == 3,
    )  # fmt: skip


def test_affine_stage_has_neither_smoothness_nor_consistency():
    moving, fixed, _ = batch((29, 34))
    found = Objective(LossWeights(), Options())(moving, moving, fixed, None)
    assert found.smoothness == found.consistency == 0
    torch.testing.assert_close(found.total, -50 * found.similarity + 100 * found.background)


def test_no_displacement_costs_nothing_but_the_images():
    moving, fixed, field = batch((29, 34))
    objective = Objective(LossWeights(), Options())
    still = losses_of(objective, moving, fixed, 0 * field)
    assert still.smoothness == still.consistency == 0


@pytest.mark.parametrize("name", ["default", "paper", "cfir"])
def test_autocast_changes_no_bit(name):
    moving, fixed, field = batch((29, 34), dtype=torch.float32)
    objective = Objective(LossWeights(), Options.preset(name))
    results = []
    for enabled in (False, True):
        leaf = field.clone().requires_grad_()
        warped, view = warp(moving, leaf), view_weight(leaf, leaf.shape[2:])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            losses = objective(moving, warped, fixed, leaf, view)
        losses.total.backward()
        assert all(term.dtype == torch.float32 for term in losses)
        results.append((*losses, leaf.grad))
    for plain, cast in zip(*results, strict=True):
        assert torch.equal(plain, cast)


def test_what_is_not_finite_is_returned_and_not_hidden():
    """The trainer raises; a loss of a batch with one bad pair is not a number."""
    moving, fixed, field = batch((29, 34))
    field[0, 0, 3, 4] = torch.nan
    for weights in (LossWeights(), LossWeights.energy(Options())):
        assert not losses_of(Objective(weights, Options()), moving, fixed, field).total.isfinite()


def test_bad_input_is_refused():
    for name in ("smoothness", "similarity", "background", "consistency"):
        for weight in (-1.0, float("inf"), float("nan"), "1", True):
            with pytest.raises(InputError, match=f"`{name}` must be a number >= 0"):
                LossWeights(**{name: weight})
    with pytest.raises(InputError, match="`weights` must be a LossWeights; got dict"):
        Objective({}, Options())
    with pytest.raises(InputError, match="`options` must be a varreg.Options"):
        Objective(LossWeights(), {})
    with pytest.raises(InputError, match="must be 'zero-mean'"):
        Objective(LossWeights(), Options(constraint="zero-boundary"))
    for options in (Options(regularity="fine"), Options(volume_weight=0.1)):
        with pytest.raises(
            InputError, match="`options` must describe a smooth map, without a volume term"
        ):
            Objective(LossWeights(), options)
    for size in (0.0, -1.0, float("nan"), None):
        with pytest.raises(InputError, match="`voxel_size` must be above 0 mm"):
            Objective(LossWeights(), Options(), voxel_size=size)
    moving, fixed, field = batch((29, 34))
    objective = Objective(LossWeights(), Options())
    with pytest.raises(InputError, match=r"`displacement` must be \(N, d, \*S\)"):
        objective(moving, moving, fixed, field[:, :1])
    with pytest.raises(InputError, match="`nodes` must have the batch size"):
        objective(moving, moving, fixed, field, nodes=torch.zeros(2, 3, 4, 4, 4))
