"""Devices and processes (Lightning Fabric), bitwise reproducible computation, and handling of signals.

The first SIGINT (Ctrl-C) or SIGTERM requests an orderly end, a second one interrupts immediately.
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
#: Exit code after SIGTERM.
TERMINATED = 128 + signal.SIGTERM
Result = TypeVar("Result")


def choose_device(device: str | torch.device | None = None, what: str = "`device`") -> torch.device:
    """Device of a given name, by default a GPU if there is one, else the CPU.

    Raises
    ------
    InputError
        If the device is unknown or not available, or does not support double precision.

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
            f"learned: {what} is 'mps', which does not support double precision, required for mutual "
            "information; use 'cpu'."
        )
    if found.type not in ("cpu", "cuda") or (found.type == "cuda" and (found.index or 0) >= cards):
        raise InputError(
            f"learned: {what} is {str(device)!r}, but there are {cards} CUDA devices; use 'cpu'."
        )
    return found


def make_fabric(config: TrainConfig) -> Fabric:
    """Fabric of the processes started by ``torchrun``, or of this process, each with its device.

    Raises
    ------
    InputError
        If a device is not available, or the number of devices differs from the number of processes.
    """
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments import TorchElasticEnvironment
    except ImportError as error:
        raise BackendError(
            f"learned.train: requires lightning-fabric, which cannot be imported ({error}). To install: "
            'python -m pip install "varreg[learned]"'
        ) from error
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # suppresses its announcements
    count = process_count()
    here = _number("LOCAL_WORLD_SIZE", count)
    names = config.devices
    if len(names) > 1 and count == 1:
        raise InputError(
            f"`train.devices` has {len(names)} devices for one process; start the training by "
            f"`torchrun --nproc-per-node {len(names)} -m learned.train ...`."
        )
    found = [choose_device(name, "`train.devices`") for name in names]
    numbers = [device.index for device in found if device.index is not None]
    there = len(numbers) or (torch.cuda.device_count() if found[0].type == "cuda" else here)
    if len({device.type for device in found}) > 1 or there < here or len(numbers) not in (0, here):
        raise InputError(
            f"`train.devices` = {', '.join(names)} has {there} devices for {here} processes on this "
            "machine; specify one device per process, all of the same type."
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
    """Rank of this process among those started by ``torchrun``, 0 for a single process."""
    return _number("RANK", 0)


def process_count() -> int:
    """Number of processes started by ``torchrun``, 1 for a single process."""
    return _number("WORLD_SIZE", 1)


def first(fabric: Fabric, action: Callable[[], Result]) -> Result:
    """Result of an action of the first process, or its error, in every process."""
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
    """Objects of all processes, in the order of their ranks."""
    if fabric is None or fabric.world_size == 1:
        return [value]
    gathered: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(gathered, value)
    return gathered


@contextmanager
def reproducible(threads: int | None, device: torch.device) -> Iterator[None]:
    """Context of deterministic computation for a given number of threads; on GPUs as far as PyTorch supports it.

    The settings of PyTorch are restored afterwards.
    """
    deterministic: Any = torch.utils.deterministic
    before = (
        torch.get_deterministic_debug_mode(),
        deterministic.fill_uninitialized_memory,
        torch.get_num_threads(),
    )
    # on a GPU the gradient of interpolation has no deterministic implementation, hence only a warning;
    # use_deterministic_algorithms is equivalent, but first loads a compiler
    torch.set_deterministic_debug_mode("error" if device.type == "cpu" else "warn")
    deterministic.fill_uninitialized_memory = False  # only costs time here
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
            f"learned: the environment variable {name} must be a whole number, as set by torchrun; "
            f"got {text!r}."
        )
    return int(text)


class Interruption:
    """Record of the signal that requested the end of the run.

    Attributes
    ----------
    signal : int
        Number of the signal, 0 if there was none.
    """

    def __init__(self) -> None:
        self.signal = 0

    def end(self, message: str) -> None:
        """End the run by the exception that corresponds to the signal.

        Raises
        ------
        KeyboardInterrupt
            With the message, after Ctrl-C in this or another process.
        SystemExit
            After SIGTERM.
        """
        if self.signal == signal.SIGTERM:
            logger.warning("learned: terminated; %s", message)
            raise SystemExit(TERMINATED)
        raise KeyboardInterrupt(message)


@contextmanager
def heed_signals() -> Iterator[Interruption]:
    """Context in which the first SIGINT or SIGTERM is recorded and a second one interrupts at once.

    Outside the main thread, where Python cannot handle signals, it has no effect.

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
            raise KeyboardInterrupt(
                "interrupted by a second signal; the last checkpoint is unaffected"
            )
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
    """Ignore SIGINT and SIGTERM in data workers, which also receive signals to the process group.

    Their parent requires them until its checkpoint is written.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
