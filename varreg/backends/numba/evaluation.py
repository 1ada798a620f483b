"""One evaluation of mutual information and of its gradient, cut into blocks that threads share out.

Five steps, each of which needs the whole of the one before: the joint histogram of each tile, the
information of each region, its derivative by the histogram, the forces that it means for the nodes of
each tile, and their sum.  Blocks never share what they write, and are added up in a fixed order: who
computes them, and how many threads there are, does not change a bit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..arrays import Array, Labels, Moving, VoxelMap
from .atomic import fetch_add, give_way, load, store
from .matching import pull, scatter
from .nodes import sum_tiles
from .rows import Row, allocate_row
from .tables import TableScratch, allocate_tables, information, smooth

#: The steps, as bits of what is to be done.
SCATTER, INFORM, SLOPE, PULL, GATHER = 1, 2, 4, 8, 16

#: Places of the numbers that threads share, each on a cache line of its own.
TICKET, DONE, CLOSED, PLACES = 0, 16, 32, 48
#: A ticket is step << 48 | number of blocks << 24 | next block.
STEP, COUNT, FIELD = 48, 24, 2**24 - 1
#: How often a helper looks for work in vain before it leaves: about half a millisecond.
PATIENCE = 2000


class Evaluation(NamedTuple):
    """What the steps read and write; the same arrays from one evaluation of a level to the next."""

    moving: Moving
    where: VoxelMap
    nodes: Array  # (3, a, b, c)
    labels: Labels
    first_tile: NDArray[np.int64]  # (G + 1,) of each group of tiles
    tables: Array  # (T L + T, B) histograms of the tiles: see matching.scatter
    stack: Array  # (T L / B, B, B) the same memory, table by table
    band: Array  # (2 r + 1, B) of the Parzen matrix: see tables.smooth_tables
    transposed: Array  # (2 r + 1, B) of its transpose
    scale: Array  # (1,) factor of the derivative
    mass: Array  # (R,) weight of each region
    value: Array  # (R,) weight times mutual information of each region
    ratio: Array  # (R, B, B) its derivative by the smoothed histogram
    slope: Array  # (R B + 1, B) derivative by the histogram times scale; the last row is 0
    partial: Array  # (T, 3, a', b', n) forces on the nodes of each tile
    rowwise: Array  # (3, a, b, n)
    gathered: Array  # (3, a, b, c) their sum


class Scratch(NamedTuple):
    """Scratch of one thread."""

    row: Row
    missing: Array  # (L,)
    tables: TableScratch


@njit(nogil=True, cache=True)
def _allocate(work):
    n, nodes = work.labels.label.shape[2], work.nodes
    return Scratch(
        allocate_row(n, nodes.shape[2], nodes.shape[3], nodes),
        np.empty(work.labels.total.shape[1]),
        allocate_tables(work.tables.shape[1], work.band.shape[0] // 2),
    )


@njit(nogil=True, cache=True, _nrt=False)
def _inform(r, work, scratch):
    """Add up the tiles of region r in their order, and find its information."""
    along = work.labels.total.shape[1] // work.tables.shape[1]  # regions of a tile
    group, place = r // along, r % along
    first, stack, bins = work.first_tile[group], work.stack, work.tables.shape[1]
    for tile in range(first + 1, work.first_tile[group + 1]):
        for f in range(bins):
            for m in range(bins):
                stack[first * along + place, f, m] += stack[tile * along + place, f, m]
    found = information(first * along + place, stack, work.band, scratch, r, work.ratio)
    work.mass[r], work.value[r] = found


@njit(nogil=True, cache=True, _nrt=False)
def _slope(r, work, scratch):
    """Derivative of the information of region r by its histogram."""
    smooth(r, work.ratio, work.transposed, scratch, 0, scratch.table)
    bins, scale = work.tables.shape[1], work.scale[0]
    for f in range(bins):
        for m in range(bins):
            work.slope[r * bins + f, m] = scale * scratch.table[0, f, m]


@njit(nogil=True, cache=True)
def _blocks(step, work):
    if step == SCATTER or step == PULL:
        return work.labels.tiles.shape[0]
    return 3 if step == GATHER else work.mass.size


@njit(nogil=True, cache=True)
def take_part(steps, leads, shared, work):
    """Compute blocks until all `steps` are done (if this thread leads), or nobody needs help any more.

    Parameters
    ----------
    steps : int
        Sum of the steps to be done; 0 for a helper.
    leads : bool
        Whether this thread hands out the blocks; exactly one does, and it needs no helpers.
    shared : (PLACES,) int64 array
        The numbers that all threads share.
    work : Evaluation
    """
    scratch, labels, vain, step, count = _allocate(work), work.labels, 0, SCATTER, 0
    images = work.moving, work.where, work.nodes, labels
    planes, rows, _ = labels.label.shape
    sums = work.where, planes, planes + rows, work.rowwise, work.gathered
    while True:
        ticket = load(shared, TICKET)
        if ticket & FIELD < ticket >> COUNT & FIELD:
            ticket = fetch_add(shared, TICKET, 1)
            block, blocks = ticket & FIELD, ticket >> COUNT & FIELD
            if block < blocks:
                this = ticket >> STEP  # in line: a function more would be optimised once more
                if this == SCATTER:
                    scatter(block, *images, work.tables, scratch.row, scratch.missing)
                elif this == INFORM:
                    _inform(block, work, scratch.tables)
                elif this == SLOPE:
                    _slope(block, work, scratch.tables)
                elif this == PULL:
                    pull(block, *images, work.slope, work.partial, scratch.row)
                else:
                    sum_tiles(block, work.partial, labels.tiles, *sums)
                fetch_add(shared, DONE, 1)
                vain = 0
        elif not leads:
            vain += 1
            if vain > PATIENCE or load(shared, CLOSED) != 0:
                return
            give_way()
        elif load(shared, DONE) < count:
            give_way()  # another thread is still at its block
        else:
            while steps & step == 0:
                if step > GATHER:
                    return
                step *= 2
            count = _blocks(step, work)
            store(shared, DONE, 0)
            store(shared, TICKET, step << STEP | count << COUNT)
            step *= 2
