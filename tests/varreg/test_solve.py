"""``varreg.solve`` as a whole: known answers, symmetries, promises of the result."""

import warnings

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from scipy import ndimage

import varreg
from varreg.data.phantom import brain_phantom, deformed_pair
from varreg.errors import (
    BackendError,
    FileError,
    GeometryError,
    InputError,
    OverlapError,
    VarregError,
)
from varreg.geometry.displacement import evaluate
from varreg.images.image import Image
from varreg.optimise.history import Stop
from varreg.options.options import Options

from .problems import random_affine, smooth_image

#: Voxels onto voxels is where linear interpolation has its kinks, and rounding chooses the side.
OFF_LATTICE = {d: random_affine(d, np.random.default_rng(10)) for d in (2, 3)}
QUICK = dict(threads=1, iterations=(8, 5), levels=(2, 1))
both_memories = pytest.mark.parametrize("memory", [0, 6])
both_constraints = pytest.mark.parametrize("constraint", ["zero-mean", "zero-boundary"])


@pytest.fixture(scope="module")
def plane():
    return deformed_pair((96, 96), np.random.default_rng(0))


@pytest.fixture(scope="module")
def bent():
    """No affine part; odd sizes."""
    return deformed_pair((63, 70), np.random.default_rng(1), affine=False, displacement_rms=1.5)


@pytest.fixture(scope="module")
def volume():
    return deformed_pair((40, 44, 36), np.random.default_rng(2))


def mean_error(result, pair):
    """Mean distance (voxels) to the known answer inside the head."""
    return float(np.linalg.norm(result.displacement - pair.displacement, axis=0)[pair.mask].mean())


def initial_error(pair):
    return float(np.linalg.norm(pair.displacement, axis=0)[pair.mask].mean())


def levels_of(result):
    """Energies, level by level (each starts with iteration 0)."""
    starts = [k for k, h in enumerate(result.history) if h.iteration == 0] + [len(result.history)]
    return [
        [h.energy for h in result.history[a:b]] for a, b in zip(starts, starts[1:], strict=False)
    ]


# -- known answers


def test_a_known_deformation_of_a_slice_is_recovered(plane):
    result = varreg.solve(plane.moving, plane.fixed, threads=2)
    assert initial_error(plane) > 2
    assert mean_error(result, plane) < 0.15 * initial_error(plane)
    assert result.energy.total < result.start_energy.total


def test_a_known_deformation_of_a_volume_is_recovered(volume):
    result = varreg.solve(volume.moving, volume.fixed, threads=2)
    assert mean_error(result, volume) < 0.5 * initial_error(volume)
    assert result.smallest_determinant > 0


@pytest.mark.parametrize("which", ["plane", "volume"])
def test_every_fourth_row_is_enough_for_a_few_nodes(which, request):
    pair = request.getfixturevalue(which)
    settings = dict(smoothness_length=8.0, regions=6, threads=2)
    every, some = (
        varreg.solve(pair.moving, pair.fixed, samples_per_node=n, **settings) for n in (None, 16)
    )
    assert some.energy != every.energy
    assert mean_error(every, pair) < 0.5 * initial_error(pair)
    assert mean_error(some, pair) < mean_error(every, pair) + 0.1 * initial_error(pair)


def test_the_deformable_stage_improves_on_the_affine_one(bent):
    affine = varreg.solve(bent.moving, bent.fixed, deformable=False, threads=1)
    both = varreg.solve(bent.moving, bent.fixed, threads=1)
    assert mean_error(both, bent) < 0.6 * mean_error(affine, bent)


def test_the_warped_image_resembles_the_moving_anatomy_on_the_fixed_grid(bent):
    result = varreg.solve(bent.moving, bent.fixed, threads=1)
    labels = result.warp_labels(bent.labels_moving)

    def overlap(a, b):
        return 2 * ((a > 0) & (b > 0) & (a == b)).sum() / ((a > 0).sum() + (b > 0).sum())

    before, after = (overlap(x, bent.labels_fixed) for x in (bent.labels_moving, labels))
    assert after > before + 0.05
    assert after > 0.83


