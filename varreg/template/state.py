"""The registrations of a template on disk, so that a killed run goes on where it was.

A folder with ``state.json``, which says of what it is, and ``round-02/0007.npz`` for the map of each person in each round,
with all its bits.  Everything else follows from these and is computed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._version import __version__
from ..errors import FileError
from ..geometry.displacement import Float
from ..io.atomic import atomic_path
from ..io.destination import explained, usable_path
from ..io.files import read_json, write_json

FILE = "state.json"


@dataclass(frozen=True)
class Found:
    """What a registration found.

    Attributes
    ----------
    affine : (d + 1, d + 1) array
    nodes : (d, *m) array or None
    constraint : str
    warnings : tuple of str
        What its checks warn of.
    """

    affine: Float
    nodes: Float | None
    constraint: str
    warnings: tuple[str, ...]


class State:
    """The folder of a run; nothing is kept if there is none.

    Parameters
    ----------
    folder : str, PathLike or None
        Made if it is not there.
    content : dict
        All that decides the result, as JSON.

    Raises
    ------
    FileError
        If it holds the state of other images or options, or anything else.
    """

    def __init__(self, folder: Any, content: dict[str, Any]) -> None:
        self.folder: Path | None = None
        if folder is None:
            return
        self.folder = usable_path(folder, "varreg.build_template", "state")
        key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        file = self.folder / FILE
        if file.exists():
            if read_json(file).get("key") != key:
                raise FileError(
                    f"varreg.build_template: `state` {str(self.folder)!r} was begun with other images, masks, options or another "
                    "version of varreg; delete it to begin anew, or name another folder."
                )
            return
        with explained(self.folder):
            if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
                raise FileError(
                    f"varreg.build_template: `state` {str(self.folder)!r} exists and holds no {FILE!r}; name another folder."
                )
            self.folder.mkdir(parents=True, exist_ok=True)
        write_json(file, {"key": key, "varreg": __version__, **content})

    def load(self, number: int, person: int) -> Found | None:
        """What a person's registration in a round found, if it has been kept whole."""
        file = self._file(number, person)
        if file is None or not file.is_file():
            return None
        with np.load(file, allow_pickle=False) as kept:
            nodes = kept["nodes"] if "nodes" in kept.files else None
            said = json.loads(str(kept["said"]))
            return Found(kept["affine"], nodes, said["constraint"], tuple(said["warnings"]))

    def keep(self, number: int, person: int, found: Found) -> None:
        """Write what a registration found, whole or not at all."""
        file = self._file(number, person)
        if file is None:
            return
        with explained(file):
            file.parent.mkdir(exist_ok=True)
        said = json.dumps({"constraint": found.constraint, "warnings": found.warnings})
        parts: dict[str, Any] = {"affine": found.affine, "said": np.array(said)}
        if found.nodes is not None:
            parts["nodes"] = found.nodes
        with atomic_path(file, overwrite=True) as temporary, open(temporary, "wb") as stream:
            np.savez(stream, **parts)

    def missing(self, number: int, people: Sequence[int]) -> list[int]:
        """Those of whom nothing is kept in a round."""
        return [k for k in people if (file := self._file(number, k)) is None or not file.is_file()]

    def _file(self, number: int, person: int) -> Path | None:
        if self.folder is None:
            return None
        return self.folder / f"round-{number:02d}" / f"{person:04d}.npz"
