"""Writing of warped volumes one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.grid import Grid
from ..images.image import Image
from ..images.volumes import Volumes
from ..io.series_file import packed, series_writer, storage_type
from ..report.progress import count_bar
from ..stages.arguments import thread_count

#: Volume number and image -> warped voxels.
Warp = Callable[[int, Image], NDArray[Any]]


def write_warped(
    path: Path, volumes: Volumes, warp: Warp, grid: Grid, labels: bool, threads: int | None,
    progress: bool | None,
) -> NDArray[np.float32]:  # fmt: skip
    """Write the warped volumes one by one; returns their mean, NaN where no volume has data."""
    threads = thread_count(threads, volumes.function)
    dtype: np.dtype[Any] = np.dtype(np.float32)
    if labels:
        found = np.dtype(volumes.stored.dtype)
        dtype = np.dtype(np.int32) if found.kind == "f" else storage_type(found)
    compressed = path.name.lower().endswith(".gz")
    total, known = np.zeros(grid.shape), np.zeros(grid.shape, np.int32)

    def made(number: int, array: NDArray[Any]) -> tuple[NDArray[Any], tuple[bytes, bytes]]:
        warped = warp(number, volumes.image(number, array))
        return warped, packed(warped, dtype, compressed)

    with (
        series_writer(path, grid, volumes.count, volumes.step, dtype) as write,
        count_bar(volumes.count, progress, unit="volumes") as shown,
    ):
        for warped, data in volumes.each(made, threads):
            write(data)
            there = np.isfinite(warped)
            np.add(total, warped, out=total, where=there)
            known += there
            shown.update()
    mean = np.divide(total, known, out=np.full(grid.shape, np.nan), where=known > 0)
    return mean.astype(np.float32)