@pytest.mark.parametrize(
    "settings",
    [dict(), dict(affine=None), dict(affine="rigid"), dict(affine=np.eye(3)), dict(preset="paper"),
     dict(constraint="zero-boundary"), dict(preset="cfir"), dict(interpolation="cubic")],
    ids=lambda s: "-".join(map(str, s)) or "default",
)  # fmt: skip
def test_an_image_onto_itself_does_not_move_at_all(plane, settings):
    result = varreg.solve(plane.fixed.copy(), plane.fixed, threads=1, **settings)
    assert result.stop is Stop.IDENTICAL
    assert (result.u == 0).all()
    assert (result.displacement == 0).all()
    np.testing.assert_array_equal(result.warped.data, plane.fixed)
    np.testing.assert_array_equal(result.affine, np.eye(3))


@pytest.mark.parametrize("which", ["plane", "volume"])
@pytest.mark.parametrize("factor", [2.0, 0.3, -1.0])
def test_the_same_image_in_other_units_is_registered_and_stays_near(which, factor, request):
    """Only images that agree voxel by voxel are not left to the descent."""
    pair = request.getfixturevalue(which)
    moving = (factor * pair.fixed).astype(np.float32)
    result = varreg.solve(moving, pair.fixed, threads=2)
    assert result.stop is not Stop.IDENTICAL and result.history
    moved = np.linalg.norm(result.displacement, axis=0)[pair.mask]
    assert moved.mean() < 0.1
    same = varreg.solve(moving, moving.copy(), threads=2)
    assert same.stop is Stop.IDENTICAL and not same.displacement.any()


def test_an_image_onto_itself_in_another_place_is_brought_there(plane):
    """The same voxels with a shifted header are not the identity."""
    there = np.array([[1.0, 0, 4], [0, 1, -3], [0, 0, 1]])
    moving = Image.from_array(plane.fixed, affine=there)
    result = varreg.solve(moving, plane.fixed, affine="translation", deformable=False, threads=1)
    np.testing.assert_allclose(result.affine, there, atol=0.1)
    assert result.stop is not Stop.IDENTICAL


def test_a_whole_voxel_shift_is_found_to_a_hundredth():
    fixed = brain_phantom((80, 80), np.random.default_rng(3)).t1
    fixed = np.pad(fixed, 12)
    moving = 1 - np.roll(fixed, (5, -4), axis=(0, 1))
    result = varreg.solve(moving, fixed, affine="translation", deformable=False, threads=1)
    np.testing.assert_allclose(result.affine[:2, 2], [5, -4], atol=0.02)


# -- determinism


@pytest.mark.parametrize("which", ["plane", "volume"])
@pytest.mark.parametrize(
    "settings",
    [
        dict(),
        dict(similarity="mi"),
        dict(similarity="mi", estimator="per-pixel"),
        dict(smoothness_length=6.0, samples_per_node=2),
    ],
    ids=["regional", "fine-histogram", "per-pixel", "few-rows"],
)
def test_the_same_bits_for_any_number_of_threads_and_every_run(which, settings, request):
    pair = request.getfixturevalue(which)
    settings = dict(settings, iterations=(4, 3, 2), affine_iterations=4, levels=(2, 1))
    runs = [
        varreg.solve(pair.moving, pair.fixed, **settings, threads=threads)
        for threads in (1, 2, 4, 2)
    ]
    for run in runs[1:]:
        assert run.u.tobytes() == runs[0].u.tobytes()
        assert run.affine.tobytes() == runs[0].affine.tobytes()
        assert run.warped.data.tobytes() == runs[0].warped.data.tobytes()
        assert run.history == runs[0].history


def test_many_blocks_of_work_change_no_bit():
    pair = deformed_pair((180, 190), np.random.default_rng(4))
    runs = [
        varreg.solve(pair.moving, pair.fixed, affine=None, preset="paper", iterations=3, threads=t)
        for t in (1, 2, 4)
    ]
    assert runs[0].u.tobytes() == runs[1].u.tobytes() == runs[2].u.tobytes()
    assert np.abs(runs[0].u).max() > 0.1


def test_the_arguments_are_left_as_they_were(bent):
    moving, fixed, mask = bent.moving.copy(), bent.fixed.copy(), bent.mask.copy()
    varreg.solve(moving, fixed, fixed_mask=mask, moving_mask=mask, **QUICK)
    np.testing.assert_array_equal(moving, bent.moving)
    np.testing.assert_array_equal(fixed, bent.fixed)
    np.testing.assert_array_equal(mask, bent.mask)


