"""Every kernel on a small problem against NumPy, in a process of its own: ``python -m ... FLAVOUR [MUTANT]``.

Without the sanitizers' processes in mind this would be a test like any other; they must be loaded before Python.
Exit code 3 if a result is wrong, 4 if a launch fails; the sanitizers have codes of their own.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from varreg.backends.arrays import Warped, Windows, Workspace
from varreg.backends.cupy import gathering, launch, residence, vectors
from varreg.backends.cupy.backend import CuPyBackend
from varreg.backends.numpy import backend as reference
from varreg.backends.overlap import overlap_for
from varreg.geometry.displacement import axis_table
from varreg.similarity.estimator import parzen_kernel
from varreg.similarity.histogram_rows import histogram_rows
from varreg.similarity.volumes import moving_image, voxel_map

from .fake_cupy import FakeCuPy
from .host_module import ORDERS
from .mutants import MUTANTS

BINS = 12
KERNEL = parzen_kernel(BINS, 0.5)
WINDOWS = Windows(3, 0.5)
WRONG, FAILED = 3, 4


def scene(shape, size, nodes, cubic, masked, boundary):
    """Moving image, map, nodes and fixed image of a small problem that leaves the view on purpose."""
    rng, d = np.random.default_rng(1), len(shape)
    span = (2.0, BINS - 3.0)
    mask = rng.random(size) if masked else None
    moving = moving_image(rng.uniform(*span, size).astype(np.float32), mask, span, cubic)
    constraint = "zero-boundary" if boundary else "zero-mean"
    tables = [axis_table(np.arange(n), n, m, constraint) for n, m in zip(shape, nodes, strict=True)]
    scale = np.diag(np.array(size) / shape)
    linear = np.column_stack([scale + rng.uniform(-0.1, 0.1, (d, d)), rng.uniform(-1, 2, d)])
    where = voxel_map(tables, linear, scale, np.float32)
    field = np.zeros((3, *(1,) * (3 - d), *nodes), np.float32)
    field[3 - d :] = rng.uniform(-0.8, 0.8, (d, *field.shape[1:]))
    volume = (1,) * (3 - d) + tuple(shape)
    bins, counted = rng.integers(0, BINS, volume), rng.random(volume) > 0.2
    rows = (histogram_rows(bins, BINS, counts, counted) for counts in ((1, d - 1, 2), (1, 1, 1)))
    return moving, where, field, *rows


SCENES = {
    "plane": ((9, 12), (10, 11), (4, 5), False, False, False),
    "plane-boundary-mask": ((9, 12), (8, 13), (9, 12), False, True, True),
    "volume": ((4, 5, 6), (5, 4, 7), (2, 3, 3), False, True, False),
    "volume-cubic": ((4, 5, 6), (5, 4, 7), (4, 2, 6), True, False, True),
}


def results(backend, moving, where, nodes, rows, whole):
    """What all kernels make of a scene, in an order of its own."""
    place, workspace, shape = (moving, where, nodes), Workspace(), rows.row.shape
    yield backend.joint_histogram(*place, rows, Workspace(), 1)
    yield np.array(backend.mutual_information(*place, rows, KERNEL, workspace, 1))
    yield backend.information_gradient(*place, rows, KERNEL, 1.0, workspace, 1)
    overlap, weights = overlap_for(backend), np.linspace(0.1, 1, BINS * BINS).reshape(BINS, BINS)
    there = backend.resident(moving), where, nodes, backend.resident(whole)
    found = overlap.information(*there, KERNEL, weights, workspace, 1)
    yield np.array(found)
    for share in (0.5, 2):  # the overlap counts in full, or not
        least = share * found[1]
        yield overlap.gradient(*there, KERNEL, weights, least, workspace, 1)
    warped = Warped.empty(shape, nodes.dtype)
    backend.warp(*place, warped, 1)
    full = warped.full.reshape(*shape[:2], 1).astype(bool)
    yield warped.value
    yield np.where(full, 1, warped.weight)
    warped.full[...] = 0
    rng = np.random.default_rng(2)
    warped.slope[...], warped.weight_slope[...] = rng.normal(size=(2, *shape))
    yield backend.backproject(*place, warped, Workspace(), 1)
    fixed = np.where(rows.row >= 0, rows.row % BINS + 0.3, -1).astype(np.float32)
    yield backend.windowed_histogram(fixed, warped, BINS, WINDOWS, 1)
    backend.windowed_slope(fixed, warped, rng.normal(size=(BINS, BINS)), WINDOWS, 1)
    yield warped.slope
    yield warped.weight_slope
    field = nodes[3 - np.count_nonzero(np.array(shape) > 1) :].squeeze().astype(float)
    bound, cell = backend.determinant_bound(field, np.ones(len(field)), 1)
    yield np.array([bound, *cell])
    yield np.array(backend.determinant_bound(0 * field, np.ones(len(field)), 1)[1])
    for share in (0.1, 1):  # of the whole field some cells fold
        place = share * field, np.linspace(1, 1.5, len(field)), 1
        yield np.array(backend.volume(*place))
        yield backend.volume_gradient(*place)
    yield from of_vectors(backend, rng.normal(size=(3, 3, 3, 4, 5)))
    points = rng.uniform(-1, 8, (3, 30)).astype(np.float32)
    points[:, 0] = np.nan
    found = np.empty(30, np.float32)
    backend.read_linear(moving.image, points, -1.0, found)
    yield found
    start, weights = np.array([0, 1]), np.array([[0.3, 0.7], [0.5, 0.5]], np.float32)
    yield backend.average_axis(moving.image, 2, start, weights, 1)


def of_vectors(backend, arrays):
    """Products and sums of arrays."""
    if backend is reference:
        one, two, three = arrays
        yield np.array([np.vdot(one, two), np.vdot(two, three), np.vdot(three, three)])
        yield np.sqrt(np.square(one).sum(0).max())
        yield 2 * one - two + 0.5 * three
    else:
        one, two, three = map(backend.resident, arrays)
        yield np.array(backend.vectors.inner_products([(one, two), (two, three), (three, three)]))
        yield np.array(backend.vectors.largest_length(one))
        yield backend.vectors.combination([2.0, -1.0, 0.5], [one, two, three]).get()


def together(backend, scenes):
    """The results of all scenes, computed at the same time."""
    context = backend.together()

    def of_one(parts):
        with context():
            return list(results(backend, *parts))

    with ThreadPoolExecutor(len(scenes)) as pool:
        return list(pool.map(of_one, scenes))


def absurd(backend, moving, where, nodes, rows, whole):
    """Positions that are no numbers must not become indices; all results are finite."""
    nodes = nodes.copy()
    nodes[1, 0, 1, 1], nodes[2, 0, 0, 1] = np.nan, np.inf
    place = moving, where, nodes
    warped = Warped.empty(rows.row.shape, nodes.dtype)
    backend.warp(*place, warped, 1)
    finite = np.isfinite(warped.value).all() and np.isfinite(warped.weight).all()
    field = np.zeros((3, 2, 3, 4))
    field[1, 1, 1, 1] = np.nan
    return finite and backend.vectors.largest_length(backend.resident(field)) == np.inf


def check(flavour, orders):
    """Whether all results are those of NumPy and the same bits in all orders."""
    backends = [CuPyBackend(0, FakeCuPy(flavour, order)) for order in orders]
    scenes = [scene(*arguments) for arguments in SCENES.values()]
    for parts, beside_others in zip(scenes, together(backends[0], scenes), strict=True):
        wanted = list(results(reference, *parts))
        first, *others = ([*results(backend, *parts)] for backend in backends)
        for found, right in zip(first, wanted, strict=True):
            scale = max(np.abs(right).max(), 1e-3)
            if not np.allclose(found, right, rtol=0, atol=1e-3 * scale):
                return False
        for other in (*others, beside_others):
            if not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True)):
                return False
        if not all(absurd(backend, *parts) for backend in backends):
            return False
    return True


def main(flavour, mutant=None):
    if mutant is not None:
        _, old, new = MUTANTS[int(mutant)]
        right = launch.source_for_many
        launch.source_for_many = lambda *code: right(*code).replace(old, new, 1)
    residence.VOXELS_PER_BLOCK = 24  # several blocks add to one table
    vectors.FEWEST = 60  # and several blocks to one product
    gathering.SILENCE = 1.0  # launches are for several pairs
    orders = tuple(ORDERS) if flavour in ("plain", "fma") else ("forward",)
    try:
        return 0 if check(flavour, orders) else WRONG
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
