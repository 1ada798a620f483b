"""Coarsening of images by averaging over the exact extent of each coarse voxel."""

from __future__ import annotations

from .compiled import kernel


@kernel
def average_axis(first, stop, blocks, source, start, weights, out):
    """Weighted sums of neighbours: out[p, j, q] = sum_t weights[j, t] source[p, start[j] + t, q].

    source (a, n, c), out (a, m, c), start (m,) int array, weights (m, t) with rows that sum to 1;
    blocks partition the first axis.
    """
    planes, count = source.shape[0], start.shape[0]
    for block in range(first, stop):
        for p in range(block * planes // blocks, (block + 1) * planes // blocks):
            for j in range(count):
                for q in range(source.shape[2]):
                    total = source[p, start[j], q] * weights[j, 0]
                    for t in range(1, weights.shape[1]):
                        total += source[p, start[j] + t, q] * weights[j, t]
                    out[p, j, q] = total
