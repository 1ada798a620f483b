"""Warped images of all participants, stored in temporary files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from ..images.image import Image
from ..images.warping import warped
from ..transforms.transform import Transform
from .people import Person

Stack = list[NDArray[np.float32]]


@contextmanager
def stacked(
    people: Sequence[Person], maps: Sequence[Transform], normalise: bool
) -> Iterator[list[Stack]]:
    """For each contrast, the images of all participants warped to the template; NaN for no data.

    Parameters
    ----------
    people : sequence of Person
    maps : sequence of Transform
        Template -> participant.
    normalise : bool
        Whether to scale each image's robust range to the median over all participants.

    Yields
    ------
    list of list of (*S) float32 arrays
        Memory-mapped; deleted at the end of the block.
    """
    spans = np.array([person.ranges for person in people])  # (people, contrasts, 2)
    common = np.median(spans, axis=0)
    found: list[Stack] = [[] for _ in common]
    with tempfile.TemporaryDirectory(prefix="varreg-template-") as folder:
        for k, (person, transform) in enumerate(zip(people, maps, strict=True)):
            for contrast, image in enumerate(person.images()):
                values = _brought(image, transform)
                if normalise:
                    _rescale(values, spans[k, contrast], common[contrast])
                file = Path(folder) / f"{contrast}-{k}.npy"
                kept = open_memmap(file, "w+", np.float32, values.shape)
                kept[...] = values
                found[contrast].append(kept)
        yield found
        found.clear()


def _brought(image: Image, transform: Transform) -> NDArray[np.float32]:
    coordinates = transform.coordinates(image.grid)
    return warped(image.data, image.valid, transform.fixed.shape, coordinates, fill=np.nan)


def _rescale(
    values: NDArray[np.float32], span: NDArray[np.float64], common: NDArray[np.float64]
) -> None:
    scale = (common[1] - common[0]) / (span[1] - span[0])
    values -= np.float32(span[0])
    values *= np.float32(scale)
    values += np.float32(common[0])
