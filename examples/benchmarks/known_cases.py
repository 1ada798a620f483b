"""Registrations with known ground truth, and the images of two disjoint sets of heads and people."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pairs import read_volume

Array = NDArray[np.floating]
#: Heads of two contrasts, people with labels, and slices of each head, by set.
HEADS = {"limits": ("ms07", "mni"), "report": ("du7294", "ms19")}
PEOPLE = {
    "limits": ("1000", "1001", "1002", "1006"),
    "report": ("1007", "1008", "1009", "1010"),
}
SEED = {"limits": 1, "report": 2}
#: Voxels of volumes are averaged over cubes of this many mm unless said otherwise.
REDUCED = 3


@dataclass(frozen=True)
class Case:
    """A registration and its answer.

    Attributes
    ----------
    kind, name : str
    moving, fixed : varreg.Image
    settings : dict
        For ``varreg.solve``.
    at, answer : (n, d) arrays
        Points of the fixed image and where they belong in the moving one, world; None if nothing is right.
    tolerance : float
        Mean error that is still right, world.
    """

    kind: str
    name: str
    moving: Any
    fixed: Any
    settings: dict[str, Any] = field(default_factory=dict)
    at: Array | None = None
    answer: Array | None = None
    tolerance: float = 3.0

    def error(self, result: Any) -> float:
        """Mean distance from the answer, infinite where there is none."""
        if self.at is None:
            return np.inf
        return float(np.linalg.norm(result.points(self.at) - self.answer, axis=1).mean())


def head_images(data: Path, name: str) -> tuple[Array, Array]:
    entry = next(e for e in json.loads((data / "manifest.json").read_text()) if e["id"] == name)
    return read_volume(data / entry["T1"]), read_volume(data / entry["T2"])


def stain_images(data: Path) -> tuple[Array, Array]:
    from PIL import Image

    folder, found = data / "histology", []
    for stem in ("HE", "proSPC"):
        picture = Image.open(folder / f"Izd2-29-041-w35_{stem}.jpg").convert("L")
        small = picture.resize((picture.width // 2, picture.height // 2), Image.BOX)
        found.append(255 - np.asarray(small, np.float32))
    return found[0], found[1]


def reduced(a: Array, by: int = REDUCED) -> Array:
    cut = a[tuple(slice(0, n // by * by) for n in a.shape)]
    shape = [part for n in cut.shape for part in (n // by, by)]
    return cut.reshape(shape).mean(tuple(range(1, 2 * a.ndim, 2)))


def image(a: Array, spacing: float = 1.0) -> Any:
    import varreg

    return varreg.Image.from_array(np.ascontiguousarray(a, dtype=np.float32), spacing=spacing)
