"""Bad arguments are refused by name; anything else ends in a finite result or an exception of ours."""

import warnings

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import varreg
from varreg.errors import (
    BackendError,
    FileError,
    GeometryError,
    InputError,
    OverlapError,
    VarregError,
)
from varreg.images.image import Image

from ..problems import smooth_image

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
