"""One process per device: the processes that ``torchrun`` starts, and what they tell each other.

Each takes its share of every batch; gradients are averaged by ``DistributedDataParallel``, and
:mod:`learned.shared_layers` sees to it that nothing else depends on the number of processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from varreg.errors import InputError, VarregError

Result = TypeVar("Result")
TIMEOUT = timedelta(minutes=30)


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes
    ----------
    rank : int
        Its number; the first, 0, writes files.
    count : int
    device : torch.device
        That it computes on.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this one writes files."""
        return self.rank == 0

    def first(self, action: Callable[[], Result]) -> Result:
        """What an action of the first process gives, or the error it raises, in every process."""
        box: list[Any] = [None, None]
        if self.is_first:
            try:
                box[0] = action()
            except VarregError as error:
                box[1] = error
        if self.count > 1:
            distributed.broadcast_object_list(box, src=0)
        if box[1] is not None:
            raise box[1]
        return box[0]

    def mean(self, values: Tensor) -> Tensor:
        """The mean of a tensor over all processes."""
        if self.count > 1:
            values = values.clone()
            distributed.all_reduce(values)
            values /= self.count
        return values

    def gather(self, value: Any) -> list[Any]:
        """The objects of all processes, in the order of their ranks."""
        gathered = [value]
        if self.count > 1:
            gathered = [None] * self.count
            distributed.all_gather_object(gathered, value)
        return gathered

    def share_of(self, module: nn.Module) -> nn.Module:
        """The module, its gradients averaged over the processes whenever they are computed."""
        if self.count == 1:
            return module
        places = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(module, device_ids=places)


@contextmanager
def processes(devices: Sequence[str]) -> Iterator[Processes]:
    """Join the processes that ``torchrun`` started, or be the only one.

    Parameters
    ----------
    devices : sequence of str
        ``train.devices``: of several the process takes that of its local rank.

    Yields
    ------
    Processes

    Raises
    ------
    InputError
        If a device is not there, or there are more of them than processes.

    Examples
    --------
    >>> with processes(["cpu"]) as us:
    ...     us.count, us.device.type
    (1, 'cpu')
    """
    rank, count, local = our_rank(), _number("WORLD_SIZE", 1), _number("LOCAL_RANK", 0)
    device = choose_device(devices, local, count)
    if count == 1:
        yield Processes(0, 1, device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=TIMEOUT)
    try:
        yield Processes(rank, count, device)
    finally:
        distributed.destroy_process_group()


def our_rank() -> int:
    """Number of this process among those that ``torchrun`` started, 0 if it is alone."""
    return _number("RANK", 0)


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise InputError(
            f"learned.processes: the environment variable {name} must be a whole number, as torchrun "
            f"sets it; got {text!r}."
        )
    return int(text)


def choose_device(devices: Sequence[str], local: int = 0, count: int = 1) -> torch.device:
    """The device of a process.

    Parameters
    ----------
    devices : sequence of str
        ``train.devices``.
    local : int
        Number of the process on this machine.
    count : int
        Processes in all.

    Raises
    ------
    InputError
        If it is not there, cannot compute in double precision, or several are for one process.

    Examples
    --------
    >>> choose_device(["cpu"], local=1, count=2)
    device(type='cpu')
    """
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if len(devices) > 1 and count == 1:
        raise InputError(
            f"`train.devices` names {len(devices)} devices for one process; start it with "
            f"`torchrun --nproc-per-node {len(devices)} -m learned.train ...`."
        )
    if tuple(devices) == ("auto",):
        name = f"cuda:{local}" if local < cards else "cpu"
    else:
        name = devices[local % len(devices)]
        name = f"cuda:{local}" if name == "cuda" else name
    device = torch.device(name)
    if device.type == "mps":
        raise InputError(
            "`train.devices` is 'mps', which has no double precision, and mutual information is "
            "summed in it; use 'cpu'."
        )
    if device.type == "cuda" and (device.index or 0) >= cards:
        raise InputError(
            f"`train.devices` asks for {name!r}, and there are {cards} CUDA devices; use 'cpu'."
        )
    return device
