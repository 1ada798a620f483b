"""States of a training."""

import numpy as np
import torch

from learned.checkpoint import FORMAT, VERSION
from learned.config import Config, with_changes
from learned.position import Position
from learned.tensor_file import read_tensors, to_bytes
from learned.training_state import Training

CONFIG = with_changes(Config(), ["train.seed=3", "optimiser.learning_rate=0.1"])
POSITION = Position("deformable", epoch=2, step=30, best=-0.1, waited=1)
SCHEDULERS = {
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 10),
    "warm-up": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda n: min(1.0, (n + 1) / 3)),
    "both": lambda o: torch.optim.lr_scheduler.SequentialLR(
        o,
        [
            torch.optim.lr_scheduler.LinearLR(o, 0.1, total_iters=4),
            torch.optim.lr_scheduler.CosineAnnealingLR(o, 10),
        ],
        [4],
    ),
    "constant": lambda o: None,
}
OPTIMISERS = {
    "Adam": lambda p: torch.optim.Adam(p, lr=0.1),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.02),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.1, amsgrad=True, betas=(0.8, 0.99)),
    "groups": lambda p: torch.optim.Adam(
        [{"params": p[:2], "lr": 0.02}, {"params": p[2:]}], lr=0.1
    ),
}


def network(seed, width=4):
    generator = torch.Generator().manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, width, 3, padding=1),
        torch.nn.BatchNorm2d(width),
        torch.nn.LeakyReLU(0.3),
        torch.nn.Dropout(0.3),
        torch.nn.Conv2d(width, 1, 3, padding=1),
    )
    for parameter in model.parameters():
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
    return model


def training(seed=0, optimiser="Adam", scheduler="cosine", width=4):
    """Objects as new; `seed` is different in the process that goes on."""
    model = network(seed, width)
    adam = OPTIMISERS[optimiser](list(model.parameters()))
    torch.manual_seed(seed)
    generators = {
        "data": torch.Generator().manual_seed(seed),
        "splits": np.random.default_rng(seed),
    }
    return Training(model, adam, SCHEDULERS[scheduler](adam), generators)


def advance(state, steps):
    """Some steps of training; dropout draws from the global generator."""
    losses = []
    state.model.train()
    for _ in range(steps):
        images = torch.rand(3, 1, 8, 7, generator=state.generators["data"])
        target = float(state.generators["splits"].random())
        loss = (state.model(images) - target).square().mean()
        state.optimiser.zero_grad()
        loss.backward()
        state.optimiser.step()
        if state.scheduler is not None:
            state.scheduler.step()
        losses.append(loss.item())
    return losses


def everything(state):
    """All of the state, in a form that compares bit by bit."""

    def bits(value):
        if isinstance(value, torch.Tensor):
            flat = value.detach().contiguous().reshape(-1).view(torch.uint8)
            return str(value.dtype), tuple(value.shape), bytes(flat.tolist())
        if isinstance(value, dict):
            return {key: bits(entry) for key, entry in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(bits(entry) for entry in value)
        return type(value), value.hex() if isinstance(value, float) else value

    return bits(
        {
            "model": dict(state.model.state_dict()),
            "optimiser": state.optimiser.state_dict(),
            "scheduler": None if state.scheduler is None else state.scheduler.state_dict(),
            "data": state.generators["data"].get_state(),
            "splits": state.generators["splits"].bit_generator.state,
            "global": torch.get_rng_state(),
        }
    )


def forged(path, change):
    """A file with other content and a right checksum, as only an enemy would write it."""
    tensors, content = read_tensors(path, FORMAT, VERSION, "test")
    change(tensors, content)
    path.write_bytes(to_bytes(tensors, FORMAT, VERSION, content, "test"))


def entry(content, *keys):
    """The pair [key, value] in an encoded dictionary."""
    part, *rest = keys
    value = content[part]
    for key in rest:
        pair = next(pair for pair in value[1] if pair[0] == key)
        value = pair[1]
    return pair


def set_content(key, to):
    return lambda tensors, content: content.update({key: to})
