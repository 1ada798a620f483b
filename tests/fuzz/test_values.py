"""Deep values: finite, infinite and absurd numbers in headers, matrices, displacements, images and masks."""

import numpy as np
import pytest

import varreg

from ..varreg.children import needs_fork
from .running import odd, run_cases

pytestmark = [pytest.mark.slow, needs_fork]

SHAPES = {2: (20, 22), 3: (9, 10, 8)}
FAST = dict(iterations=1, progress=False, threads=1)


def image(random, shape):
    x = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    return np.exp(-3 * (x**2).sum(0)) + 0.1 * random.random(shape)


@pytest.fixture(scope="module", autouse=True)
def warm():
    """All kernels in this process, so that no child compiles or loads any."""
    random = np.random.default_rng(0)
    for options in OPTIONS:
        for shape in SHAPES.values():
            pair = image(random, shape), image(random, shape)
            result = varreg.solve(*pair, **FAST, **options)
            varreg.solve(*pair, start=result, moving_mask=pair[0] > 0.2, **FAST, **options)
    varreg.certify(*pair, result, iterations=1, threads=1)
    result.inverse()


def spoiled(array, random, chance=0.7):
    """The array with an odd number somewhere, in a stretch, or everywhere."""
    array = np.array(array, dtype=np.float64)
    if random.random() > chance:
        return array
    flat, kind = array.reshape(-1), random.integers(4)
    place = int(random.integers(flat.size))
    if kind == 0:
        flat[place] = odd(random)
    elif kind == 1:
        flat[place : place + int(random.integers(1, flat.size + 1))] = odd(random)
    elif kind == 2:
        array *= odd(random)
    else:
        array += odd(random)
    return array


def affine_of(random, d, chance=0.5):
    """A matrix that may shear, scale or shift absurdly."""
    matrix = np.eye(d + 1)
    if random.random() < chance:
        matrix[:-1, :-1] += random.normal(0, 0.1, (d, d))
    if random.random() < chance:
        matrix[random.integers(d), random.integers(d + 1)] = odd(random)
    return matrix


OPTIONS = (
    {}, {"similarity": "mi"}, {"similarity": "lncc"}, {"similarity": "mind"}, {"similarity": "ssd"},
    {"similarity": "nmi"}, {"interpolation": "cubic"}, {"preset": "cfir"}, {"preset": "paper"},
    {"constraint": "zero-boundary"}, {"smoothness_length": 0.0, "smoothness_order": 2},
)  # fmt: skip


def registration(random):
    d = int(random.choice([2, 2, 3]))
    shape = SHAPES[d]
    clean = random.random() < 0.8
    moving, fixed = (
        image(random, shape) if clean else spoiled(image(random, shape), random) for _ in range(2)
    )
    headers = affine_of(random, d, 0.4), affine_of(random, d, 0.4)
    starts = (
        lambda: None,
        lambda: spoiled(random.normal(0, 1, (d, *shape)), random),
        lambda: affine_of(random, d),
        lambda: "moments",
    )
    start = starts[random.integers(4)]()
    mask = spoiled(random.random(shape) > 0.3, random) if random.random() < 0.3 else None
    options = OPTIONS[random.integers(len(OPTIONS))]
    side = ("fixed_mask", "moving_mask")[random.integers(2)]
    backend = "numpy" if random.random() < 0.1 else "numba"
    model = ("affine", "rigid", None)[random.integers(3)]
    deformable = bool(random.random() < 0.8)

    def action():
        images = (
            varreg.Image.from_array(array, affine=header)
            for array, header in zip((moving, fixed), headers, strict=True)
        )
        result = varreg.solve(
            *images, start=start, affine=model, deformable=deformable, backend=backend,
            **{side: mask}, **FAST, **options,
        )  # fmt: skip
        assert np.isfinite(result.displacement).all() and np.isfinite(result.warped.data).all()

    return action


def use_of_a_transform(random):
    """Warping, points, labels, the inverse and the Jacobian of a map that was made by hand."""
    d = int(random.choice([2, 3]))
    shape, frames = SHAPES[d], [affine_of(random, d, 0.4) for _ in range(3)]
    nodes = spoiled(random.normal(0, 1, (d, *[max(n // 2, 1) for n in shape])), random)
    points = spoiled(random.uniform(-5, 25, (7, d)), random)
    data = image(random, shape)
    constraint = ("zero-mean", "zero-boundary")[random.integers(2)]
    use = int(random.integers(8))

    def action():
        fixed, moving = (varreg.Grid(shape, frame) for frame in frames[:2])
        map_ = varreg.Transform(fixed, moving, frames[2], nodes, constraint)
        uses = (
            lambda: map_.warp(data),
            lambda: map_.warp(data, "cubic"),
            lambda: map_.warp(data, "nearest"),
            lambda: map_.warp_labels((data * 9).astype(int)),
            lambda: map_.points(points, ("world", "voxel")[len(points) % 2]),
            lambda: map_.inverse(iterations=5).warp(data),
            lambda: map_.jacobian(),
            lambda: map_.displacement,
        )
        uses[use]()

    return action


def certificate(random):
    d = int(random.choice([2, 3]))
    shape = SHAPES[d]
    moving, fixed = image(random, shape), image(random, shape)
    map_ = (
        spoiled(random.normal(0, 1, (d, *shape)), random)
        if random.random() < 0.6
        else affine_of(random, d)
    )

    def action():
        varreg.certify(moving, fixed, map_, iterations=1, threads=1)

    return action


def test_registrations():
    run_cases("registrations", 700, registration, least_fine=0.2)


def test_transforms_made_by_hand():
    run_cases("hand-made transforms", 500, use_of_a_transform, least_fine=0.2)


def test_certificates():
    run_cases("certificates", 150, certificate, least_fine=0.2)
