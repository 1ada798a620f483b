"""SimpleITK applies what is written, and its objects and files are read as it applies them."""

from __future__ import annotations

import numpy as np
import pytest

import varreg
from varreg.errors import FileError, InputError
from varreg.exchange.itk_objects import to_simpleitk

from .cases import case, flipped, itk_geometry, peer, save_nifti

sitk = peer("SimpleITK")


def to_itk(grid, array):
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T, dtype=np.float32))
    origin, spacing, direction = itk_geometry(grid)
    image.SetOrigin(origin.tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.ravel().tolist())
    return image


def resampled(one, transform):
    fixed = to_itk(one.transform.fixed, np.zeros(one.transform.fixed.shape))
    moving = to_itk(one.transform.moving, one.image)
    return sitk.GetArrayFromImage(sitk.Resample(moving, fixed, transform, sitk.sitkLinear)).T


def mapped(transform, points):
    return flipped(np.array([transform.TransformPoint(p.tolist()) for p in flipped(points)]))


def centred(kind, dim, *values):
    """A linear transform about a centre that is not the origin."""
    transform = getattr(sitk, kind)()
    transform.SetCenter([4.0, -7.0, 3.0][:dim])
    transform.SetParameters(values)
    return transform


def spline(one, order):
    """A B-spline transform over a box larger than the fixed image, with random coefficients."""
    fixed = to_itk(one.transform.fixed, np.zeros(one.transform.fixed.shape))
    transform = sitk.BSplineTransformInitializer(fixed, [5] * one.dim, order=order)
    count = len(transform.GetParameters())
    transform.SetParameters(np.random.default_rng(0).uniform(-3, 3, count).tolist())
    return transform


@pytest.mark.parametrize("dim", [2, 3])
def test_a_composite_transform_file(tmp_path, dim):
    one = case(dim)
    (file,) = varreg.write_transform(one.transform, tmp_path / "a.h5")
    theirs = sitk.ReadTransform(str(file))
    one.check_image(resampled(one, theirs))
    one.check_points(mapped(theirs, one.landmarks))
    read = varreg.read_transform(file, one.transform.fixed, one.transform.moving)
    np.testing.assert_allclose(read.affine, one.transform.affine, atol=1e-12)
    np.testing.assert_allclose(read.nodes, one.transform.nodes, atol=1e-6)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("name", ["a.tfm", "a.txt", "a.mat", "a.h5"])
def test_an_affine_file(tmp_path, dim, name):
    one = case(dim)
    (file,) = varreg.write_transform(one.affine_only, tmp_path / name)
    one.check_points(mapped(sitk.ReadTransform(str(file)), one.landmarks), one.affine_only)
    read = varreg.read_transform(file, one.transform.fixed, one.transform.moving)
    assert read.nodes is None
    np.testing.assert_allclose(read.affine, one.transform.affine, atol=1e-10)


@pytest.mark.parametrize("dim", [2, 3])
def test_objects_both_ways(dim):
    one = case(dim)
    theirs = to_simpleitk(one.transform)
    one.check_points(mapped(theirs, one.landmarks))
    read = varreg.read_transform(theirs, one.transform.fixed, one.transform.moving)
    np.testing.assert_allclose(read.nodes, one.transform.nodes, atol=1e-6)
    assert to_simpleitk(one.affine_only).IsLinear()


LINEAR = {
    2: [
        ("Euler2DTransform", 0.3, 2.0, -4.0),
        ("Similarity2DTransform", 1.2, -0.2, 3.0, 1.0),
        ("TranslationTransform", 3.0, 1.0),
        ("AffineTransform", 1.1, 0.1, -0.2, 0.9, 3.0, 1.0),
    ],
    3: [
        ("Euler3DTransform", 0.3, -0.2, 0.1, 2.0, -4.0, 1.0),
        ("VersorRigid3DTransform", 0.1, 0.2, -0.1, 2.0, -4.0, 1.0),
        ("Similarity3DTransform", 0.1, 0.2, -0.1, 2.0, -4.0, 1.0, 1.2),
        ("ScaleVersor3DTransform", 0.1, 0.2, -0.1, 2.0, -4.0, 1.0, 1.1, 1.2, 0.9),
    ],
}


