"""Label maps out of nothing: heads of simple shapes, and mosaics of random smooth regions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from varreg.data.phantom.anatomy import LABELS as BRAIN
from varreg.data.phantom.anatomy import brain_labels
from varreg.errors import InputError

from .random_fields import smooth_noise, uniform
from .slices import fit
from .synthesis import LabelTable

SKULL = len(BRAIN)
SCALP = SKULL + 1
LABELS = {**BRAIN, "skull": SKULL, "scalp": SCALP}
#: Labels of a mosaic follow those of a head.
MOSAIC = 12
_TOTAL = len(LABELS) + MOSAIC
_CLASSES = tuple(range(_TOTAL))
TABLE = LabelTable(
    values=_CLASSES,
    classes=_CLASSES,
    # ventricles are fluid, deep grey matter is near the cortex; everything else for itself
    tissues=tuple({BRAIN["ventricle"]: BRAIN["fluid"], BRAIN["deep grey"]: BRAIN["cortex"]}
                  .get(label, label) for label in _CLASSES),
    brain=tuple(label not in (BRAIN["background"], SKULL, SCALP) for label in _CLASSES),
)  # fmt: skip
_SMALLEST = 32  # voxels along an axis; a folded cortex needs that many


def head_labels(shape: Sequence[int], generator: torch.Generator) -> NDArray[np.uint8]:
    """A brain (:func:`varreg.data.phantom.anatomy.brain_labels`) of random size within skull and scalp.

    Parameters
    ----------
    shape : sequence of int
        (n, m) or (n, m, k), at least 32 along each axis.
    generator : torch.Generator

    Returns
    -------
    (*S) uint8 array
        See `LABELS`.

    Raises
    ------
    InputError
        If the shape is not such a one.

    Examples
    --------
    >>> labels = head_labels((48, 48), torch.Generator().manual_seed(0))
    >>> int(labels.max()) == LABELS["scalp"]
    True
    """
    from scipy.ndimage import distance_transform_edt

    _check_shape(shape, "head_labels")
    seed = int(torch.randint(2**62, (), generator=generator))
    size = tuple(max(_SMALLEST, int(n * uniform(0.78, 0.98, generator))) for n in shape)
    brain = brain_labels(size, np.random.default_rng(seed))
    labels = fit(brain, tuple(shape), tuple((n - 1) / 2 for n in size))
    depth = distance_transform_edt(labels == 0) / min(shape)
    # the bone is no shell of one thickness, nor is what covers it
    inner, outer = (
        0.5
        + 0.5 * torch.sigmoid(smooth_noise(shape, max(shape) / 4, 2, generator)).double().numpy()
    )
    skull = 0.04 * inner
    labels[(depth > 0) & (depth <= skull)] = SKULL
    labels[(depth > skull) & (depth <= skull + 0.05 * outer)] = SCALP
    return labels


def mosaic_labels(shape: Sequence[int], generator: torch.Generator) -> NDArray[np.uint8]:
    """Random smooth regions in a random round outline (after SynthMorph, 10.1109/TMI.2021.3116879).

    Every voxel takes the label whose smooth noise is largest there.

    Parameters
    ----------
    shape, generator
        As for :func:`head_labels`.

    Returns
    -------
    (*S) uint8 array
        0 outside, and labels that no head has.

    Examples
    --------
    >>> labels = mosaic_labels((48, 48), torch.Generator().manual_seed(0))
    >>> bool(labels[labels > 0].min() >= len(LABELS))
    True
    """
    _check_shape(shape, "mosaic_labels")
    spacing = max(shape) * uniform(0.06, 0.2, generator)
    regions = smooth_noise(shape, spacing, MOSAIC, generator).argmax(0)
    labels = (regions + len(LABELS)).to(torch.uint8).numpy()
    axes = [(2 * np.arange(n) + 1) / n - 1 for n in shape]
    radii = [uniform(0.7, 0.95, generator) for _ in shape]
    grids = np.meshgrid(*(x / r for x, r in zip(axes, radii, strict=True)), indexing="ij")
    outline = smooth_noise(shape, max(shape) / 3, 1, generator)[0].numpy()
    labels[sum(grid**2 for grid in grids) + 0.15 * outline > 1] = 0
    return labels


def _check_shape(shape: Sequence[int], function: str) -> None:
    if len(shape) not in (2, 3) or min(shape) < _SMALLEST:
        raise InputError(
            f"{function}: `shape` must be two or three numbers of voxels, each at least "
            f"{_SMALLEST}; got {tuple(shape)}."
        )
