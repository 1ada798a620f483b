"""Parameter files of elastix are read as transformix applies them."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import varreg
from varreg.errors import FileError

from .cases import case, flipped, itk_geometry

LINEAR = {
    2: {
        "TranslationTransform": [3.0, -2.0],
        "EulerTransform": [0.3, 2.0, -4.0],
        "SimilarityTransform": [1.2, -0.2, 3.0, 1.0],
        "AffineTransform": [1.1, 0.1, -0.2, 0.9, 3.0, 1.0],
    },
    3: {
        "TranslationTransform": [3.0, -2.0, 1.0],
        "EulerTransform": [0.3, -0.2, 0.1, 2.0, -4.0, 1.0],
        "SimilarityTransform": [0.1, 0.2, -0.1, 2.0, -4.0, 1.0, 1.2],
        "AffineTransform": [1.1, 0.1, 0.05, -0.2, 0.9, 0.1, 0.02, 0.03, 1.05, 3.0, 1.0, -2.0],
    },
}


def words(values):
    return " ".join(str(v).lower() if isinstance(v, bool) else repr(v) for v in values)


def parameter_file(path, one, kind, values, **further):
    """A file as elastix writes it, for the fixed image of a case."""
    dim, grid = one.dim, one.transform.fixed
    origin, spacing, direction = itk_geometry(grid)
    entries = {
        "Transform": f'"{kind}"',
        "NumberOfParameters": str(len(values)),
        "TransformParameters": words(map(float, values)),
        "InitialTransformParameterFileName": '"NoInitialTransform"',
        "HowToCombineTransforms": '"Compose"',
        "FixedImageDimension": str(dim),
        "MovingImageDimension": str(dim),
        "FixedInternalImagePixelType": '"float"',
        "MovingInternalImagePixelType": '"float"',
        "Size": words(grid.shape),
        "Index": words([0] * dim),
        "Spacing": words(spacing.tolist()),
        "Origin": words(origin.tolist()),
        "Direction": words(direction.T.ravel().tolist()),  # column by column
        "UseDirectionCosines": '"true"',
        "ResampleInterpolator": '"FinalLinearInterpolator"',
        "Resampler": '"DefaultResampler"',
        "DefaultPixelValue": "0",
        "ResultImageFormat": '"nii"',
        "ResultImagePixelType": '"float"',
        **further,
    }
    text = "".join(f"({name} {value})\n" for name, value in entries.items())
    path.write_text("// made for a test\n" + text)
    return path


def linear_file(path, one, kind, **further):
    centre = (
        {}
        if kind == "TranslationTransform"
        else {"CenterOfRotationPoint": words([4.0, -7.0, 3.0][: one.dim])}
    )
    return parameter_file(path, one, kind, LINEAR[one.dim][kind], **centre, **further)


def spline_file(path, one, order=3, **further):
    """A grid of its own, oblique against the fixed image, over most of it."""
    dim, direction = one.dim, itk_geometry(one.transform.fixed)[2]
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((dim, dim)))[0]
    turned = direction @ (np.eye(dim) if dim == 2 else turn)
    size, spacing = (9, 8, 10)[:dim], (7.0, 8.0, 9.0)[:dim]
    centre = itk_centre(one)
    start = centre - turned @ (np.array(spacing) * (np.array(size) - 1) / 2)
    values = np.random.default_rng(1).uniform(-3, 3, dim * int(np.prod(size)))
    return parameter_file(
        path, one, "BSplineTransform", values.tolist(),
        BSplineTransformSplineOrder=str(order), UseCyclicTransform='"false"',
        GridSize=words(size), GridIndex=words([0] * dim), GridSpacing=words(spacing),
        GridOrigin=words(start.tolist()), GridDirection=words(turned.T.ravel().tolist()), **further,
    )  # fmt: skip


def itk_centre(one):
    return flipped(one.transform.fixed.centre[None])[0]


def chains(folder):
    """Name -> (dimension, parameter files) of everything that transformix is asked about."""
    found = {}
    for dim in LINEAR:
        one = case(dim)
        for kind in LINEAR[dim]:
            file = linear_file(folder / f"{kind}{dim}.txt", one, kind)
            found[f"{kind} {dim}"] = dim, [file]
        for order in (1, 2, 3):
            below = folder / f"{dim}{order}"
            below.mkdir()
            first = linear_file(below / "TransformParameters.0.txt", one, "EulerTransform")
            initial = {"InitialTransformParameterFileName": f'"{first}"'}
            second = spline_file(below / "TransformParameters.1.txt", one, order, **initial)
            found[f"spline {order} {dim}"] = dim, [first, second]
    file = linear_file(folder / "zyx.txt", case(3), "EulerTransform", ComputeZYX='"true"')
    found["zyx"] = 3, [file]
    return found


@pytest.fixture(scope="module")
def elastix(tmp_path_factory):
    """What elastix says: chains, and the arrays that run_elastix.py made."""
    if importlib.util.find_spec("itk") is None:
        pytest.skip("itk-elastix is not installed (extra `peers`)")
    folder = tmp_path_factory.mktemp("elastix")
    asked = chains(folder)
    jobs = {
        name: {"files": list(map(str, files)), "moving": stored(folder, dim)}
        for name, (dim, files) in asked.items()
    }
    jobs["registration"] = {
        "fixed": stored(folder, 2, fixed=True),
        "moving": stored(folder, 2),
        "folder": str(folder),
    }
    (folder / "jobs.json").write_text(json.dumps(jobs))
    script = Path(__file__).with_name("run_elastix.py")
    command = [sys.executable, script, folder / "jobs.json", folder / "results.npz"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    with np.load(folder / "results.npz") as results:
        return folder, asked, dict(results)


def stored(folder, dim, fixed=False):
    one = case(dim)
    grid = one.transform.fixed if fixed else one.transform.moving
    origin, spacing, direction = itk_geometry(grid)
    path = folder / f"{'fixed' if fixed else 'moving'}{dim}.npz"
    array = one.transform.warp(one.image) if fixed else one.image
    np.savez(path, array=array, origin=origin, spacing=spacing, direction=direction)
    return str(path)


def moved(one, read):
    grid = one.transform.fixed
    return read.points(grid.voxel_to_world(grid.coordinates()).reshape(one.dim, -1).T).T.reshape(
        one.dim, *grid.shape
    )


def read(one, file):
    return varreg.read_transform(file, one.transform.fixed, one.transform.moving)


@pytest.mark.slow
def test_transforms_and_chains(elastix):
    _, asked, results = elastix
    for name, (dim, files) in asked.items():
        one = case(dim)
        vectors = np.moveaxis(results[name], -1, 0).transpose(0, *range(dim, 0, -1)).astype(float)
        vectors[:2] *= -1
        grid = one.transform.fixed
        theirs = grid.voxel_to_world(grid.coordinates()) + vectors
        found = read(one, files[-1])
        assert (found.nodes is None) == (len(files) == 1)
        assert np.abs(vectors).max() > 1
        np.testing.assert_allclose(moved(one, found), theirs, atol=1e-3, err_msg=name)


def test_a_registration_by_elastix_is_read(elastix):
    folder, _, results = elastix
    one = case(2)
    ours = read(one, folder / "TransformParameters.1.txt")
    pairs = zip(ours.moving_coordinates(), one.image.shape, strict=True)
    inside = np.all([(c > 1) & (c < n - 2) for c, n in pairs], axis=0)
    assert inside.mean() > 0.5
    theirs = results["registration"].T
    np.testing.assert_allclose(ours.warp(one.image)[inside], theirs[inside], atol=2e-3)


def test_initial_transforms_are_not_followed_to_other_folders(tmp_path):
    one = case(3)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = linear_file(tmp_path / "a" / "TransformParameters.0.txt", one, "EulerTransform")
    for named in (str(first), "../a/TransformParameters.0.txt"):
        second = linear_file(
            tmp_path / "b" / "TransformParameters.1.txt", one, "AffineTransform",
            InitialTransformParameterFileName=f'"{named}"',
        )  # fmt: skip
        with pytest.raises(FileError, match="another folder and is not followed"):
            read(one, second)
    beside = linear_file(tmp_path / "b" / "TransformParameters.0.txt", one, "TranslationTransform")
    with pytest.warns(UserWarning, match="beside it is taken"):
        found = read(one, second)
    chain = varreg.read_transform(
        [beside, linear_file(tmp_path / "alone.txt", one, "AffineTransform")],
        one.transform.fixed, one.transform.moving,
    )  # fmt: skip
    np.testing.assert_allclose(found.affine, chain.affine, atol=1e-12)


def test_damaged_and_unknown_files_are_refused(tmp_path):
    one = case(3)
    cases = {
        "itself": ("EulerTransform", {"InitialTransformParameterFileName": '"itself.txt"'}, "end"),
        "add": ("EulerTransform", {"HowToCombineTransforms": '"Add"'}, "only Compose"),
        "absent": (
            "EulerTransform",
            {"InitialTransformParameterFileName": '"no.txt"'},
            "not exist",
        ),
        "short": ("EulerTransform", {"TransformParameters": "1 2 3"}, "cannot be read"),
        "word": ("EulerTransform", {"TransformParameters": "1 2 x"}, "cannot be read"),
        "nan": ("EulerTransform", {"TransformParameters": "nan 0 0 0 0 0"}, "NaN"),
        "dimension": ("EulerTransform", {"FixedImageDimension": "4"}, "2D or two 3D"),
        "kind": ("AffineTransform", {"Transform": '"WeightedCombinationTransform"'}, "not known"),
    }
    for name, (kind, further, message) in cases.items():
        linear_file(tmp_path / f"{name}.txt", one, kind, **further)
        with pytest.raises(varreg.VarregError, match=message):
            read(one, tmp_path / f"{name}.txt")
    spline = spline_file(tmp_path / "spline.txt", one)
    spline.write_text(spline.read_text().replace("(GridSize 9", "(GridSize 90"))
    with pytest.raises(FileError, match="cannot be read"):
        read(one, spline)
