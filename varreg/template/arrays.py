"""Images of a round in one file, bitwise exact."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..geometry.grid import Grid
from ..images.image import Image
from ..io.atomic import atomic_path


def write_images(path: Path, images: Sequence[Image]) -> Path:
    """Write images on one grid; an identical existing file is not rewritten."""
    first = images[0]
    parts = {"affine": first.grid.affine, "data": np.stack([image.data for image in images])}
    if first.frame is not None:
        parts["frame"] = first.frame
    if any(image.valid is not None for image in images):
        whole = np.ones(first.grid.shape, bool)
        parts["valid"] = np.stack([whole if i.valid is None else i.valid for i in images])
    if not _same(path, parts):
        with atomic_path(path, overwrite=True) as temporary, open(temporary, "wb") as stream:
            np.savez(stream, **parts)  # type: ignore[arg-type]
    return path


def read_images(path: Path) -> list[Image]:
    """The images written by :func:`write_images`."""
    with np.load(path) as kept:
        parts = {name: kept[name] for name in kept.files}
    grid = Grid(parts["data"].shape[1:], parts["affine"])
    valid = parts.get("valid", [None] * len(parts["data"]))
    return [
        Image(np.ascontiguousarray(data), grid, frame=parts.get("frame"), valid=shown)
        for data, shown in zip(parts["data"], valid, strict=True)
    ]


def _same(path: Path, parts: dict[str, np.ndarray]) -> bool:
    if not path.is_file():
        return False
    try:
        with np.load(path) as kept:
            names = set(kept.files)
            return names == set(parts) and all(np.array_equal(kept[n], parts[n]) for n in names)
    except (OSError, ValueError, EOFError):  # damaged
        return False
