"""States of a training."""

import torch

from learned.checkpoint import FORMAT, VERSION, Position, Training, serialised
from learned.config import Config, with_changes
from learned.tensor_file import read_tensors, to_bytes

CONFIG = with_changes(Config(), ["train.seed=3", "optimiser.learning_rate=0.1"])
POSITION = Position("deformable", epoch=2, step=30, best=-0.1, waited=1)


def network(seed, width=4):
    generator = torch.Generator().manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, width, 3, padding=1),
        torch.nn.BatchNorm2d(width),
        torch.nn.LeakyReLU(0.3),
        torch.nn.Conv2d(width, 1, 3, padding=1),
    ).to(memory_format=torch.channels_last)
    for parameter in model.parameters():
        drawn = 0.3 * torch.randn(parameter.shape, generator=generator)
        parameter.data = torch.empty_like(parameter).copy_(drawn)
    return model


def training(seed=0, width=4, pool=3):
    """Objects as new; `seed` is different in the process that goes on."""
    model = network(seed, width)
    state = {
        "pool": torch.full((pool, 2), float(seed)),
        "ages": torch.zeros(pool, dtype=torch.int64),
    }
    return Training(model, torch.optim.Adam(list(model.parameters()), lr=0.1), state)


def advance(state, steps, first=0):
    """Some steps of training, whose batches depend on their place."""
    losses = []
    state.model.train()
    for step in range(first, first + steps):
        images = torch.rand(3, 1, 8, 7, generator=torch.Generator().manual_seed(step))
        loss = (state.model(images) - state.state["pool"].mean()).square().mean()
        state.optimiser.zero_grad()
        loss.backward()
        state.optimiser.step()
        state.state["pool"].mul_(0.5).add_(loss.detach())
        state.state["ages"].add_(1)
        losses.append(loss.item())
    return losses


def everything(state):
    """All tensors, in a form that compares bit by bit."""

    def bits(tensor):
        flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
        return str(tensor.dtype), tuple(tensor.shape), bytes(flat.tolist())

    return {name: bits(tensor) for name, tensor in state.tensors("test").items()}


def write(path, state, position=POSITION, config=CONFIG):
    path.write_bytes(serialised(state, config, position))
    return path


def forged(path, change):
    """A file with other content and a right checksum, as only an enemy would write it."""
    tensors, content = read_tensors(path, FORMAT, VERSION, "test")
    change(tensors, content)
    path.write_bytes(to_bytes(tensors, FORMAT, VERSION, content, "test"))