@pytest.mark.parametrize("which", ["bent", "volume"])
@pytest.mark.parametrize(
    "settings",
    [
        dict(),
        dict(similarity="mi", estimator="per-pixel", bins=24, kernel_width=1.0),
        dict(interpolation="cubic", smoothness_length=0),
    ],
    ids=["default", "per-pixel", "cubic-h1"],
)
def test_the_numpy_backend_finds_the_same(which, settings, request):
    pair = request.getfixturevalue(which)
    fixed, moving = pair.fixed, pair.moving
    if fixed.ndim == 3:
        fixed, moving = fixed[::2, ::2, ::2], moving[::2, ::2, ::2]
    fast, slow = (
        varreg.solve(
            moving, fixed, affine=OFF_LATTICE[fixed.ndim], backend=backend, levels=(2, 1),
            iterations=3, threads=1, **settings,
        )
        for backend in ("numba", "numpy")
    )  # fmt: skip
    assert slow.provenance["backend"] == "numpy"
    assert slow.energy.total == pytest.approx(fast.energy.total, abs=1e-4)
    assert np.abs(slow.u - fast.u).max() < 0.01  # float32 rounds differently
    assert np.abs(fast.u).max() > 0.3


# -- what the descent promises


@both_memories
@both_constraints
@pytest.mark.parametrize("which", ["bent", "volume"])
def test_energy_never_rises_within_a_level(which, memory, constraint, request):
    pair = request.getfixturevalue(which)
    result = varreg.solve(
        pair.moving, pair.fixed, memory=memory, constraint=constraint, affine_iterations=5,
        iterations=(10, 6), threads=2,
    )  # fmt: skip
    assert len(levels_of(result)) == len(result.levels)
    for energies, level in zip(levels_of(result), result.levels, strict=True):
        assert len(energies) == level.iterations + 1
        assert (np.diff(energies) <= 0).all()
    deformable = [h for h in result.history if h.stage == "deformable"]
    assert all(h.smallest_determinant >= 0.05 for h in deformable)
    last = result.history[-1]
    assert (last.energy, last.similarity, last.smoothness) == (
        result.energy.total, result.energy.similarity, result.energy.smoothness,
    )  # fmt: skip
    mu, weight = result.options.smoothness_weight, result.options.similarity_weight
    assert last.energy == pytest.approx(mu * last.smoothness - weight * last.similarity)


@both_memories
@both_constraints
@pytest.mark.parametrize("shape", [(48, 55), (20, 22, 18)])
def test_no_point_folds_when_smoothness_hardly_counts(shape, memory, constraint):
    """Unrelated textures, H1 energy, next to no smoothness: the bound must become active."""
    rng = np.random.default_rng(5)
    moving, fixed = (ndimage.gaussian_filter(rng.normal(size=shape), 1.5) for _ in range(2))
    result = varreg.solve(
        moving, fixed, affine=None, smoothness_length=0, smoothness_weight=1e-4, memory=memory,
        constraint=constraint, iterations=25, levels=(2, 1), threads=1,
    )  # fmt: skip
    assert result.smallest_determinant >= 0.05
    assert result.smallest_determinant < 0.5  # it was tight
    # every point: differences within half cells over the whole field of view, border included
    stops = [np.arange(2 * n + 1) / 2 - 0.5 for n in shape]
    step = 1e-3
    points = np.stack(np.meshgrid(*[(s[:-1] + 0.25) for s in stops], indexing="ij"))
    points = points.reshape(len(shape), -1)
    points = points + rng.uniform(-0.24, 0.24, points.shape)
    gradient = np.zeros((points.shape[1], len(shape), len(shape)))
    for axis in range(len(shape)):
        offset = np.zeros((len(shape), 1))
        offset[axis] = step / 2
        high, low = (
            evaluate(result.transform.nodes, shape, points + s * offset, constraint)
            for s in (1, -1)
        )
        gradient[:, :, axis] = (high - low).T / step
    determinant = np.linalg.det(gradient + np.eye(len(shape)))
    assert determinant.min() >= result.smallest_determinant - 1e-3


@pytest.mark.parametrize("which", ["bent", "volume"])
def test_the_mean_of_u_is_zero(which, request):
    pair = request.getfixturevalue(which)
    result = varreg.solve(pair.moving, pair.fixed, affine=None, **QUICK)
    nodes = result.transform.nodes
    np.testing.assert_allclose(nodes.mean(axis=tuple(range(1, nodes.ndim))), 0, atol=1e-10)
    assert np.abs(nodes).max() > 0.3


