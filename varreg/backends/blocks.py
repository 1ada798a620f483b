"""Blocks of an image for parallel processing; they depend on its size only, not on the number of threads."""

from __future__ import annotations

VOXELS_PER_BLOCK = 12_500
MOST_BLOCKS = 64


def block_count(voxels: int) -> int:
    """Number of blocks for an image: a function of its size only."""
    return max(1, min(MOST_BLOCKS, voxels // VOXELS_PER_BLOCK))


def row_tiles(
    planes: tuple[int, int], rows: tuple[int, int], count: int
) -> list[tuple[int, int, int, int]]:
    """Partition of the rows [rows) of the planes [planes) into at most `count` tiles.

    A tile is (first plane, plane after the last, first row, row after the last).
    """
    (i0, i1), (j0, j1) = planes, rows
    across = min(count, i1 - i0)
    down = min(max(count // across, 1), j1 - j0)
    i, j = _cuts(i0, i1, across), _cuts(j0, j1, down)
    return [
        (*a, *b) for a in zip(i[:-1], i[1:], strict=True) for b in zip(j[:-1], j[1:], strict=True)
    ]


def _cuts(first: int, stop: int, count: int) -> list[int]:
    return [first + k * (stop - first) // count for k in range(count + 1)]
