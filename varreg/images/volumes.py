"""Volumes of an image series (4D), read one at a time: memory does not grow with their number."""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..backends.threads import each
from ..errors import FileError, VarregError
from ..geometry.grid import Grid
from ..optimise.check import Check
from .image import Image, image_of
from .payload import is_compressed, scaled
from .stored import Stored
from .voxels import refuse_constant

Made = TypeVar("Made")

#: Volumes per thread that are processed between two synchronisations.
VOLUMES_PER_THREAD = 4


@dataclass(frozen=True, eq=False)
class Volumes:
    """A series of volumes on one grid, read on demand.

    Attributes
    ----------
    stored : nibabel array proxy or array
        (x, y, z, n).
    grid : Grid
        Grid of each volume.
    count : int
        n, at least 1.
    name : str
        File name, or "" for arrays.
    step : float
        Seconds from one volume to the next; 0 if that is not known.
    checks, notes
        As in :class:`varreg.Image`.
    argument, function : str
        Names for messages.
    placed : bool
        Whether its geometry was given.
    """

    stored: Any
    grid: Grid
    count: int
    name: str
    step: float
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    argument: str
    function: str
    placed: bool = True

    def arrays(self, first: int = 0) -> Generator[NDArray[Any], None, None]:
        """The voxels of the volumes in order, starting at `first`."""
        try:
            if self._compressed is None:
                for number in range(first, self.count):
                    yield np.asarray(self.stored[..., number])
            else:
                yield from self._inflated(self._compressed, first)
        except VarregError:
            raise
        except Exception as error:
            raise FileError(
                f"{self.function}: `{self.argument}` cannot be read ({type(error).__name__}: {error}); check that "
                "the file is complete."
            ) from error

    def image(self, number: int, array: NDArray[Any]) -> Image:
        """Volume `number` with the given voxels as an image."""
        stored = Stored(array, self.grid.affine, f"volume {number}")
        argument = f"{self.argument}[..., {number}]"
        return image_of(stored, argument=argument, function=self.function)

    def registrable(self, number: int, array: NDArray[Any]) -> Image:
        """As :meth:`image`, refused if it is constant."""
        image = self.image(number, array)
        known = image.data if image.valid is None else image.data[image.valid]
        argument = f"{self.argument}[..., {number}]"
        refuse_constant(known, argument=argument, function=self.function)
        return image

    def volume(self, number: int) -> Image:
        """One volume, refused if it is constant."""
        with closing(self.arrays(number)) as arrays:
            return self.registrable(number, next(arrays))

    def each(
        self, work: Callable[[int, NDArray[Any]], Made], threads: int, first: int = 0
    ) -> Iterator[Made]:
        """Results of a function of each volume, in order; several volumes are processed in parallel.

        Parameters
        ----------
        work : callable
            Number and voxels of a volume -> result.
        threads : int
        first : int
            First volume.
        """
        lock = threading.Lock()
        with closing(self.arrays(first)) as arrays:
            numbered = enumerate(arrays, first)
            for start in range(first, self.count, VOLUMES_PER_THREAD * threads):
                stop = min(start + VOLUMES_PER_THREAD * threads, self.count)
                made: dict[int, Made] = {}

                def task(
                    _: int, numbered: Iterator[Any] = numbered, made: dict[int, Made] = made
                ) -> None:
                    with lock:  # one thread reads, the others compute
                        found = next(numbered, None)
                    if found is not None:  # otherwise reading has failed in another thread
                        made[found[0]] = work(*found)

                each(task, range(start, stop), threads)
                for number in range(start, stop):
                    yield made.pop(number)

    @property
    def _compressed(self) -> Path | None:
        """The underlying compressed file, which can only be read from its beginning."""
        source = getattr(self.stored, "file_like", None)
        plain = hasattr(self.stored, "get_unscaled") and isinstance(source, (str, os.PathLike))
        path = Path(source) if plain and source is not None else None
        return path if path is not None and is_compressed(path) else None

    def _inflated(self, path: Path, first: int) -> Iterator[NDArray[Any]]:
        """The volumes of a compressed file."""
        stored, shape = self.stored, self.grid.shape
        size = self.grid.size * stored.dtype.itemsize
        with gzip.open(path) as stream:
            stream.seek(int(stored.offset) + first * size)
            for number in range(first, self.count):
                held = stream.read(size)
                if len(held) < size:
                    raise EOFError(f"the file ends within volume {number} of {self.count}")
                raw = np.frombuffer(held, stored.dtype).reshape(shape, order=stored.order)
                yield scaled(raw, float(stored.slope), float(stored.inter))
            while stream.read(1 << 20):  # to its end, where the checksum is
                pass