@pytest.mark.parametrize("which", ["bent", "volume"])
def test_zero_boundary_keeps_the_faces_in_place(which, request):
    pair = request.getfixturevalue(which)
    result = varreg.solve(pair.moving, pair.fixed, affine=None, constraint="zero-boundary", **QUICK)
    shape, rng = pair.fixed.shape, np.random.default_rng(6)
    assert np.abs(result.u).max() > 0.3
    for axis, n in enumerate(shape):
        for face in (-0.5, n - 0.5):
            points = rng.uniform(-0.5, np.array(shape) - 0.5, (100, len(shape))).T
            points[axis] = face
            at_face = evaluate(result.transform.nodes, shape, points, "zero-boundary")
            np.testing.assert_allclose(at_face, 0, atol=1e-6)


def test_the_callback_sees_every_iteration(bent):
    """Also of the starts that were tried and given up, which the history leaves out."""
    seen = []
    result = varreg.solve(bent.moving, bent.fixed, callback=seen.append, start="header", **QUICK)
    rest = iter(seen)
    assert all(any(record is other for other in rest) for record in result.history)
    assert [h for h in seen if h.stage == "deformable"] == [
        h for h in result.history if h.stage == "deformable"
    ]
    ends = [
        h
        for h, after in zip(result.history, [*result.history[1:], None], strict=True)
        if after is None or after.iteration == 0
    ]
    assert [h.iteration for h in ends] == [level.iterations for level in result.levels]
    assert {h.stage for h in ends} == {"affine", "deformable"}


def test_an_exception_in_the_callback_reaches_the_caller(bent):
    class Enough(Exception):
        pass

    def callback(iteration):
        if iteration.stage == "deformable" and iteration.iteration == 2:
            raise Enough

    with pytest.raises(Enough):
        varreg.solve(bent.moving, bent.fixed, callback=callback, **QUICK)


def test_budgets_are_kept(bent):
    result = varreg.solve(
        bent.moving, bent.fixed, affine=None, iterations=(3, 2), levels=(2, 1), threads=1
    )
    assert [level.iterations for level in result.levels] == [3, 2]
    assert all(level.stop is Stop.BUDGET for level in result.levels)
    assert [level.factor for level in result.levels] == [2, 1]
    still = varreg.solve(bent.moving, bent.fixed, affine=None, iterations=0, threads=1)
    assert (still.u == 0).all()


@pytest.mark.parametrize("preset", ["default", "paper", "cfir", "precise"])
def test_presets_run_and_improve(bent, preset):
    result = varreg.solve(bent.moving, bent.fixed, preset=preset, affine=None, threads=2)
    assert result.options == Options.preset(preset).for_dimension(2)
    assert mean_error(result, bent) < 0.75 * initial_error(bent)
    for energies in levels_of(result):
        assert (np.diff(energies) <= 0).all()
    assert result.smallest_determinant >= 0.05


# -- masks


def test_masks_change_the_result_where_they_should(bent):
    """A wrong bright block: outside the mask it does not matter at all, inside it does."""
    spoilt = bent.moving.copy()
    spoilt[20:34, 26:44] = 1.0
    mask = np.ones(spoilt.shape, bool)
    mask[18:36, 24:46] = False
    ranges = dict(moving_range=(0, 1), fixed_range=(0, 1))
    free = varreg.solve(spoilt, bent.fixed, affine=None, **QUICK, **ranges)
    clean = varreg.solve(bent.moving, bent.fixed, affine=None, moving_mask=mask, **QUICK, **ranges)
    masked = varreg.solve(spoilt, bent.fixed, affine=None, moving_mask=mask, **QUICK, **ranges)
    np.testing.assert_array_equal(masked.u, clean.u)
    assert np.abs(free.u - clean.u).max() > 0.2


def test_what_a_fixed_mask_leaves_out_has_no_force(bent):
    mask = np.zeros(bent.fixed.shape, bool)
    mask[:, :35] = True
    changed = bent.fixed.copy()
    changed[:, 35:] = np.random.default_rng(7).random(changed[:, 35:].shape)
    ranges = dict(moving_range=(0, 1), fixed_range=(0, 1))
    here, there = (
        varreg.solve(bent.moving, fixed, affine=None, fixed_mask=mask, **QUICK, **ranges)
        for fixed in (bent.fixed, changed)
    )
    np.testing.assert_array_equal(here.u, there.u)
    assert np.abs(here.u).max() > 0.3