@pytest.mark.parametrize(
    ("dim", "values"), [(d, v) for d in LINEAR for v in LINEAR[d]], ids=lambda v: str(v)[:24]
)
@pytest.mark.parametrize("ending", ["", ".tfm", ".mat", ".h5"])
def test_linear_transforms_are_read(tmp_path, dim, values, ending):
    one = case(dim)
    if values[0] in ("AffineTransform", "TranslationTransform"):
        theirs = getattr(sitk, values[0])(dim)
        theirs.SetParameters(values[1:])
    else:
        theirs = centred(values[0], dim, *values[1:])
    source = theirs
    if ending:
        source = tmp_path / f"a{ending}"
        sitk.WriteTransform(theirs, str(source))
    read = varreg.read_transform(source, one.transform.fixed, one.transform.moving)
    assert read.nodes is None
    one.check_points(mapped(theirs, one.landmarks), read)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_splines_are_read_in_a_chain(tmp_path, dim, order):
    one = case(dim)
    bent = spline(one, order)
    whole = sitk.CompositeTransform(dim)
    affine = sitk.AffineTransform(dim)
    affine.SetTranslation([6.0, -4.0, 3.0][:dim])
    affine.Scale(1.05)
    whole.AddTransform(affine)
    whole.AddTransform(bent)  # applied first
    grids = one.transform.fixed, one.transform.moving
    voxels = np.random.default_rng(0).integers(0, grids[0].shape, (40, dim))
    world = grids[0].voxel_to_world(voxels.T * 1.0).T
    for source in (whole, tmp_path / "a.h5"):
        if source is not whole:
            sitk.WriteTransform(whole, str(source))
        read = varreg.read_transform(source, *grids)
        np.testing.assert_allclose(read.points(world), mapped(whole, world), atol=1e-4)
        np.testing.assert_allclose(
            read.warp(one.image, fill=0)[one.inside], resampled(one, whole)[one.inside], atol=1e-3
        )


