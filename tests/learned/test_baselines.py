"""learned.baselines: other networks in the place of DT-Net, their inverses, their training."""

import importlib.util

import pytest
import torch

from learned.baselines import (
    Baseline,
    baseline_cascade,
    integrate_velocity,
    load_baseline,
    make_network,
    train_baseline,
)
from learned.baselines.packaged import drawn_by
from learned.checkpoint import read_checkpoint
from learned.config import preset, with_changes
from learned.inverse import inverse_residual
from learned.run_folder import RunFolder
from learned.spatial import compose, resize_field
from varreg.errors import FileError, InputError

PACKAGES = {"transmorph": "monai", "diffusemorph": "monai", "voxelmorph": "voxelmorph"}
WIDTHS = {"transmorph": 12, "diffusemorph": 8, "voxelmorph": 16}
CONFIG = with_changes(
    preset("smoke"), ["model.dt_width=2", "model.at_width=2", "model.shape=32,32", "model.scales=1"]
)


def installed(name):
    package = PACKAGES.get(name)
    # einops: a package that MONAI's transformers import when they run
    wanted = {"monai": ("monai", "einops")}.get(package, (package,) if package else ())
    return all(importlib.util.find_spec(p) for p in wanted)


NETWORKS = [
    pytest.param(name, marks=pytest.mark.skipif(not installed(name), reason=f"needs {PACKAGES.get(name)}"))
    for name in ("free-dt-net", "velocity", "learned-inverse", "voxelmorph", "transmorph", "diffusemorph")
]  # fmt: skip


def network(name, dimension=2, seed=0):
    shape = "8,8,8" if dimension == 3 else "32,32"
    changes = [f"model.dimension={dimension}", f"model.shape={shape}", "optimiser.dropout=0"]
    config = with_changes(CONFIG, changes)
    generator = torch.Generator().manual_seed(seed)
    return make_network(Baseline(name, WIDTHS.get(name), consistency=1.0), config, generator)


def pairs(*shape, count=1, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 2, *shape, generator=generator)


