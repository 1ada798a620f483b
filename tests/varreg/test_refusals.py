"""Arguments of a wrong kind are refused in words, wherever they are given."""

import numpy as np
import pytest

import varreg
from varreg.errors import InputError
from varreg.io.files import read_json, write_image, write_json

GRID = varreg.Grid.with_spacing((8, 8))
STILL = varreg.Transform(GRID, GRID, np.eye(3))
IMAGE = varreg.Image.from_array(np.eye(8))


@pytest.fixture(scope="module")
def result():
    x, y = np.mgrid[:32, :32]
    image = np.exp(-((x - 14.0) ** 2 + (y - 16.0) ** 2) / 40)
    return varreg.solve(1 - image, image, iterations=1, progress=False, threads=1)


def deep(levels):
    content = {}
    for _ in range(levels):
        content = {"a": content}
    return content


@pytest.mark.parametrize(
    "fill", [1j, np.complex64(1), "0", np.zeros(2), np.inf, 1e300, 10**400, True]
)
@pytest.mark.parametrize("map_", [STILL, STILL.inverse()], ids=["transform", "inverse"])
def test_a_fill_that_no_image_holds(map_, fill):
    with pytest.raises(InputError, match="`fill` must be a number"):
        map_.warp(np.eye(8), fill=fill)


def test_not_a_number_is_a_fill():
    away = varreg.Transform(GRID, GRID, np.array([[1.0, 0, 99], [0, 1, 0], [0, 0, 1]]))
    assert np.isnan(away.warp(np.eye(8), fill=np.nan)).all()


NOT_PATHS = (3, 2.5, None, ["a"], ..., b"a\0b", "a\0b")


@pytest.mark.parametrize("path", NOT_PATHS, ids=repr)
def test_what_is_no_path(result, path):
    calls = [
        lambda: result.report(path),
        lambda: varreg.write_transform(STILL, path),
        lambda: read_json(path),
        lambda: write_image(path, np.eye(8), IMAGE),
        lambda: varreg.Certificate.load(path),
    ]
    if path is not None:  # draws without writing
        calls.append(lambda: result.plot(path))
    for call in calls:
        with pytest.raises(InputError, match="not a path; give text"):
            call()
    for call in (lambda: result.save(path), lambda: varreg.load(path)):
        with pytest.raises(varreg.VarregError, match="path"):
            call()


@pytest.mark.parametrize("word", [np.zeros(3), np.zeros((2, 2)), ["itk"], 3, {}], ids=repr)
def test_words_that_are_arrays(word):
    with pytest.raises(InputError, match="`format` is"):
        varreg.read_transform("a.mat", GRID, GRID, format=word)
    with pytest.raises(InputError, match="`to` is"):
        varreg.write_transform(STILL, "a", to=word)
    with pytest.raises(InputError, match="`errors` must"):
        varreg.solve_batch([], errors=word)
    with pytest.raises(InputError, match="`interpolation` must"):
        STILL.warp(np.eye(8), word)


def test_what_is_nested_too_deeply(result, tmp_path):
    with pytest.raises(InputError, match="nested too deeply"):
        write_json(tmp_path / "a.json", deep(5000))
    result.provenance["more"] = deep(900)
    try:
        result.save(tmp_path / "deep")
        with pytest.raises(varreg.VarregError, match="nested more than"):
            varreg.load(tmp_path / "deep")
    except InputError as error:  # depends on how deep the stack is here
        assert "nested too deeply" in str(error)
    finally:
        del result.provenance["more"]


@pytest.mark.parametrize("size", [1e308, 1e200, 1e30, np.inf, np.nan])
def test_maps_of_lengths_that_no_image_has(size):
    x, y = np.mgrid[:16, :16]
    image = np.exp(-((x - 7.0) ** 2 + (y - 8.0) ** 2) / 20)
    field, shift, sheared = np.full((2, 16, 16), size), np.eye(3), np.eye(3)
    shift[0, 2] = sheared[0, 1] = size
    for start in (field, shift, sheared):
        with pytest.raises(InputError, match=r"varreg\.solve: `start`"):
            varreg.solve(1 - image, image, start=start, progress=False)
    with pytest.raises(InputError, match=r"varreg\.solve: `affine`"):
        varreg.solve(1 - image, image, affine=shift, progress=False)
    with pytest.raises(InputError, match="`affine`|`spacing`"):
        varreg.Image.from_array(image, affine=shift)
    with pytest.raises(InputError, match=r"varreg\.certify: `transform`"):
        varreg.certify(1 - image, image, field)
