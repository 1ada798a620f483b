"""Devices and processes, by Lightning Fabric; what makes a run give the same bits again; signals that end one.

Of Ctrl-C and termination the first asks for an orderly end, the second does not wait for it.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from varreg.errors import BackendError, InputError, VarregError

from .config import TrainConfig

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)
#: What a process that was terminated from outside ends with.
TERMINATED = 128 + signal.SIGTERM
Result = TypeVar("Result")


def choose_device(device: str | torch.device | None = None, what: str = "`device`") -> torch.device:
    """The device of a name; without one a GPU if there is one, else the CPU.

    Raises
    ------
    InputError
        If it is unknown or not there, or cannot compute in double precision.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device is None or device == "auto":
        return torch.device("cuda" if cards else "cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"learned: {what} must be 'auto', 'cpu', 'cuda', 'cuda:1', ...; got {device!r}."
        ) from error
    if found.type == "mps":
        raise InputError(
            f"learned: {what} is 'mps', which has no double precision, and mutual information is "
            "summed in it; use 'cpu'."
        )
    if found.type not in ("cpu", "cuda") or (found.type == "cuda" and (found.index or 0) >= cards):
        raise InputError(
            f"learned: {what} asks for {str(device)!r}, and there are {cards} CUDA devices; use 'cpu'."
        )
    return found


def make_fabric(config: TrainConfig) -> Fabric:
    """The processes that ``torchrun`` started, or this one alone, each with its device.

    Raises
    ------
    InputError
        If a device is not there, or there are more of them than processes.
    """
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments import TorchElasticEnvironment
    except ImportError as error:
        raise BackendError(
            f"learned.train: trainings need lightning-fabric, which cannot be imported ({error}): "
            'python -m pip install "varreg[learned]"'
        ) from error
    logging.getLogger("lightning_fabric").setLevel(
        logging.WARNING
    )  # it announces what was asked for
    count = process_count()
    here = _number("LOCAL_WORLD_SIZE", count)
    names = config.devices
    if len(names) > 1 and count == 1:
        raise InputError(
            f"`train.devices` names {len(names)} devices for one process; start it with "
            f"`torchrun --nproc-per-node {len(names)} -m learned.train ...`."
        )
    found = [choose_device(name, "`train.devices`") for name in names]
    numbers = [device.index for device in found if device.index is not None]
    there = len(numbers) or (torch.cuda.device_count() if found[0].type == "cuda" else here)
    if len({device.type for device in found}) > 1 or there < here or len(numbers) not in (0, here):
        raise InputError(
            f"`train.devices` = {', '.join(names)} is {there} devices for {here} processes on this "
            "machine; name as many as there are processes, all of one kind."
        )
    fabric = Fabric(
        accelerator=found[0].type,
        devices=numbers or here,
        num_nodes=max(count // here, 1),
        strategy="ddp" if count > 1 else "auto",
        plugins=TorchElasticEnvironment() if count > 1 else None,
    )
    fabric.launch()
    return fabric


def our_rank() -> int:
    """Number of this process among those that ``torchrun`` started, 0 if it is alone."""
    return _number("RANK", 0)


def process_count() -> int:
    """How many processes ``torchrun`` started, 1 if this one is alone."""
    return _number("WORLD_SIZE", 1)


def first(fabric: Fabric, action: Callable[[], Result]) -> Result:
    """What an action of the first process gives, or the error it raises, in every process."""
    result: Any = None
    error: VarregError | None = None
    if fabric.is_global_zero:
        try:
            result = action()
        except VarregError as raised:
            error = raised
    result, error = fabric.broadcast((result, error))
    if error is not None:
        raise error
    return result


def gather(fabric: Fabric | None, value: Any) -> list[Any]:
    """The objects of all processes, in the order of their ranks."""
    if fabric is None or fabric.world_size == 1:
        return [value]
    gathered: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(gathered, value)
    return gathered


@contextmanager
def reproducible(threads: int | None, device: torch.device) -> Iterator[None]:
    """Same bits in every run with the same number of threads; on GPUs what torch can do for it.

    Settings of torch that are changed for it come back afterwards.
    """
    deterministic: Any = torch.utils.deterministic
    before = (
        torch.get_deterministic_debug_mode(),
        deterministic.fill_uninitialized_memory,
        torch.get_num_threads(),
    )
    # on a GPU the derivative of interpolation adds up in any order, and there is no other;
    # use_deterministic_algorithms does the same and loads a compiler first
    torch.set_deterministic_debug_mode("error" if device.type == "cpu" else "warn")
    deterministic.fill_uninitialized_memory = False  # takes time, and hides nothing
    torch.set_num_threads(threads or before[2])
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.set_deterministic_debug_mode(before[0])
        deterministic.fill_uninitialized_memory = before[1]
        torch.set_num_threads(before[2])


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise InputError(
            f"learned: the environment variable {name} must be a whole number, as torchrun sets it; "
            f"got {text!r}."
        )
    return int(text)


class Interruption:
    """Remembers the signal that asked for an end.

    Attributes
    ----------
    signal : int
        Its number, 0 until there is one.
    """

    def __init__(self) -> None:
        self.signal = 0

    def end(self, message: str) -> None:
        """Raise what the signal stands for.

        Raises
        ------
        KeyboardInterrupt
            With the message; after Ctrl-C, here or in another process.
        SystemExit
            After a termination.
        """
        if self.signal == signal.SIGTERM:
            logger.warning("learned: terminated; %s", message)
            raise SystemExit(TERMINATED)
        raise KeyboardInterrupt(message)


@contextmanager
def heed_signals() -> Iterator[Interruption]:
    """Within the block the first SIGINT or SIGTERM is remembered; a second one interrupts at once.

    Outside the main thread, where Python has no signals, nothing happens.

    Examples
    --------
    >>> with heed_signals() as interruption:
    ...     signal.raise_signal(signal.SIGINT)
    ...     interruption.signal == signal.SIGINT
    True
    """
    interruption = Interruption()

    def remember(number: int, frame: FrameType | None) -> None:
        if interruption.signal:
            raise KeyboardInterrupt("a second signal; the last checkpoint stands")
        interruption.signal = number

    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {n: signal.signal(n, remember) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_interrupts(_: int = 0) -> None:
    """For processes that prepare data: signals to the whole group reach them too, and their parent
    decides: it needs them until its checkpoint is written.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
