"""Training, validation and test pairs of a configuration."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from varreg.errors import InputError

from ..config import Config, DataConfig
from ..spatial import stage_shape
from .augmentation import PAINTED, IntensityRanges
from .datasets import PairDataset
from .manifest import read_manifest
from .painted_sources import LabelSource, PhantomSource
from .random_maps import POSE, WarpRanges
from .sources import RealSource, Source
from .subjects import PHANTOMS, check_disjoint, dealt_subjects, label_files, subject_ids
from .volumes import load_labels, load_volume

#: Validation and test pairs do not depend on the seed of the training.
VALIDATION_SEED, TEST_SEED = 2**62 + 1, 2**62 + 2


class Parts(NamedTuple):
    """Training, validation and test pairs.

    Attributes
    ----------
    train, validation : PairDataset
    test : PairDataset or None
        None if no test pairs are requested, or no subject is left for them.
    """

    train: PairDataset
    validation: PairDataset
    test: PairDataset | None


def make_parts(config: Config) -> Parts:
    """Training, validation and test pairs of a configuration.

    Label maps and volumes with the same id belong to one subject. The subjects in
    ``data.validation_subjects`` are used for validation and all others of their kind (phantoms or
    heads) for training; if none of a kind is listed, three quarters are used for training and one
    eighth each for validation and test.

    Parameters
    ----------
    config : Config

    Returns
    -------
    Parts

    Raises
    ------
    InputError
        If a listed subject does not exist, or a part has no subjects.
    FileError
        If data cannot be read.

    Examples
    --------
    >>> from learned.config import preset
    >>> parts = make_parts(preset("smoke"))
    >>> set(parts.train.subjects) & set(parts.validation.subjects)
    set()
    """
    data, split = config.data, dealt_subjects(config)
    train = training_pairs(config)
    validation = _judging(config, split.validation, data.validation_pairs, VALIDATION_SEED)
    test = _judging(config, split.test, data.test_pairs, TEST_SEED)
    if validation is None:
        raise InputError("make_parts: `data` must have subjects for training and for validation.")
    check_disjoint({"train": train.subjects, "validation": validation.subjects})
    return Parts(train, validation, test)


def training_pairs(config: Config, coarser: float = 1.0) -> PairDataset:
    """Training pairs of a configuration.

    Parameters
    ----------
    config : Config
    coarser : float
        Coarsening factor: this many times fewer voxels along each axis for the same field of view.

    Returns
    -------
    PairDataset

    Raises
    ------
    InputError, FileError
        As :func:`make_parts`.

    Examples
    --------
    >>> from learned.config import preset
    >>> training_pairs(preset("smoke"), coarser=2).shape
    (32, 32)
    """
    config = _coarsened(config, coarser)
    data = config.data
    sources = _sources(config, dealt_subjects(config).train)
    if len(sources) < len(data.shares()):
        raise InputError(
            "make_parts: every source of `data` must have a subject for training; remove some from "
            "`data.validation_subjects`."
        )
    with_labels = config.loss.dice > 0
    return pair_dataset(sources, data.pairs_per_epoch, config.train.seed, data, with_labels)


def _judging(config: Config, subjects: Sequence[str], count: int, seed: int) -> PairDataset | None:
    """Validation or test pairs; sources without any of the subjects are omitted.

    The pairs have labels if labels are used in training or if the map of some pairs is unknown.  A single
    subject is paired only with itself.
    """
    sources = _sources(config, subjects, judging=True) if count else []
    with_labels = config.loss.dice > 0 or any(False in source.coincide for source, _ in sources)
    return pair_dataset(sources, count, seed, config.data, with_labels) if sources else None


def _sources(
    config: Config, subjects: Sequence[str], judging: bool = False
) -> list[tuple[Source, float]]:
    """Sources of the given subjects, with their shares."""
    chosen = {
        name: [subject for subject in subject_ids(name, config.data) if subject in set(subjects)]
        for name in config.data.shares()
    }
    shares = config.data.shares()
    found = []
    for name, ids in chosen.items():
        if ids:
            make = _judge if judging and len(ids) == 1 else _source
            found.append((make(name, ids, config), shares[name]))
    return found


def _judge(name: str, ids: list[str], config: Config) -> Source:
    """Source of a single validation or test subject: two of its own images, if it has them."""
    if config.data.atlas is None:
        same = dataclasses.replace(config, data=dataclasses.replace(config.data, people=0.0))
        with contextlib.suppress(InputError):
            return _source(name, ids, same)
    return _source(name, ids, config)


def _coarsened(config: Config, factor: float) -> Config:
    """The configuration with the same field of view in fewer, larger voxels."""
    model = dataclasses.replace(
        config.model, shape=stage_shape(config.model.shape, factor), affine_scale=1.0
    )
    data = dataclasses.replace(config.data, spacing=config.data.spacing * factor)
    return dataclasses.replace(config, model=model, data=data)


def _source(name: str, ids: list[str], config: Config) -> Source:
    """Source of the given subjects, and of the atlas if there is one."""
    data, shape = config.data, config.model.shape
    painted = _weakened(PAINTED, data.intensity)
    if name == "phantom":
        return PhantomSource([PHANTOMS.index(i) for i in ids], shape, intensities=painted)
    people: dict[str, Any] = {"people": data.people, "atlas": data.atlas}
    ids = ids if data.atlas is None else [*ids, data.atlas]
    if name == "labels":
        files = label_files(str(data.labels))
        maps = {i: load_labels(files[i], data.spacing, data.cache) for i in ids}
        return LabelSource(maps, shape, axes=data.slice_axes, intensities=painted, **people)
    volumes = [
        load_volume(part, data.spacing, data.cache)
        for subject in read_manifest(str(data.manifest))
        if subject.id in ids
        for part in subject.coinciding()
    ]
    return RealSource(
        volumes, shape, axes=data.slice_axes, intensities=scanned_ranges(data), **people
    )


def scanned_ranges(data: DataConfig) -> IntensityRanges:
    """Ranges of the random intensity changes of real images."""
    return _weakened(IntensityRanges(), data.intensity)


def pair_dataset(
    sources: list[tuple[Source, float]], length: int, seed: int, data: DataConfig, labels: bool
) -> PairDataset:
    """Pairs of the given sources with the random maps of the configuration."""
    warp = WarpRanges(
        rotation=data.rotation,
        scale=(1 - data.scaling, 1 + data.scaling),
        shear=data.shear,
        shift=data.shift,
        amplitude=data.amplitude,
    )
    pose = POSE.shrunk(data.pose)
    return PairDataset(sources, length=length, seed=seed, warp=warp, pose=pose, labels=labels)


def _weakened(ranges: IntensityRanges, strength: float) -> IntensityRanges:
    """The ranges of intensity changes times a factor."""
    low, high = ranges.blur
    return dataclasses.replace(
        ranges,
        gamma=ranges.gamma * strength,
        inversion=ranges.inversion * strength,
        blur=(low * strength, high * strength),
        bias=ranges.bias * strength,
        noise=ranges.noise * strength,
    )


def described_sources(config: Config, parts: Parts) -> list[dict[str, object]]:
    """Sources and subjects of a training for the card of its weights, without paths.

    Examples
    --------
    >>> from learned.config import preset
    >>> config = preset("smoke")
    >>> [entry["source"] for entry in described_sources(config, make_parts(config))]
    ['phantom']
    """
    places = {"labels": config.data.labels, "manifest": config.data.manifest}
    described: list[dict[str, object]] = []
    for number, (name, share) in enumerate(config.data.shares().items()):
        place = places.get(name)
        subjects = parts.train.sources[number].subjects
        described.append(
            {
                "source": name,
                "share": share,
                "name": Path(place).name if place else None,
                "subjects": len(subjects) if name == "phantom" else list(subjects),
            }
        )
    return described
