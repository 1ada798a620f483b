"""Inference by a trained network: preparation of the images, prediction, and conversion of the map to world space."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from varreg.batch.pair import as_pair_task, located
from varreg.errors import InputError, VarregError
from varreg.geometry.displacement import Float
from varreg.images.accepted import as_pair
from varreg.stages.arguments import thread_count

from . import weights
from .devices import choose_device
from .prediction import Prediction, predicted
from .preparation import Prepared, prepare


class Registrar:
    """Trained network, ready to register images.

    Parameters
    ----------
    network : torch.nn.Module
        Network with the interface of :class:`learned.cascade.Cascade`: from moving and fixed images (N, 1, *S) in
        [0, 1] to ``affine`` and ``displacement``.  It is set to evaluation mode, so predictions do not depend on the batch.
    shape : sequence of int
        (*S), the image size of its training.
    name : str
    card : mapping, optional
        Model card of its file.

    Examples
    --------
    >>> from learned.cascade import Cascade
    >>> network = Cascade.build(shape=(32, 32), at_width=2, dt_width=2)
    >>> moving, fixed = np.random.default_rng(0).random((2, 40, 30))
    >>> prediction = Registrar(network, (32, 32)).predict(moving, fixed)
    >>> bool((prediction.warped.data == moving.astype(np.float32)).all())  # untrained
    True
    """

    def __init__(
        self,
        network: nn.Module,
        shape: Sequence[int],
        name: str = "unnamed",
        card: Mapping[str, Any] | None = None,
    ) -> None:
        self.shape, self.name, self.card = tuple(map(int, shape)), name, dict(card or {})
        self.network, self.device = network.eval(), torch.device("cpu")
        if self.dimension == 2:  # makes CPUs a quarter faster
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def dimension(self) -> int:
        """Dimension of the images, 2 or 3."""
        return len(self.shape)

    @property
    def trained_spacing(self) -> float | None:
        """Voxel size of the training in mm, if the network accepts any image size and its card states it."""
        if not getattr(self.network, "takes_any_size", False):
            return None
        try:
            return float(self.card["training"]["config"]["data"]["spacing"])
        except (KeyError, TypeError, ValueError):
            return None

    def predict(
        self,
        moving: Any,
        fixed: Any,
        *,
        start: str | Float | None = "header",
        spacing: float | None = None,
        threads: int | None = None,
        device: str | torch.device | None = None,
    ) -> Prediction:
        """Register one pair, see :func:`learned.predict`."""
        function, count = "learned.predict", thread_count(threads, "learned.predict")
        self._move_to(device)
        with _torch_threads(count):
            pair = self._prepared(
                function, moving=moving, fixed=fixed, start=start, spacing=spacing
            )
            return self._predictions([pair], count, function)[0]

    def predict_batch(
        self,
        pairs: Iterable[Any],
        *,
        batch_size: int = 8,
        start: str | Float | None = "header",
        spacing: float | None = None,
        threads: int | None = None,
        device: str | torch.device | None = None,
    ) -> list[Prediction]:
        """Register many pairs, see :func:`learned.predict_batch`."""
        function = "learned.predict_batch"
        count, source = thread_count(threads, function), _numbered(pairs, batch_size, function)
        self._move_to(device)
        found: list[Prediction] = []
        with _torch_threads(count):
            while chunk := list(itertools.islice(source, batch_size)):
                prepared = []
                for place, pair in chunk:
                    task = as_pair_task(pair, place, function)
                    arguments = {"start": start, **task.arguments, "spacing": spacing}
                    try:
                        prepared.append(self._prepared(function, **arguments))
                    except VarregError as error:
                        raise located(error, task.label)  # noqa: B904  it is the same error
                found += self._predictions(prepared, count, function)
        return found

    def _move_to(self, device: str | torch.device | None) -> None:
        self.device = choose_device(device)
        self.network.to(self.device)

    def _prepared(self, function: str, **arguments: Any) -> Prepared:
        return prepare(
            **arguments,
            shape=self.shape,
            trained=self.trained_spacing,
            multiple=getattr(self.network, "multiple", 1),
            model=self.name,
            function=function,
        )

    def _predictions(self, pairs: list[Prepared], threads: int, function: str) -> list[Prediction]:
        """Predictions of several pairs by one evaluation of the network."""
        if len({pair.grid.shape for pair in pairs}) > 1:
            return [one for pair in pairs for one in self._predictions([pair], threads, function)]
        begun = time.perf_counter()
        batch = torch.from_numpy(np.stack([pair.images for pair in pairs])).to(self.device)
        self.network.eval()  # the caller may have changed the mode
        with torch.inference_mode():
            answer = self.network(batch[:, :1], batch[:, 1:])
        affines = answer.affine.double().cpu().numpy()
        fields = answer.displacement.float().cpu().numpy()
        seconds = (time.perf_counter() - begun) / len(pairs)
        return [
            predicted(*parts, self.name, self.device, seconds, threads, function)
            for parts in zip(pairs, affines, fields, strict=True)
        ]


def _numbered(pairs: Any, batch_size: Any, function: str) -> Iterator[tuple[int, Any]]:
    if not isinstance(pairs, Iterable):
        raise InputError(
            f"{function}: `pairs` must be an iterable of (moving, fixed); got {type(pairs).__name__}."
        )
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(
            f"{function}: `batch_size` must be a whole number >= 1; got {batch_size!r}."
        )
    return enumerate(pairs)


@contextlib.contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    """Context with a number of PyTorch threads, a setting of the whole process; it is restored afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def load(model: str | os.PathLike[str] = weights.DEFAULT) -> Registrar:
    """Load a trained network.

    Parameters
    ----------
    model : str or PathLike
        Name of a shipped network (:func:`learned.weights.names`), or path of a model file.

    Returns
    -------
    Registrar

    Raises
    ------
    InputError, FileError
        If the name is unknown, or the file does not exist, is damaged, or does not match its model card.
    """
    return _ready(*_found(model))


