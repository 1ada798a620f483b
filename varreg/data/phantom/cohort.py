"""A small artificial BIDS dataset: participants with a T1w and a T2w image each, and a template."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .anatomy import brain_labels
from .pairs import BLUR, T1, T2, acquire, check_shape, contrast
from .random_map import random_invertible_map, sample, voxel_grid

#: Field of view, in mm along every axis.
EXTENT = 192.0
#: Voxels in 224: root mean square of the displacement of a participant, and its correlation length.
RMS, LENGTH = 7.0, 42.0
BIAS, NOISE = 0.08, 0.02
LABELS = Path("derivatives", "labels")
DESCRIPTION = {"Name": "Phantoms", "BIDSVersion": "1.10.0"}


def bids_dataset(
    folder: str | os.PathLike[str],
    people: int = 4,
    shape: tuple[int, int, int] = (32, 40, 32),
    seed: int = 0,
    sessions: tuple[str, ...] = (),
) -> Path:
    """Write a BIDS dataset of artificial brains.

    Each participant is the anatomy of the template, deformed by an individual random invertible map and a mild affine map
    (``varreg.data.phantom.random_map``); the T2w image is shifted by up to two voxels relative to the T1w image.  Label maps
    are in ``derivatives/labels``.

    Parameters
    ----------
    folder : str or PathLike
        Folder to be created.
    people : int
    shape : tuple of int
        Shape of every image, at least 32 voxels along each axis.
    seed : int
        The seed of participant k is (seed, k), whatever the number of participants.
    sessions : tuple of str
        Labels, each with separate images; none by default.

    Returns
    -------
    Path
        The template, ``tpl-phantom_T1w.nii.gz``, beside the participants' folders.

    Raises
    ------
    varreg.errors.InputError
        If the folder exists, or the shape is invalid.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     template = bids_dataset(place + "/bids", people=1)
    ...     sorted(path.name for path in Path(place, "bids", "sub-01", "anat").iterdir())
    ['sub-01_T1w.json', 'sub-01_T1w.nii.gz', 'sub-01_T2w.json', 'sub-01_T2w.nii.gz']
    """
    root = Path(os.fsdecode(folder))
    if root.exists():
        raise InputError(f"bids_dataset: `folder` {str(root)!r} exists; give another.")
    check_shape(shape, "bids_dataset")
    root.mkdir(parents=True)
    _json(root / "dataset_description.json", DESCRIPTION)
    (root / "README.md").write_text("Artificial brains, made by varreg.data.phantom.\n")
    _json(root / LABELS / "dataset_description.json", {**DESCRIPTION, "DatasetType": "derivative"})
    labels = brain_labels(shape, np.random.default_rng((seed, 0)))
    width = max(2, len(str(people)))
    for k in range(1, people + 1):
        for number, session in enumerate(sessions or ("",)):
            name = f"sub-{k:0{width}d}" + (f"_ses-{session}" if session else "")
            _person(root, name, labels, np.random.default_rng((seed, k, number)))
    template = root.parent / "tpl-phantom_T1w.nii.gz"
    _image(template, _seen(labels, T1, voxel_grid(shape), np.random.default_rng((seed, 0))))
    return template


def _person(root: Path, name: str, labels: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Write both images and the label map of one session."""
    rms, length = (part / 224 * float(np.mean(labels.shape)) for part in (RMS, LENGTH))
    psi, _ = random_invertible_map(labels.shape, rng, rms, length, True)
    place = root / name.replace("_", "/") / "anat"
    shift = rng.uniform(-2, 2, (3, 1, 1, 1))
    beside = np.stack([sample(part, voxel_grid(labels.shape) + shift) for part in psi])
    for suffix, table, points in (("T1w", T1, psi), ("T2w", T2, beside)):
        _image(place / f"{name}_{suffix}.nii.gz", _seen(labels, table, points, rng))
        _json(place / f"{name}_{suffix}.json", {"Manufacturer": "none"})
    own = sample(labels, psi, order=0).astype(np.uint8)
    _image(root / LABELS / place.relative_to(root) / f"{name}_dseg.nii.gz", own)


def _seen(
    labels: NDArray[np.uint8], table: tuple[float, ...], points: Any, rng: np.random.Generator
) -> NDArray[np.float32]:
    """The anatomy in one contrast, sampled at points."""
    values = sample(contrast(labels, table, BLUR), points).astype(np.float32)
    head = sample(labels, points, order=0) > 0
    return np.asarray(acquire(values, head, BIAS, NOISE, rng), dtype=np.float32)


def _image(path: Path, values: np.ndarray) -> None:
    import nibabel

    spacing = EXTENT / np.array(values.shape)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (spacing - EXTENT) / 2
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(path)


def _json(path: Path, content: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")