def test_a_mask_of_everything_changes_nothing(bent):
    everything = np.ones(bent.fixed.shape, bool)
    plain = varreg.solve(bent.moving, bent.fixed, affine=None, **QUICK)
    masked = varreg.solve(bent.moving, bent.fixed, affine=None, fixed_mask=everything, **QUICK)
    np.testing.assert_array_equal(masked.u, plain.u)


# -- symmetries of space


SYMMETRIES = {
    "flip-0": lambda a: a[::-1],
    "flip-1": lambda a: a[:, ::-1],
    "both": lambda a: a[::-1, ::-1],
    "transposed": lambda a: a.T,
    "turned": lambda a: np.rot90(a),
}


def turned_field(u, turn, shape):
    """The field u of the images before `turn`, as a field of the turned images."""
    moved = np.stack([turn(component) for component in u])
    index = np.stack([turn(c) for c in np.indices(shape)]).astype(float)
    axes = [[np.diff(index[k], axis=a).mean() for k in range(len(u))] for a in range(len(u))]
    return np.tensordot(np.array(axes), moved, 1)


def smooth_pair(shape):
    """Without kinks: nothing is clipped, and cubic interpolation is smooth."""
    rng = np.random.default_rng(9)
    pairs = [smooth_image(shape, rng, 1.5) for _ in range(2)]
    images = [pairs[0], 0.6 * np.roll(pairs[0], 1, 0) + 0.4 * pairs[1]]
    ranges = dict(fixed_range=(-0.5, 1.5), moving_range=(-0.5, 1.5), interpolation="cubic")
    return [i.astype(np.float32) for i in images], ranges


@pytest.mark.parametrize("name", SYMMETRIES)
def test_flips_and_permutations_of_both_images_turn_the_answer_along(name):
    turn, shape = SYMMETRIES[name], (60, 68)
    (moving, fixed), ranges = smooth_pair(shape)
    plain = varreg.solve(moving, fixed, affine=None, **QUICK, **ranges)
    turned = varreg.solve(turn(moving).copy(), turn(fixed).copy(), affine=None, **QUICK, **ranges)
    np.testing.assert_allclose(turned.u, turned_field(plain.u, turn, shape), atol=0.01)
    assert turned.energy.total == pytest.approx(plain.energy.total, abs=1e-5)
    assert np.abs(plain.u).max() > 0.5


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 1, 0)])
def test_permutations_of_a_volume(order):
    shape = (26, 30, 24)
    (moving, fixed), ranges = smooth_pair(shape)
    plain = varreg.solve(moving, fixed, affine=None, **QUICK, **ranges)
    turned = varreg.solve(
        moving.transpose(order).copy(),
        fixed.transpose(order).copy(),
        affine=None,
        **QUICK,
        **ranges,
    )
    wanted = np.stack([plain.u[k].transpose(order) for k in order])
    np.testing.assert_allclose(turned.u, wanted, atol=0.01)
    assert np.abs(plain.u).max() > 0.3


@pytest.mark.parametrize("name", SYMMETRIES)
def test_flips_of_a_brain_with_default_options_change_little(bent, name):
    """Linear interpolation has kinks at the start; the ends still agree to a fraction of a voxel."""
    turn = SYMMETRIES[name]
    plain = varreg.solve(bent.moving, bent.fixed, threads=1)
    turned = varreg.solve(turn(bent.moving).copy(), turn(bent.fixed).copy(), threads=1)
    wanted = turned_field(plain.displacement, turn, bent.fixed.shape)
    assert np.abs(turned.displacement - wanted)[:, turn(bent.mask)].mean() < 0.25
    assert turned.energy.total == pytest.approx(plain.energy.total, rel=0.1)


def test_a_header_that_undoes_a_flip_gives_the_same_map_in_the_world():
    """But for what the order of the rows, of which some are left out, changes."""
    apart = []
    for seed in range(6):
        bent = deformed_pair((63, 70), np.random.default_rng(seed), displacement_rms=1.5)
        n = bent.moving.shape[0]
        flip = np.array([[-1.0, 0, n - 1], [0, 1, 0], [0, 0, 1]])
        plain = varreg.solve(bent.moving, bent.fixed, threads=1)
        header = Image.from_array(bent.moving[::-1].copy(), affine=flip)
        flipped = varreg.solve(header, bent.fixed, threads=1)
        points = np.argwhere(bent.mask)[::7].astype(float)
        change = world_points(flipped, points) - world_points(plain, points)
        apart.append(np.linalg.norm(change, axis=1).mean())
    assert np.mean(apart) < 0.15