@pytest.mark.parametrize("dim", [2, 3])
def test_a_field_on_another_grid_is_sampled_at_the_fixed_voxels(tmp_path, dim):
    one = case(dim)
    grids = one.transform.fixed, one.transform.moving
    coarse = grids[0].resized([n // 2 + 1 for n in grids[0].shape])
    vectors = np.random.default_rng(0).uniform(-1, 1, (*coarse.shape, dim))
    image = sitk.Compose([to_itk(coarse, vectors[..., axis]) for axis in range(dim)])
    sitk.WriteImage(image, str(tmp_path / "field.mha"))
    sitk.WriteImage(image, str(tmp_path / "field.nii.gz"))
    field = sitk.DisplacementFieldTransform(sitk.Cast(image, sitk.sitkVectorFloat64))
    voxels = np.random.default_rng(1).integers(1, np.array(grids[0].shape) - 1, (40, dim))
    world = grids[0].voxel_to_world(voxels.T * 1.0).T
    for source in (field, tmp_path / "field.mha", tmp_path / "field.nii.gz"):
        read = varreg.read_transform(source, *grids)
        np.testing.assert_allclose(read.points(world), mapped(field, world), atol=1e-4)


def test_slices_in_2d_files_meet_itk_in_its_own_plane(tmp_path):
    """varreg keeps the slices in an in-plane world that is not ITK's x-y plane."""
    one = case(2)
    files = [
        save_nifti(
            tmp_path / "fixed.nii.gz", one.transform.fixed, np.zeros(one.transform.fixed.shape)
        ),
        save_nifti(tmp_path / "moving.nii.gz", one.transform.moving, one.image),
    ]
    (source,) = varreg.write_transform(one.transform, tmp_path / "source.h5")
    transform = varreg.read_transform(source, *files)
    assert transform.frame is not None
    assert np.abs(transform.affine - one.transform.affine).max() > 0.1
    one.check_image(transform.warp(files[1]))
    (written,) = varreg.write_transform(transform, tmp_path / "again.h5")
    fixed, moving = (sitk.ReadImage(file, sitk.sitkFloat32) for file in files)
    assert fixed.GetDimension() == 2
    theirs = sitk.Resample(moving, fixed, sitk.ReadTransform(str(written)), sitk.sitkLinear)
    one.check_image(sitk.GetArrayFromImage(theirs).T)


def test_what_is_not_known_is_refused(tmp_path):
    one = case(3)
    grids = one.transform.fixed, one.transform.moving
    with pytest.raises(InputError, match="3D and the images are 2D|is 3D"):
        varreg.read_transform(sitk.Euler3DTransform(), *[case(2).transform.fixed] * 2)
    (file,) = varreg.write_transform(one.transform, tmp_path / "a.h5")
    whole = file.read_bytes()
    for name, content in (("half.h5", whole[: len(whole) // 2]), ("zeros.h5", bytes(2000))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileError, match="cannot be read"):
            varreg.read_transform(tmp_path / name, *grids)


def test_a_file_that_claims_more_than_it_holds_is_refused(tmp_path):
    h5py = peer("h5py")
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        group = file.create_group("TransformGroup/0")
        group.create_dataset("TransformParameters", (2**40,), "f8", chunks=(2**20,))
    refused(tmp_path / "bomb.h5")


def refused(path, match="cannot be read"):
    grids = case(3).transform.fixed, case(3).transform.moving
    with pytest.raises(varreg.VarregError, match=match):
        varreg.read_transform(path, *grids)


@pytest.mark.parametrize(
    ("kind", "parameters", "fixed"),
    [
        # a grid of 100000^3 coefficients
        ("BSplineTransform_double_3_3", "0 0 0", "1e5 1e5 1e5 0 0 0 1 1 1 1 0 0 0 1 0 0 0 1"),
        ("Euler3DTransform_double_3_3", "nan nan nan 0 0 0", "0 0 0 0"),
        ("AffineTransform_double_99_99", "1", "0"),
    ],
)
def test_texts_on_which_itk_aborts_are_refused(tmp_path, kind, parameters, fixed):
    (tmp_path / "a.tfm").write_text(
        "#Insight Transform File V1.0\n#Transform 0\n"
        f"Transform: {kind}\nParameters: {parameters}\nFixedParameters: {fixed}\n"
    )
    refused(tmp_path / "a.tfm", "read_transform|varreg")


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.mhd", "ObjectType = Image\nNDims = 2\nDimSize = 4 4\nElementType = MET_UCHAR\n{}"),
        ("a.nhdr", "NRRD0004\ntype: uchar\ndimension: 2\nsizes: 4 4\nencoding: raw\n{}\n"),
    ],
)
@pytest.mark.parametrize(
    "where", ["/dev/zero", "../x.raw", "LIST", "x%03d.raw 0 1 1", "absent.raw"]
)
def test_a_header_leads_nowhere_but_beside_it(tmp_path, name, header, where):
    (tmp_path / "x.raw").write_bytes(bytes(16))
    folder = tmp_path / "folder"
    folder.mkdir()
    key = "ElementDataFile = " if name == "a.mhd" else "data file: "
    (folder / name).write_text(header.format(key + where + "\n"))
    refused(folder / name, "voxels are in")


def test_more_axes_than_there_are_is_refused(tmp_path):
    (tmp_path / "a.mha").write_text(
        "ObjectType = Image\nNDims = 99\nDimSize = 4 4\nElementType = MET_UCHAR\n"
        "ElementDataFile = LOCAL\n"
    )
    refused(tmp_path / "a.mha")


def test_a_field_whose_vectors_are_in_a_file_beside_it(tmp_path):
    image = sitk.Image([4, 5, 6], sitk.sitkVectorFloat32, 3)
    for name in ("a.mhd", "a.nhdr"):
        sitk.WriteImage(image, str(tmp_path / name))
        varreg.read_transform(tmp_path / name, case(3).transform.fixed, case(3).transform.moving)
