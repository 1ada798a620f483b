"""What a step does, and what it leaves alone."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from learned.cascade import Cascade
from learned.checkpoint import Position, Training
from learned.data.parts import make_parts
from learned.devices import Interruption, make_fabric
from learned.stages import prepare_stage
from learned.step import Batches, Steps, loaded

from .runs import CPU, tiny

READS = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default}


class CountReads(TorchDispatchMode):
    """Operations after which the host would have to wait for a GPU."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function in READS
        return function(*args, **(kwargs or {}))


def taken(name, count, *changes, dropout=0.3):
    """Steps of a stage, the reads of each, and the object that took them."""
    config = tiny("x", f"optimiser.dropout={dropout}", "data.pairs_per_epoch=8", *changes)
    model = Cascade.build(shape=(32, 36), at_width=1, dt_width=1, scales=(2, 1))
    fabric = make_fabric(config.train)
    steps = Steps(config, fabric, model)
    loss = prepare_stage(name, model, config)
    trained = [p for p in model.parameters() if p.requires_grad]
    # Adam reads its own count of steps, which lies on the CPU
    training = Training(model, torch.optim.SGD(trained, lr=0.1))
    module, reads = fabric.setup_module(loss), []
    pairs = make_parts(config).train
    for k, batch in enumerate(loaded(pairs, Batches(2, 4, 0, 1, 0, 1, 0), 0, CPU)):
        if k == count:
            break
        with CountReads() as counted:
            steps.take(module, training, batch, Position(name, step=k), 0.1, Interruption())
        reads.append(counted.count)
    return steps, reads


def test_the_host_reads_nothing_after_the_first_step_has_been_looked_at():
    for name in ("affine", "deformable"):
        steps, reads = taken(name, 3, "loss.known_map=1", "loss.consistency=1")
        assert reads[0] > 0 and reads[1:] == [0, 0], name
        assert [place.step for place, _ in steps.read()] == [1, 2, 3]


def test_figures_wait_until_they_are_read():
    steps, _ = taken("affine", 3)
    assert len(steps.unread) == 3
    rows = list(steps.read())
    assert all(values["interrupted"] == 0 and values["learning_rate"] == 0.1 for _, values in rows)
    assert steps.unread == []


def test_random_numbers_of_a_step_follow_from_its_place():
    steps, _ = taken("affine", 1)

    def drawn(step):
        steps._seed(Position("affine", step=step))
        return float(torch.rand(())), float(torch.rand((), generator=steps.masks))

    assert drawn(5) == drawn(5)
    assert len({drawn(k) for k in range(50)}) == 50