def world_points(result, points):
    """Where world points of the fixed image go, (k, d) -> (k, d) in moving world."""
    return np.asarray(result.points(points, space="world"))


def oblique(dimension, degrees, centre):
    """A rotation in the last two axes about a centre."""
    matrix, angle = np.eye(dimension + 1), np.deg2rad(degrees)
    matrix[-3:-1, -3:-1] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:-1, -1] = centre - matrix[:-1, :-1] @ centre
    return matrix


@pytest.mark.parametrize(
    "settings",
    [dict(affine=None, similarity="mi", iterations=60), dict(affine="affine")],
    ids=["mi-without-affine", "affine"],
)
def test_the_moving_image_on_another_oblique_grid_gives_the_same_map_in_the_world(settings):
    """Resampled onto a turned, finer, shifted grid of its own: the world map stays.

    Without an affine stage the start is further off than regional densities reach, and than a few
    steps take the map.
    """
    pair = deformed_pair((80, 84), np.random.default_rng(8), noise=0.0)
    matrix = oblique(2, 25, np.array([40.0, 42.0])) @ np.diag([0.8, 0.9, 1])
    matrix[:-1, -1] += [-8.0, -5.0]
    moved = ndimage.affine_transform(
        pair.moving, matrix[:-1, :-1], matrix[:-1, -1], (125, 125), order=3
    )
    plain = varreg.solve(pair.moving, pair.fixed, threads=1, **settings)
    header = Image.from_array(moved.astype(np.float32), affine=matrix)
    other = varreg.solve(header, pair.fixed, threads=1, **settings)
    points = np.argwhere(pair.mask)[::13].astype(float)
    distance = np.linalg.norm(world_points(plain, points) - world_points(other, points), axis=1)
    moved_by = np.linalg.norm(world_points(plain, points) - points, axis=1)
    assert moved_by.mean() > 1.0
    assert distance.mean() < 0.25


def test_the_unit_of_length_does_not_matter(bent):
    """Both headers scaled: u in mm scales along."""
    plain = varreg.solve(bent.moving, bent.fixed, **QUICK)
    for scale in (0.25, 64.0):
        images = [Image.from_array(i, spacing=scale) for i in (bent.moving, bent.fixed)]
        scaled = varreg.solve(*images, **QUICK)
        np.testing.assert_allclose(scaled.u, scale * plain.u, atol=1e-3 * scale)
        np.testing.assert_allclose(scaled.displacement, plain.displacement, atol=1e-3)


# -- bad arguments

GOOD = np.random.default_rng(11).random((20, 22)).astype(np.float32)
AWAY = np.array([[1.0, 0, 500], [0, 1, 0], [0, 0, 1]])
SINGULAR = np.diag([1.0, 0.0, 1.0])


def bad(values, value):
    image = GOOD.copy()
    image[values] = value
    return image


