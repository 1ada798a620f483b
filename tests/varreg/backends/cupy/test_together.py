"""Many pairs on the device at a time: the bits of one by one, and no more launches and waits than of one."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import varreg
from varreg.backends.arrays import Warped, Workspace
from varreg.backends.cupy import gathering
from varreg.backends.cupy.backend import BYTES_PER_VOXEL
from varreg.batch import executor
from varreg.batch.pairs_together import PAIRS_TOGETHER
from varreg.errors import InputError
from varreg.selftest.images import deformed_pair, smooth_image
from varreg.similarity.estimator import parzen_kernel

from ..scenes import BINS, CASES, WINDOWS, both_types, scene
from .device import ORDERS, backend, needs_compiler

pytestmark = needs_compiler
KERNEL = parzen_kernel(BINS, 0.5)
PATIENCE = 60  # seconds
QUIET = dict(backend="cupy", progress=False)


@pytest.fixture
def patient(monkeypatch):
    """All wait for all, however long that takes."""
    monkeypatch.setattr(gathering, "SILENCE", PATIENCE)


def in_threads(kernels, tasks):
    """What the tasks return, run at the same time and together."""
    together, ready = kernels.together(), threading.Barrier(len(tasks))

    def run(task):
        with together():
            ready.wait(PATIENCE)
            return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return [f.result(PATIENCE) for f in [pool.submit(run, task) for task in tasks]]


class Pair:
    """The images of a scene on the device, and everything that a descent asks of them."""

    def __init__(self, kernels, case, dtype, regions=(2, 2, 3)):
        self.scene, self.kernels = scene(case, dtype, cubic="mask" in case), kernels
        self.moving = kernels.resident(self.scene.moving)
        self.rows = kernels.resident(self.scene.histogram_rows(regions))
        self.fixed = kernels.resident(self.scene.fixed())
        self.buffers = kernels.resident(Warped.empty(self.scene.shape, dtype))
        self.workspace, self.nodes = Workspace(), self.scene.nodes
        self.information()  # sends what does not change

    def place(self):
        return self.moving, self.scene.where, self.nodes

    def information(self):
        """Value and gradient of mutual information."""
        place = *self.place(), self.rows, KERNEL
        value = self.kernels.mutual_information(*place, self.workspace, 1)
        gradient = self.kernels.information_gradient(*place, 0.1, self.workspace, 1)
        return np.array(value), gradient.copy()

    def everything(self):
        """Whatever else there is."""
        found, kernels, work = [*self.information()], self.kernels, Workspace()
        table = kernels.joint_histogram(*self.place(), self.rows, work, 1)
        found += [
            table,
            kernels.backproject_table(*self.place(), self.rows, table / 100, work, 1).copy(),
        ]
        kernels.warp(*self.place(), self.buffers, 1)
        table = kernels.windowed_histogram(self.fixed, self.buffers, BINS, WINDOWS, 1)
        kernels.windowed_slope(self.fixed, self.buffers, table / 100, WINDOWS, 1)
        found += [table, *(b.get() for b in (self.buffers.value, self.buffers.slope))]
        found.append(kernels.backproject(*self.place(), self.buffers, work, 1).copy())
        return found + self.of_the_field()

    def of_the_field(self):
        """The bound on folds, the volume term and its gradient."""
        d = 3 if self.scene.shape[0] > 1 else 2
        field = 0.3 * self.nodes[3 - d :].reshape(d, *self.nodes.shape[4 - d :]).astype(float)
        place = field, np.linspace(1, 1.5, d), 1
        bound, cell = self.kernels.determinant_bound(*place)
        return [
            np.array([bound, *cell]),
            np.array(self.kernels.volume(*place)),
            self.kernels.volume_gradient(*place).copy(),
        ]


def assert_same(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


@both_types
@pytest.mark.parametrize("order", ORDERS)
def test_pairs_of_all_shapes_and_kinds_get_the_bits_of_one_by_one(order, dtype, patient):
    kernels = backend("plain", order)
    pairs = [Pair(kernels, case, dtype) for case in CASES]
    alone = [pair.everything() for pair in pairs]
    for found, wanted in zip(
        in_threads(kernels, [p.everything for p in pairs]), alone, strict=True
    ):
        assert_same(found, wanted)


def test_pairs_in_both_precisions_go_together(patient):
    kernels = backend()
    pairs = [Pair(kernels, "2d-mask", dtype) for dtype in (np.float32, np.float64)]
    alone = [pair.everything() for pair in pairs]
    for found, wanted in zip(
        in_threads(kernels, [p.everything for p in pairs]), alone, strict=True
    ):
        assert_same(found, wanted)


@pytest.mark.parametrize("many", [2, 9])
def test_launches_transfers_and_waits_are_those_of_one_pair(many, patient):
    kernels, cases = backend(), list(CASES)
    pairs = [Pair(kernels, cases[k % len(cases)], np.float32) for k in range(many)]
    slices = [Pair(kernels, "2d", np.float32) for _ in range(many)]
    log = kernels.cupy.log

    def counted(tasks):
        log.reset()
        in_threads(kernels, tasks)
        return Counter(log.launches), log.uploads, log.synchronisations

    launches, up, waits = counted([pairs[0].information])
    assert (launches.total(), up, waits) == (9, 2, 2)
    assert counted([pair.information for pair in pairs]) == (launches, up, waits)
    launches, up, waits = counted([slices[0].of_the_field])
    assert (launches.total(), up, waits) == (3, 3, 3)
    assert counted([pair.of_the_field for pair in slices]) == (launches, up, waits)


PAIRS = [deformed_pair(s, k) for k, s in enumerate([(60, 56), (52, 64), (18, 20, 16), (60, 56)])]
SLICES = PAIRS[::3]
SETTINGS = {
    "default": (PAIRS, {}),
    "affine": (PAIRS, dict(affine="affine", deformable=False)),
    "zero-boundary": (PAIRS, dict(constraint="zero-boundary", deformable=True)),
    "nmi": (PAIRS, dict(similarity="nmi", iterations=5)),
    "lncc": (SLICES, dict(similarity="lncc", iterations=5)),
    "ssd": (SLICES, dict(similarity="ssd", iterations=5)),
    "mind": (SLICES, dict(similarity="mind", iterations=3)),
    "paper": (SLICES, dict(preset="paper", iterations=5)),
    "fine": (SLICES, dict(regularity="fine", iterations=5)),
}


#: Settings whose batches take many seconds where the kernels run on the CPU.
LONG = ("affine", "zero-boundary", "nmi")


@pytest.mark.parametrize(
    "setting",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in SETTINGS],
)
def test_a_batch_is_the_same_as_one_by_one(device, setting):
    pairs, settings = SETTINGS[setting]
    alone = [varreg.solve(*pair, threads=1, **QUIET, **settings) for pair in pairs]
    once = len(device.log.launches)
    device.log.reset()
    found = varreg.solve_batch(pairs, **QUIET, **settings)
    for one, other in zip(found, alone, strict=True):
        np.testing.assert_array_equal(one.displacement, other.displacement)
        np.testing.assert_array_equal(one.affine, other.affine)
        assert (one.energy, one.history) == (other.energy, other.history)
    assert len(device.log.launches) < once


def test_masks_and_starts_of_their_own_get_the_bits_of_one_by_one(device):
    (moving, fixed), other = PAIRS[0], PAIRS[1]
    mask = smooth_image(fixed.shape, 3, 0.7) > 0.3
    shift = np.eye(3)
    shift[0, 2] = 1.5
    pairs = [
        dict(moving=moving, fixed=fixed, fixed_mask=mask),
        dict(moving=moving, fixed=fixed, moving_mask=mask, affine=shift),
        dict(moving=other[0], fixed=other[1], affine="rigid"),
    ]
    found = varreg.solve_batch(pairs, iterations=6, **QUIET)
    for pair, result in zip(pairs, found, strict=True):
        alone = varreg.solve(**pair, iterations=6, threads=1, **QUIET)
        np.testing.assert_array_equal(result.displacement, alone.displacement)


@pytest.mark.parametrize("many", [1, 6])
def test_steps_of_many_slices_launch_and_wait_as_often_as_those_of_one(device, monkeypatch, many):
    steps, counts = 5, {}

    def begin():  # from now on all wait for all
        device.log.reset()
        monkeypatch.setattr(gathering, "SILENCE", PATIENCE)

    begun = threading.Barrier(many, action=begin)

    def observe(iteration):
        if iteration.iteration == 0:
            begun.wait(PATIENCE)
        elif iteration.iteration == steps and not counts:
            counts.update(Counter(device.log.launches), waits=device.log.synchronisations)
            monkeypatch.setattr(gathering, "SILENCE", 0.005)

    settings = dict(affine=None, deformable=True, levels=(1,), iterations=steps + 1)
    found = varreg.solve_batch(many * [PAIRS[0]], callback=observe, **settings, **QUIET)
    alone = varreg.solve(*PAIRS[0], threads=1, **settings, **QUIET)
    rejected = sum(step.backtracks for step in alone.history if 0 < step.iteration <= steps)
    assert counts["plane_bound"] == counts["region_information"] == steps + rejected
    assert steps <= counts["smooth_transposed"] <= steps + rejected
    assert counts["waits"] <= steps + 3 * rejected
    for result in found:
        np.testing.assert_array_equal(result.displacement, alone.displacement)


def test_an_error_of_one_pair_leaves_the_others(device):
    flat = np.ones((60, 56), np.float32)
    pairs = [PAIRS[0], (flat, PAIRS[0][1]), "no pair", PAIRS[1]]
    found = varreg.solve_batch(pairs, errors="return", iterations=6, **QUIET)
    assert [type(f) for f in found] == [varreg.Result, InputError, InputError, varreg.Result]
    alone = varreg.solve(*PAIRS[1], iterations=6, threads=1, **QUIET)
    np.testing.assert_array_equal(found[3].displacement, alone.displacement)
    with pytest.raises(InputError, match=r"^pairs\[1\] \(moving ndarray"):
        varreg.solve_batch(pairs[:2], iterations=6, **QUIET)


def test_too_little_memory_meets_the_pair_that_is_too_large(device):
    device.largest = 400_000  # bytes of an array
    pairs = [deformed_pair((32, 30), 1), deformed_pair((200, 180), 2)]
    with pytest.raises(MemoryError, match=r"^pairs\[1\].*GPU 0 is not enough.*fewer `threads`"):
        varreg.solve_batch(pairs, iterations=3, **QUIET)
    found = varreg.solve_batch(pairs, errors="return", iterations=3, **QUIET)
    assert isinstance(found[0], varreg.Result) and isinstance(found[1], MemoryError)


def test_memory_that_is_enough_for_each_but_not_for_all_at_once_changes_no_bits(device):
    sizes, enough, refusals = [], float("inf"), []
    empty = device.empty

    def refused(shape, dtype=float):
        # as if there were no room for what several pairs send
        if dtype == np.uint8:
            sizes.append(np.prod(shape))
            if sizes[-1] > enough:
                refusals.append(sizes[-1])
                raise MemoryError("Out of memory allocating")
        return empty(shape, dtype=dtype)

    device.empty = refused
    alone = [varreg.solve(*pair, iterations=3, threads=1, **QUIET) for pair in SLICES]
    enough = max(sizes)
    found = varreg.solve_batch(3 * SLICES, iterations=3, **QUIET)
    assert refusals
    for result, wanted in zip(found, 3 * alone, strict=True):
        np.testing.assert_array_equal(result.displacement, wanted.displacement)


def test_an_interruption_ends_all_pairs(device, patient):
    heard = threading.Event()

    def interrupted():
        yield from 3 * [PAIRS[0]]
        assert heard.wait(PATIENCE)  # amid the descents
        raise KeyboardInterrupt

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        varreg.solve_batch(interrupted(), threads=3, callback=lambda _: heard.set(), **QUIET)
    assert time.monotonic() - begun < PATIENCE
    assert not [t for t in threading.enumerate() if t.name.startswith("varreg-batch")]


@pytest.fixture
def at_once(monkeypatch, device):
    """The largest number of pairs that are being solved at the same time, in a list."""
    most, now, lock = [0], [0], threading.Lock()

    def solve(moving, fixed, **given):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.05)
        with lock:
            now[0] -= 1

    monkeypatch.setattr(executor, "solve", solve)
    return most


@pytest.mark.parametrize("threads, wanted", [(None, PAIRS_TOGETHER), (3, 3)])
def test_so_many_pairs_are_solved_at_a_time(at_once, threads, wanted):
    varreg.solve_batch(40 * [PAIRS[0]], threads=threads, **QUIET)
    assert at_once == [wanted]


def test_so_many_pairs_as_there_is_memory_for(at_once, device):
    device.cuda.runtime.memGetInfo = lambda: (5 * BYTES_PER_VOXEL * PAIRS[0][1].size + 1, 10**9)
    varreg.solve_batch(20 * [PAIRS[0]], **QUIET)
    assert at_once == [5]
    device.cuda.runtime.memGetInfo = lambda: (0, 10**9)
    at_once[0] = 0
    varreg.solve_batch(20 * [PAIRS[0]], **QUIET)
    assert at_once == [1]
