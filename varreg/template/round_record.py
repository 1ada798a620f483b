"""Measurements of a round."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.label_resampling import resampled_labels
from ..images.image import Image
from ..transforms.transform import Transform
from .measures import head_of_template, likeness, mean_dice, moved, steepness
from .people import Person
from .stacks import Stack
from .template import Round


def round_record(
    kind: str, template: Sequence[Image], people: Sequence[Person], maps: Sequence[Transform],
    mean: Transform, stacks: Sequence[Stack], begun: float,
) -> Round:  # fmt: skip
    """The record of a round.

    Parameters
    ----------
    kind : str
    template : sequence of Image
        New template, one image per contrast.
    people : sequence of Person
    maps : sequence of Transform
        From the new template, after subtraction of their mean.
    mean : Transform
        The subtracted mean.
    stacks : sequence of list of arrays
        The participants' images warped to the template, for each contrast.
    begun : float
        Start time of the round, by ``time.perf_counter``.
    """
    image = template[0]
    head, spacing = head_of_template(image), image.grid.spacing
    steep = [steepness(values, head, spacing) for values in stacks[0]]
    alike = np.mean(
        [
            [likeness(values, each, head) for values in stack]
            for each, stack in zip(template, stacks, strict=True)
        ],
        axis=0,
    )
    overlap = None
    if all(person.labels is not None for person in people):
        overlap = mean_dice(
            [_labels(person, each) for person, each in zip(people, maps, strict=True)]
        )
    return Round(
        kind,
        moved(mean, head, whole=True),
        float(np.mean([moved(each, head, whole=False) for each in maps])),
        steepness(image.data, head, spacing) / float(np.mean(steep)),
        tuple(map(float, alike)),
        overlap,
        time.perf_counter() - begun,
    )


def _labels(person: Person, transform: Transform) -> NDArray[Any]:
    data, where = person.labels_at()
    return resampled_labels(data, transform.fixed.shape, transform.coordinates(where), "nearest")