REFUSED = {
    "moving-nan": (dict(moving=bad(..., np.nan)), InputError, "`moving`"),
    "fixed-infinite": (dict(fixed=bad(..., np.inf)), InputError, "`fixed`"),
    "moving-constant": (dict(moving=np.ones((20, 22))), InputError, "`moving`"),
    "fixed-1d": (dict(fixed=np.arange(30.0)), InputError, "`fixed`"),
    "fixed-4d": (dict(fixed=np.zeros((5, 5, 5, 5))), InputError, "`fixed`"),
    "moving-empty": (dict(moving=np.zeros((0, 9))), InputError, "`moving`"),
    "moving-tiny": (dict(moving=np.eye(3)), InputError, "`moving`"),
    "fixed-complex": (dict(fixed=GOOD * 1j), InputError, "`fixed`"),
    "moving-text": (dict(moving=np.array([["a"] * 9] * 9)), InputError, "`moving`"),
    "moving-none": (dict(moving=None), InputError, "`moving`"),
    "moving-object": (dict(moving=object()), InputError, "`moving`"),
    "dimensions": (dict(moving=np.random.default_rng(0).random((8, 9, 7))), InputError, "`moving`"),
    "fixed-missing-file": (dict(fixed="/nowhere/image.nii.gz"), FileError, "`fixed`"),
    "fixed-mask-shape": (dict(fixed_mask=np.ones((20, 21))), InputError, "`fixed_mask`"),
    "moving-mask-empty": (dict(moving_mask=np.zeros((20, 22))), InputError, "`moving_mask`"),
    "moving-mask-nan": (dict(moving_mask=bad(..., np.nan)), InputError, "`moving_mask`"),
    "affine-name": (dict(affine="afine"), InputError, "`affine`"),
    "affine-shape": (dict(affine=np.eye(4)), GeometryError, "`affine`"),
    "affine-singular": (dict(affine=SINGULAR), GeometryError, "`affine`"),
    "affine-nan": (dict(affine=np.full((3, 3), np.nan)), GeometryError, "`affine`"),
    "affine-object": (dict(affine=object()), InputError, "`affine`"),
    "affine-away": (dict(affine=AWAY), OverlapError, "overlap"),
    "start-name": (dict(start="centre"), InputError, "`start`"),
    "start-singular": (dict(start=SINGULAR), GeometryError, "`start`"),
    "start-away": (dict(start=AWAY), OverlapError, "overlap"),
    "moving-away": (
        dict(moving=Image.from_array(GOOD, affine=AWAY)), OverlapError, "start='centres'",
    ),
    "preset": (dict(preset="papre"), InputError, "`name`"),
    "preset-list": (dict(preset=["paper"]), InputError, "`name`"),
    "options": (dict(options={"bins": 32}), InputError, "`options`"),
    "option-value": (dict(bins=2), InputError, "bins"),
    "option-name": (dict(bin=32), InputError, "Did you mean `bins`"),
    "backend": (dict(backend="torch"), InputError, "`backend`"),
    "backend-absent": (dict(backend="cupy"), BackendError, "`backend`"),
    "backend-list": (dict(backend=["numba"]), InputError, "`backend`"),
    "backend-none": (dict(backend=None), InputError, "`backend`"),
    "threads-zero": (dict(threads=0), InputError, "`threads`"),
    "threads-text": (dict(threads="2"), InputError, "`threads`"),
    "threads-real": (dict(threads=1.5), InputError, "`threads`"),
    "threads-bool": (dict(threads=True), InputError, "`threads`"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_bad_arguments_are_refused_by_name(name):
    settings, kind, words = REFUSED[name]
    arguments = dict(moving=GOOD[::-1].copy(), fixed=GOOD) | settings
    with pytest.raises(kind) as caught:
        varreg.solve(arguments.pop("moving"), arguments.pop("fixed"), **arguments)
    assert words in str(caught.value)
    assert isinstance(caught.value, VarregError)


def test_masks_that_exclude_each_other_are_refused():
    left, right = (np.zeros((40, 44), bool) for _ in range(2))
    left[:, :10], right[:, -10:] = True, True
    fixed = smooth_image((40, 44), np.random.default_rng(12))
    with pytest.raises(OverlapError, match="masks"):
        varreg.solve(
            1 - fixed[::-1], fixed, affine=None, fixed_mask=left, moving_mask=right, threads=1
        )


# -- anything else: a finite result or one of the package's own exceptions


@st.composite
def odd_images(draw, shape):
    """An image of a given shape that nobody would register."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(
        st.sampled_from(
            ["noise", "noise", "blocks", "spike", "ramp", "binary", "few", "edge", "same"]
        )
    )
    image = {
        "noise": lambda: rng.normal(size=shape),
        "blocks": lambda: np.kron(
            rng.random([-(-n // 3) for n in shape]), np.ones([3] * len(shape))
        ),
        "spike": lambda: np.zeros(shape),
        "ramp": lambda: np.indices(shape).sum(0).astype(float),
        "binary": lambda: (rng.random(shape) > 0.5).astype(float),
        "few": lambda: rng.integers(0, 3, shape).astype(float),
        "edge": lambda: (np.indices(shape)[0] == 0).astype(float),
        "same": lambda: np.full(shape, 0.7),
    }[kind]()
    image = image[tuple(slice(n) for n in shape)]
    if kind == "spike":
        image[tuple(rng.integers(0, n) for n in shape)] = 1
    image = image * draw(st.sampled_from([1.0, -1.0, 255.0, 1e-3, 1e-30, 1e30, 3e38, 1e-44]))
    image = image + draw(st.sampled_from([0.0, 0.0, 0.0, -5.0, 1e6, -1e30]))
    bad_value = draw(st.sampled_from([None] * 18 + [np.nan, np.inf]))
    if bad_value is not None:
        image.flat[rng.integers(image.size)] = bad_value
    kinds = [float] * 8 + [np.float32] * 4
    kinds += [np.float16, np.int16, np.uint8, bool, np.int64, ">f4", complex]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return image.astype(draw(st.sampled_from(kinds)))


@st.composite
def odd_problems(draw):
    """(moving, fixed, settings) of two or three dimensions, often tiny, of unlike shapes."""
    dimension = draw(st.sampled_from([2, 2, 2, 3]))
    sizes = st.integers(4, 24 if dimension == 2 else 9)
    shapes = [tuple(draw(sizes) for _ in range(dimension)) for _ in range(2)]
    if draw(st.integers(0, 3)):
        shapes[1] = shapes[0]
    moving, fixed = (draw(odd_images(shape)) for shape in shapes)
    if draw(st.integers(0, 9)) == 0:
        moving = fixed.copy()
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    affines = ["affine", "rigid", "translation", None, np.eye(dimension + 1)]
    estimator = draw(st.sampled_from(["fine-histogram", "fine-histogram", "per-pixel"]))
    similarities = ["mi"] if estimator == "per-pixel" else ["regional-mi", "regional-mi", "mi"]
    settings = dict(
        affine=draw(st.sampled_from(affines)),
        deformable=draw(st.sampled_from([True, True, False])),
        constraint=draw(st.sampled_from(["zero-mean", "zero-boundary"])),
        estimator=estimator,
        similarity=draw(st.sampled_from(similarities)),
        regions=draw(st.sampled_from([8, 1, 3, 64])),
        interpolation=draw(st.sampled_from(["linear", "linear", "cubic"])),
        memory=draw(st.sampled_from([0, 6])),
        smoothness_length=draw(st.sampled_from([None, 0.0, 1e-6, 3.0, 1e6])),
        smoothness_weight=draw(st.sampled_from([1.0, 1e-6, 1e6])),
        similarity_weight=draw(st.sampled_from([1.0, 1e-6, 1e6])),
        bins=draw(st.sampled_from([8, 24, 64])),
        kernel_width=draw(st.sampled_from([1.0, 0.05, 9.0])),
        levels=draw(st.sampled_from([None, (2, 1), (64, 1), (1.5,)])),
        largest_step=draw(st.sampled_from([1.0, 1e-3, 50.0])),
    )
    for name, image in (("fixed_mask", fixed), ("moving_mask", moving)):
        if draw(st.integers(0, 4)) == 0:
            settings[name] = rng.random(image.shape) > draw(st.sampled_from([0.1, 0.5, 0.95]))
    if draw(st.integers(0, 4)) == 0:
        spacing = [draw(st.sampled_from([1e-3, 0.5, 1.0, 7.0, 1e4])) for _ in range(dimension)]
        try:
            moving, fixed = (Image.from_array(i, spacing=spacing) for i in (moving, fixed))
        except VarregError:
            pass
    return moving, fixed, settings


def finite_or_refused(problem):
    """Solve; a finite result or one of the package's own exceptions. Returns which."""
    moving, fixed, settings = problem
    try:
        result = varreg.solve(
            moving, fixed, iterations=3, affine_iterations=3, threads=1, **settings
        )
    except VarregError as error:
        assert len(str(error)) > 20
        return type(error).__name__
    assert np.isfinite(result.u).all()
    assert np.isfinite(result.displacement).all()
    assert np.isfinite(result.warped.data).all()
    assert np.isfinite(result.affine).all()
    assert np.isfinite(
        [result.energy.total, result.energy.similarity, result.energy.smoothness]
    ).all()
    assert result.smallest_determinant > 0
    assert str(result)
    return "result"


@hypothesis.settings(max_examples=100, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(odd_problems())
def test_odd_input_ends_in_a_finite_result_or_an_exception_of_ours(problem):
    hypothesis.event(finite_or_refused(problem))


@pytest.mark.slow
@hypothesis.settings(max_examples=3000, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(odd_problems())
def test_much_more_odd_input(problem):
    hypothesis.event(finite_or_refused(problem))