def smooth_field(shape, size, seed=0, dtype=torch.float64):
    """A displacement of at most `size` voxels that varies slowly."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, len(shape), *(4,) * len(shape), generator=generator, dtype=dtype)
    field = resize_field(coarse, shape)
    return size * field / torch.linalg.vector_norm(field, dim=1).max()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(32, 40), (21, 30)])
def test_a_network_makes_a_displacement_of_a_pair_of_any_size(name, shape):
    net = network(name).eval()
    assert net.dimension == 2
    assert net(pairs(*shape)).shape == (1, 2, *shape)


@pytest.mark.parametrize("name", ["free-dt-net", "velocity", "learned-inverse"])
def test_three_dimensions(name):
    assert network(name, 3).eval()(pairs(9, 8, 12)).shape == (1, 3, 9, 8, 12)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_untrained_network_moves_nothing(name):
    displacement = network(name).eval()(pairs(32, 32))
    bound = 1e-3 if name == "voxelmorph" else 0.0  # its package starts from very small weights
    assert displacement.abs().max() <= bound


@pytest.mark.parametrize("name", NETWORKS)
def test_after_one_step_every_parameter_has_a_gradient(name):
    net = network(name).train()
    pair, target = pairs(32, 32, count=2), smooth_field((32, 32), 2.0, dtype=torch.float32)
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(3):  # zero at the end, a gradient reaches the layers before after a step
        optimiser.zero_grad()
        loss = (net(pair) - target).square().mean()
        loss = loss if net_auxiliary(net) is None else loss + net_auxiliary(net)
        loss.backward()
        optimiser.step()
    still = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # a convolution before a normalisation does not feel its bias, nor attention that of its keys
    assert all(n.endswith("bias") for n in still)
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in net.parameters())


def net_auxiliary(net):
    return getattr(net, "auxiliary", None)


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_depend_on_the_generator_and_on_nothing_else(name):
    torch.manual_seed(1)
    one = network(name).state_dict()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    two, other = network(name).state_dict(), network(name, seed=5).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_is_random_in_evaluation(name):
    net = network(name).train()
    net(pairs(32, 32, count=2))
    net.eval()
    assert torch.equal(net(pairs(32, 32)), net(pairs(32, 32)))
    assert net_auxiliary(net) is None


@pytest.mark.parametrize("shape, size", [((48, 40), 2.0), ((26, 24, 28), 1.2)])
def test_the_flow_of_minus_a_velocity_inverts_that_of_the_velocity(shape, size):
    velocity = smooth_field(shape, size)
    u, v = integrate_velocity(velocity), integrate_velocity(-velocity)
    inner = (slice(None), slice(None)) + (slice(5, -5),) * len(shape)
    residual = inverse_residual(u, v)[inner]
    assert u.abs().max() > 0.5
    assert residual.max() < 0.1
    assert residual.mean() < inverse_residual(u, -u)[inner].mean() / 3


def test_flows_form_a_group():
    velocity = smooth_field((64, 64), 3.0, seed=3)
    inner = (slice(None), slice(None), slice(10, -10), slice(10, -10))
    half, whole = integrate_velocity(0.5 * velocity), integrate_velocity(velocity)
    assert (compose(half, half) - whole)[inner].abs().max() < 0.02
    quarter = integrate_velocity(0.25 * velocity)
    rest = integrate_velocity(0.75 * velocity)
    assert (compose(quarter, rest) - whole)[inner].abs().max() < 0.05
    assert (compose(rest, quarter) - whole)[inner].abs().max() < 0.05


def test_a_linear_velocity_flows_by_the_exponential_of_its_matrix():
    matrix = torch.tensor([[0.02, -0.15], [0.1, 0.05]], dtype=torch.float64)
    axis = torch.arange(41, dtype=torch.float64) - 20
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"))
    velocity = torch.einsum("ij,jxy->ixy", matrix, grid)[None]
    exact = torch.einsum("ij,jxy->ixy", torch.linalg.matrix_exp(matrix) - torch.eye(2), grid)[None]
    inner = (slice(None), slice(None), slice(12, -12), slice(12, -12))
    error = [(integrate_velocity(velocity, n) - exact)[inner].abs().max() for n in (4, 7)]
    assert error[1] < 0.002
    assert error[1] == pytest.approx(float(error[0]) / 8, rel=0.2)  # Euler's: of first order


@pytest.mark.parametrize("name", ["velocity", "learned-inverse"])
def test_training_asks_for_an_inverse(name):
    net = network(name).train()
    flow = net.net.flow.convolution
    with torch.no_grad():
        flow.weight.normal_(0, 0.5, generator=torch.Generator().manual_seed(0))
    net(pairs(32, 32, count=2))
    assert net.auxiliary > 0
    net.auxiliary.backward()
    assert flow.weight.grad.abs().sum() > 0


@pytest.mark.slow
def test_the_second_head_learns_the_inverse_of_the_first():
    net = network("learned-inverse").train()
    pair, target = pairs(32, 32, count=2), smooth_field((32, 32), 1.5, dtype=torch.float32)
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        loss = 10 * (net(pair) - target).square().mean() + net.auxiliary
        loss.backward()
        optimiser.step()
    u, v = net.with_inverse(pair)
    assert (u - target).abs().mean() < 0.3
    assert inverse_residual(u, v).mean() < 0.5 * torch.linalg.vector_norm(u, dim=1).mean()


@pytest.mark.parametrize("name", NETWORKS[1:3] + NETWORKS[5:])
def test_a_baseline_is_trained_resumed_and_read_back(name, tmp_path):
    changes = [
        "data.pairs_per_epoch=4", "data.validation_pairs=1", "data.test_pairs=1", "optimiser.batch_size=2",
        "optimiser.affine_epochs=0", "optimiser.epochs=1", "loss.consistency=0",
        f"train.output={tmp_path / 'run'}",
    ]  # fmt: skip
    config = with_changes(CONFIG, changes)
    baseline = Baseline(name, WIDTHS.get(name), consistency=100.0)
    trained = train_baseline(config, baseline, progress=False, tensorboard=False)
    assert trained.test["stage 1"]["tre"] > 0
    found = load_baseline(trained.model, config)
    before = found.state_dict()
    assert any(
        not torch.equal(tensor, before[key])
        for key, tensor in baseline_cascade(config, baseline).state_dict().items()
        if key.startswith("dt_nets") and tensor.is_floating_point()
    )
    longer = with_changes(config, ["optimiser.epochs=2"])
    train_baseline(longer, baseline, resume=True, progress=False, tensorboard=False)
    straight = with_changes(longer, [f"train.output={tmp_path / 'straight'}"])
    other = train_baseline(straight, baseline, progress=False, tensorboard=False)
    one, same = (read_checkpoint(RunFolder(tmp_path / n).last).tensors for n in ("run", "straight"))
    assert [name for name in one if not torch.equal(one[name], same[name])] == []
    after = load_baseline(trained.model, config).state_dict()
    assert all(
        torch.equal(t, after[k]) for k, t in load_baseline(other.model, config).state_dict().items()
    )


def test_an_ordinary_cascade_is_not_taken_for_a_baseline(tmp_path):
    from learned.weights import save_model

    card = {"architecture": {}, "training": {}, "licences": []}
    file = tmp_path / "m.safetensors"
    save_model(file, baseline_cascade(CONFIG, Baseline("velocity")), card)
    with pytest.raises(FileError, match="contains no baseline"):
        load_baseline(file, CONFIG)


def test_errors_name_what_is_wrong():
    with pytest.raises(InputError, match="free-dt-net.*'unet'"):
        Baseline("unet")
    with pytest.raises(InputError, match="`steps`.*-1"):
        integrate_velocity(torch.zeros(1, 2, 4, 4), -1)
    with pytest.raises(InputError, match="`velocity`"):
        integrate_velocity(torch.zeros(1, 1, 4, 4))


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_a_missing_package_is_named_with_the_way_to_it(name, monkeypatch):
    import importlib

    def absent(module):
        raise ImportError(f"No module named {module!r}")

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(InputError, match=f"{name}.*{PACKAGES[name]}.*pip install"):
        network(name)


def test_the_global_generator_is_left_alone():
    torch.manual_seed(4)
    before = torch.get_rng_state()
    with drawn_by(torch.Generator().manual_seed(0)):
        first = torch.rand(3)
    with drawn_by(torch.Generator().manual_seed(0)):
        assert torch.equal(first, torch.rand(3))
    assert torch.equal(before, torch.get_rng_state())
