"""Small runs, and what they leave."""

import torch

from learned.cascade import Cascade
from learned.checkpoint import read_checkpoint
from learned.config import preset, with_changes
from learned.run_folder import METRICS, STEPS, RunFolder, read_lines
from learned.stages import DeformableLoss, prepare_stage
from learned.train import train
from learned.weights import read_model

CPU = torch.device("cpu")
TINY = [
    "model.shape=32,36", "model.at_width=1", "model.dt_width=1", "model.scales=2,1",
    "data.pairs_per_epoch=5", "data.validation_pairs=2",
    "data.test_pairs=1", "optimiser.batch_size=2", "optimiser.affine_epochs=2",
    "optimiser.epochs=2", "optimiser.warm_up=1", "optimiser.schedule=cosine",
    "train.threads=1", "train.checkpoint_every=3",
]  # fmt: skip


def tiny(folder, *changes):
    return with_changes(preset("smoke"), [*TINY, f"train.output={folder}", *changes])


def run(config, **arguments):
    return train(config, progress=False, tensorboard=False, **arguments)


def images(n=2, shape=(32, 36), seed=0):
    return torch.rand(2, n, 1, *shape, generator=torch.Generator().manual_seed(seed))


def bits(folder):
    """Everything that the last checkpoint of a run holds."""
    checkpoint = read_checkpoint(RunFolder(folder).last)
    return checkpoint.tensors, checkpoint.position


def assert_same_run(first, second):
    (tensors, position), (others, other_position) = bits(first), bits(second)
    assert position == other_position
    assert set(tensors) == set(others)
    assert [name for name in tensors if not torch.equal(tensors[name], others[name])] == []
    weights, same = (read_model(RunFolder(folder).model)[0] for folder in (first, second))
    assert all(torch.equal(weights[name], same[name]) for name in weights)
    assert (first / STEPS).read_bytes() == (second / STEPS).read_bytes()
    lines, same_lines = (
        [{k: v for k, v in line.items() if k != "hours"} for line in read_lines(folder / METRICS)]
        for folder in (first, second)
    )
    assert lines == same_lines


def step(cascade, name, config):
    loss = prepare_stage(name, cascade, config)
    optimiser = torch.optim.Adam([p for p in cascade.parameters() if p.requires_grad])
    loss(*images()).total.backward()
    optimiser.step()


def moved(scales, seed=0):
    """A cascade whose stages predict something."""
    cascade = Cascade.build(shape=(32, 36), at_width=1, dt_width=1, scales=scales)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for net in cascade.dt_nets:
            net.flow.convolution.weight.normal_(0, 0.05, generator=generator)
    return cascade.eval()


def losses(cascade):
    return DeformableLoss(cascade, tiny("x").loss)(*images())
