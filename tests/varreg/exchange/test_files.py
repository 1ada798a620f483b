"""read_transform and write_transform: forms, refusals, damaged files, nothing overwritten."""

from __future__ import annotations

import gzip
import subprocess
import sys

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import varreg
from varreg.data.phantom.pairs import deformed_pair
from varreg.errors import BackendError, FileError, GeometryError, InputError
from varreg.exchange import optional

from .cases import case, save_nifti

DIMENSIONS = pytest.mark.parametrize("dim", [2, 3])


def grids(one):
    return one.transform.fixed, one.transform.moving


@DIMENSIONS
@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_numpy_both_ways(tmp_path, dim, name):
    one = case(dim)
    (file,) = varreg.write_transform(one.transform, tmp_path / name, to="numpy")
    read = varreg.read_transform(file, *grids(one))
    np.testing.assert_allclose(read.displacement, one.transform.displacement, atol=1e-5)
    content = np.load(file)
    total = content if name == "a.npy" else content["displacement"]
    np.testing.assert_array_equal(total, one.transform.displacement)
    if name == "a.npz":
        np.testing.assert_array_equal(read.u, one.transform.u)
        np.testing.assert_array_equal(read.affine, one.transform.affine)


def test_numpy_in_a_chain(tmp_path):
    one = case(3)
    (file,) = varreg.write_transform(one.transform, tmp_path / "a.npz", to="numpy")
    (back,) = varreg.write_transform(one.affine_only, tmp_path / "b.mat", "ants", inverse=True)
    read = varreg.read_transform([file, back], *grids(one))
    np.testing.assert_allclose(read.affine, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(read.u, one.transform.u, atol=1e-5)


def test_pickles_and_wrong_arrays_are_refused(tmp_path):
    one = case(2)
    np.save(tmp_path / "pickle.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "last.npy", np.zeros((30, 26, 2)))
    np.savez(tmp_path / "other.npz", flow=np.zeros(3))
    (tmp_path / "huge.npy").write_bytes(
        b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (2, 4000000, 4000000), }".ljust(117) + b"\n"
    )  # fmt: skip
    for name in ("pickle.npy", "last.npy", "other.npz", "huge.npy"):
        with pytest.raises(FileError):
            varreg.read_transform(tmp_path / name, *grids(one))


def test_a_saved_result_knows_its_own_grids(tmp_path):
    pair = deformed_pair((48, 48), np.random.default_rng(0))
    few = {"levels": (2,), "iterations": 3, "affine_iterations": 3}
    result = varreg.solve(pair.moving, pair.fixed, **few)
    result.save(tmp_path / "result")
    read = varreg.read_transform(tmp_path / "result")
    np.testing.assert_array_equal(read.displacement, result.displacement)
    np.testing.assert_array_equal(
        varreg.read_transform(tmp_path / "result", pair.fixed, pair.moving).nodes,
        result.transform.nodes,
    )
    finer = varreg.Grid.with_spacing((48, 48)).resized((96, 96))
    points = np.random.default_rng(0).uniform(5, 40, (20, 2))
    moved = varreg.read_transform(result, finer, pair.moving).points(points)
    np.testing.assert_allclose(moved, result.points(points), atol=0.02)
    back = varreg.read_transform(result.inverse(), pair.moving, pair.fixed)
    np.testing.assert_allclose(back.points(result.points(points)), points, atol=0.05)
    files = varreg.write_transform(result, tmp_path / "a_", to="ants")
    again = varreg.read_transform(files, pair.fixed, pair.moving)
    np.testing.assert_allclose(again.displacement, result.displacement, atol=1e-5)


def test_nothing_is_overwritten_unasked_and_nothing_is_left_by_halves(tmp_path):
    one = case(3)
    (tmp_path / "a_0GenericAffine.mat").write_text("mine")
    with pytest.raises(FileError, match="exists"):
        varreg.write_transform(one.transform, tmp_path / "a_", to="ants")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a_0GenericAffine.mat"]
    assert (tmp_path / "a_0GenericAffine.mat").read_text() == "mine"
    files = varreg.write_transform(one.transform, tmp_path / "a_", to="ants", overwrite=True)
    assert sorted(tmp_path.iterdir()) == sorted(files)
    with pytest.raises(FileError, match="does not exist"):
        varreg.write_transform(one.transform, tmp_path / "no" / "a.npz", to="numpy")


@pytest.mark.parametrize(
    ("to", "name", "message"),
    [
        ("itk", "a.mat", "affine map only"),
        ("itk", "a", "requires a file that ends"),
        ("fsl", "a.mat", "affine map only"),
        ("fsl", "a.h5", "requires a file"),
        ("greedy", "a.mat", "affine map only"),
        ("numpy", "a.nii.gz", "requires a file"),
        ("spm", "a", "give one of"),
    ],
)
def test_names_that_fit_no_form_are_refused(tmp_path, to, name, message):
    with pytest.raises(InputError, match=message):
        varreg.write_transform(case(3).transform, tmp_path / name, to=to)
    assert not list(tmp_path.iterdir())


def test_other_arguments_are_refused(tmp_path):
    one = case(3)
    with pytest.raises(InputError, match="inverse=True"):
        varreg.write_transform(one.transform.inverse(), tmp_path / "a.h5")
    with pytest.raises(InputError, match="`format` is 'spm'"):
        varreg.read_transform("a", *grids(one), format="spm")
    with pytest.raises(InputError, match="int, which is not a transform"):
        varreg.read_transform(3, *grids(one))
    with pytest.raises(InputError, match="`fixed` is missing"):
        varreg.read_transform("a.mat")
    with pytest.raises(InputError, match="2 sources .* 1 values"):
        varreg.read_transform([one.transform] * 2, *grids(one), invert=[True])
    with pytest.raises(InputError, match="cannot be inverted here"):
        varreg.read_transform(one.transform, *grids(one), invert=True)
    with pytest.raises(FileError, match="does not exist"):
        varreg.read_transform(tmp_path / "absent.mat", *grids(one))
    with pytest.raises(FileError, match="not a regular file"):
        varreg.read_transform(tmp_path, *grids(one))


def test_sheared_voxels_have_no_form_in_itk(tmp_path):
    sheared = np.eye(4)
    sheared[0, 1] = 0.3
    grid = varreg.Grid((8, 8, 8), sheared)
    transform = varreg.Transform(grid, grid, np.eye(4), np.ones((3, 8, 8, 8)))
    for name in ("a_", "a.nii.gz"):
        with pytest.raises(GeometryError, match="not orthogonal"):
            varreg.write_transform(transform, tmp_path / name, to="ants")
    assert not list(tmp_path.iterdir())
    (file,) = varreg.write_transform(transform, tmp_path / "a.npz", to="numpy")
    np.testing.assert_array_equal(varreg.read_transform(file, grid, grid).u, transform.u)


def test_damaged_fields_are_refused(tmp_path):
    one = case(3)
    (good,) = varreg.write_transform(one.transform, tmp_path / "a.nii", to="itk")
    content = bytearray(good.read_bytes())
    claims = bytearray(content)
    claims[42:50] = np.array([30000] * 4, "<i2").tobytes()  # dim[1..4]: more than the file holds
    scalar = bytearray(content)
    scalar[68:70] = np.array([3], "<i2").tobytes()  # an intent that is not that of vectors
    damaged = {
        "half.nii": content[: len(content) // 2],
        "header.nii": content[:200],
        "empty.nii": b"",
        "claims.nii": claims,
        "intent.nii": scalar,
        "half.nii.gz": gzip.compress(bytes(content))[:-5000],
        "text.nii": b"hello",
        "image.nii.gz": None,
    }
    save_nifti(tmp_path / "image.nii.gz", one.transform.fixed, np.zeros(one.transform.fixed.shape))
    for name, bytes_ in damaged.items():
        if bytes_ is not None:
            (tmp_path / name).write_bytes(bytes(bytes_))
        with pytest.raises(FileError):
            varreg.read_transform(tmp_path / name, *grids(one))
    nan = nibabel.load(good)
    vectors = np.asarray(nan.dataobj).copy()
    vectors[3, 3, 3] = np.nan
    nibabel.Nifti1Image(vectors, nan.affine, nan.header).to_filename(tmp_path / "nan.nii")
    with pytest.raises(GeometryError, match="NaN"):
        varreg.read_transform(tmp_path / "nan.nii", *grids(one))


@settings(max_examples=60)
@given(
    data=st.binary(max_size=400),
    name=st.sampled_from(["a.mat", "a.txt", "a.nii", "a.npy", "a.npz"]),
)
def test_noise_is_refused_in_words(tmp_path_factory, data, name):
    path = tmp_path_factory.mktemp("noise") / name
    path.write_bytes(data)
    with pytest.raises(varreg.VarregError):
        varreg.read_transform(path, *grids(case(2)))


def test_changed_ants_matrices_are_refused_or_read(tmp_path):
    """Every single byte of an affine file may be another."""
    one = case(3)
    (file,) = varreg.write_transform(one.affine_only, tmp_path / "a.mat", to="ants")
    content = file.read_bytes()
    random = np.random.default_rng(0)
    for place in range(0, 120, 3):  # headers and name
        changed = bytearray(content)
        changed[place] ^= int(random.integers(1, 256))
        file.write_bytes(bytes(changed))
        try:
            read = varreg.read_transform(file, *grids(one))
        except varreg.VarregError:
            continue
        assert np.isfinite(read.affine).all()


def test_a_missing_library_is_named_with_its_remedy(monkeypatch, tmp_path):
    one = case(3)
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(BackendError, match=r"pip install 'varreg\[io\]'"):
        varreg.write_transform(one.transform, tmp_path / "a.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(BackendError, match=r"X5 .* needs h5py"):
        varreg.write_transform(one.transform, tmp_path / "a.x5")
    assert not list(tmp_path.iterdir())
    with pytest.raises(BackendError, match="nosuchmodule"):
        optional.needed("nosuchmodule", "nothing")


def test_names_are_there_without_loading_anything():
    code = (
        "import sys, varreg; varreg.read_transform; varreg.write_transform; "
        "print([m for m in ('SimpleITK', 'nitransforms', 'h5py', 'ants') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def peak_of(code, *arguments):
    """Peak memory of a process beyond what importing takes, in MiB; it may not fail."""
    head = "import resource, sys; import numpy as np, varreg\n"
    tail = "\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    before, after = (
        int(
            subprocess.run(
                [sys.executable, "-c", head + part + tail, *map(str, arguments)],
                check=True, capture_output=True, text=True,
            ).stdout
        )
        for part in ("grid = varreg.Grid.with_spacing((8, 8))\nimport nibabel, varreg.exchange.reading", code)
    )  # fmt: skip
    return after - before


REFUSED = """
grid = varreg.Grid.with_spacing((8, 8))
try:
    varreg.read_transform(sys.argv[1], grid, grid)
except varreg.VarregError:
    pass
else:
    assert sys.argv[2] == "read"
"""


def test_what_nobody_asked_for_is_not_inflated(tmp_path):
    """Members of an archive beside those of a transform, or of another shape."""
    pytest.importorskip("resource", reason="Windows does not tell the peak of a process")
    grid = varreg.Grid.with_spacing((8, 8))
    (whole,) = varreg.write_transform(
        varreg.Transform(grid, grid, np.eye(3)), tmp_path / "a.npz", "numpy"
    )
    members = dict(np.load(whole))
    large = np.zeros(2**24)
    np.savez_compressed(tmp_path / "beside.npz", **members, other=large)
    np.savez_compressed(tmp_path / "wrong.npz", **{**members, "u": large})
    np.savez_compressed(tmp_path / "alone.npz", displacement=large)
    assert peak_of(REFUSED, tmp_path / "beside.npz", "read") < 100
    for name in ("wrong.npz", "alone.npz"):
        assert peak_of(REFUSED, tmp_path / name, "refused") < 100


def test_extensions_of_a_header_are_not_read_if_they_are_absurd(tmp_path):
    pytest.importorskip("resource", reason="Windows does not tell the peak of a process")
    header = nibabel.Nifti1Header()
    header.set_data_shape((8, 8, 1, 1, 2))
    raw = bytearray(header.binaryblock)
    raw[108:112] = np.array([2.0**29], "<f4").tobytes()  # where voxels begin
    extension = b"\1\0\0\0" + np.array([2**29 - 352, 6], "<i4").tobytes()
    with gzip.open(tmp_path / "a.nii.gz", "wb", 1) as stream:
        stream.write(bytes(raw) + extension)
        for _ in range(2**9):
            stream.write(bytes(2**20))
    assert peak_of(REFUSED, tmp_path / "a.nii.gz", "refused") < 100