def registrar(model: str | os.PathLike[str] | Registrar) -> Registrar:
    """Network of a name or path, cached until the file changes, or the given network itself."""
    if isinstance(model, Registrar):
        return model
    path, name = _found(model)
    try:
        status = path.stat()
    except OSError:
        return _ready(path, name)  # raises the error
    return _kept(path, name, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _kept(path: Path, name: str, changed: int, size: int) -> Registrar:
    return _ready(path, name)


def _ready(path: Path, name: str) -> Registrar:
    network, settings, card = weights.read(path)
    return Registrar(network, settings.shape, name, card)


def name_for_pairs(pairs: Any, function: str) -> tuple[str, Any]:
    """Default network for the dimension of the first pair, and an iterable of all pairs."""
    if not isinstance(pairs, Iterable):
        return weights.DEFAULT, pairs  # refused later
    rest = iter(pairs)
    first = list(itertools.islice(rest, 1))
    if not first:
        return weights.DEFAULT, first
    task = as_pair_task(first[0], 0, function)
    try:
        images = as_pair(task.arguments["moving"], task.arguments["fixed"], function)
    except VarregError as error:
        raise located(error, task.label)  # noqa: B904  it is the same error
    return weights.OF_DIMENSION[images[1].grid.dim], itertools.chain(first, rest)


def _found(model: Any) -> tuple[Path, str]:
    """Path and name of a network."""
    if not isinstance(model, (str, os.PathLike)):
        received = type(model).__name__
        raise InputError(f"learned.load: `model` must be a name or a path; got {received}.")
    path = Path(os.fsdecode(model))
    if isinstance(model, str) and path.name == model and path.suffix != weights.SUFFIX:
        return weights.find(model), model
    return path.expanduser(), path.stem
