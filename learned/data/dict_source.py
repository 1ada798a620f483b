"""Source of pairs from a dataset of dictionaries, such as those of MONAI and TorchIO.

An item has the keys below; images and label maps are tensors, arrays, or objects with a tensor ``data`` (TorchIO):

==================  ==============================================================================
``moving, fixed``   (1, *S) images in [0, 1] on one grid, S being ``model.shape``
``moving_label``    (1, *S) label map of each image, integers, 0 for background;
``fixed_label``     optional, both or none
``coincide``        whether the images coincide voxel by voxel (default: false), equal in all items
``subject``         name for messages, optional
==================  ==============================================================================
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from varreg.errors import InputError

from ..config import Config
from .cuts import FOREGROUND
from .datasets import PairDataset
from .parts import TEST_SEED, VALIDATION_SEED, Parts, pair_dataset, scanned_ranges
from .sources import Scene, numbered_labels

LABELS = ("moving_label", "fixed_label")


class DictSource:
    """Source that draws items of a dataset at random.

    Random transforms of the dataset are reproducible: the generators of PyTorch, NumPy and Python are seeded for
    each item, and so is ``dataset.transform`` if it has ``set_random_state`` (MONAI).

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        Dataset with a length and items as above.
    config : Config
        Shape and intensity changes of the training.
    name : str
        Name of the argument, for messages.

    Raises
    ------
    InputError
        If the dataset is empty or its first item cannot be used.

    Examples
    --------
    >>> from learned.config import preset
    >>> image = torch.rand(1, 112, 112)
    >>> source = DictSource([{"moving": image, "fixed": image}], preset("laptop"), "training")
    >>> source.draw(torch.Generator().manual_seed(0)).coincide
    False
    """

    def __init__(self, dataset: Dataset[Any], config: Config, name: str) -> None:
        self.dataset, self.name = dataset, f"learned.train: `{name}`"
        self.subjects: tuple[str, ...] = (name,)
        self.shape, self.intensities = config.model.shape, scanned_ranges(config.data)
        size = getattr(dataset, "__len__", None)
        self.length = 0 if size is None else size()
        if not self.length:
            raise InputError(f"{self.name} must be a dataset with a length above 0.")
        first = self._scene(0, 0)
        self.coincide, self.has_labels = frozenset([first.coincide]), first.labels is not None

    def draw(self, generator: torch.Generator) -> Scene:
        """Random item."""
        index = int(torch.randint(self.length, (), generator=generator))
        scene = self._scene(index, int(torch.randint(2**31, (), generator=generator)))
        if scene.coincide not in self.coincide:
            raise InputError(
                f"{self.name}, item {index}: 'coincide' must be the same in all items; train on one dataset "
                "after the other, or omit 'coincide'."
            )
        return scene

    def _scene(self, index: int, seed: int) -> Scene:
        with _seeded(self.dataset, seed):
            item = self.dataset[index]
        where = f"{self.name}, item {index}"
        if not isinstance(item, Mapping):
            raise InputError(f"{where} must be a dict; got {type(item).__name__}.")
        moving, fixed = (self._image(item, key, where) for key in ("moving", "fixed"))
        labels = None
        if any(key in item for key in LABELS):
            maps = numbered_labels([self._label(item, key, where) for key in LABELS])
            labels = torch.from_numpy(maps[0]), torch.from_numpy(maps[1])
        subject = str(item.get("subject", f"item {index}"))
        together = bool(item.get("coincide", False))
        return Scene(moving, fixed, fixed > FOREGROUND, subject, together, labels)

    def _image(self, item: Mapping[str, Any], key: str, where: str) -> Tensor:
        image = self._tensor(item, key, where).float()
        low, high = (float(value) for value in torch.aminmax(image))
        if not 0 <= low <= high <= 1:
            raise InputError(
                f"{where}: {key!r} must be in [0, 1]; it is in [{low:g}, {high:g}]. Scale it in the dataset, "
                "e.g. by ScaleIntensityRangePercentilesd of MONAI or RescaleIntensity of TorchIO."
            )
        return image

    def _label(self, item: Mapping[str, Any], key: str, where: str) -> Any:
        labels = self._tensor(item, key, where)
        if bool((labels != labels.round()).any()) or bool((labels < 0).any()):
            raise InputError(
                f"{where}: {key!r} must contain whole numbers from 0; resample label maps by nearest neighbour."
            )
        return labels.long().numpy()

    def _tensor(self, item: Mapping[str, Any], key: str, where: str) -> Tensor:
        """Value of an item as a plain tensor (*S)."""
        if key not in item:
            raise InputError(
                f"{where} has no {key!r}; it has {', '.join(map(repr, item))}. An item requires 'moving' and "
                "'fixed', and both or none of 'moving_label' and 'fixed_label'."
            )
        value = item[key]
        if not isinstance(value, (Tensor, np.ndarray)):
            value = getattr(value, "data", value)  # image of TorchIO
        if not isinstance(value, (Tensor, np.ndarray)):
            raise InputError(f"{where}: {key!r} must be a tensor; got {type(value).__name__}.")
        tensor = torch.as_tensor(value).detach().as_subclass(Tensor).cpu()  # MONAI: a subclass
        if tuple(tensor.shape) != (1, *self.shape):
            raise InputError(
                f"{where}: {key!r} must have shape {(1, *self.shape)}, one channel and `model.shape`; got "
                f"{tuple(tensor.shape)}."
            )
        return tensor[0]


def dataset_parts(
    config: Config,
    training: Dataset[Any],
    validation: Dataset[Any] | None,
    test: Dataset[Any] | None = None,
) -> Parts:
    """Pairs from datasets of dictionaries with the random maps of the configuration.

    Raises
    ------
    InputError
        If a dataset cannot be used, or the training data are also given for validation or test.
    """
    if validation is None or any(judge is training for judge in (validation, test)):
        raise InputError(
            "learned.train: `validation` and `test` must be other datasets than `training`, of other people."
        )
    if config.model.affine_scale != 1 and config.optimiser.affine_epochs:
        raise InputError(
            "learned.train: `model.affine_scale` must be 1 with a dataset, since its images cannot be coarsened; "
            f"got {config.model.affine_scale:g}."
        )
    data, labels = config.data, config.loss.dice > 0

    def pairs(dataset: Dataset[Any], name: str, count: int, seed: int, labels: bool) -> PairDataset:
        return pair_dataset([(DictSource(dataset, config, name), 1.0)], count, seed, data, labels)

    train = pairs(training, "training", data.pairs_per_epoch, config.train.seed, labels)
    judging = pairs(validation, "validation", data.validation_pairs, VALIDATION_SEED, True)
    if test is None or not data.test_pairs:
        return Parts(train, judging, None)
    return Parts(train, judging, pairs(test, "test", data.test_pairs, TEST_SEED, True))


@contextmanager
def _seeded(dataset: Any, seed: int) -> Iterator[None]:
    """Seed all generators that random transforms use, and restore the state of this process afterwards."""
    # transforms use the legacy global generator of NumPy
    state, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002
    transform: Any = getattr(dataset, "transform", None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        if hasattr(transform, "set_random_state"):
            transform.set_random_state(seed=seed)
        try:
            yield
        finally:
            random.setstate(state)
            np.random.set_state(numbers)  # noqa: NPY002
