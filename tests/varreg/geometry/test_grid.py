"""Grid: the conversions are each other's inverse and the field of view is kept."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varreg.errors import GeometryError, InputError, VarregError
from varreg.geometry.grid import Grid


def oblique(shape=(5, 6, 7), spacing=(0.5, 1.2, 3.0), flip=1.0, seed=0):
    """A rotated, anisotropic, shifted 3D or 2D grid."""
    generator = np.random.default_rng(seed)
    dim = len(shape)
    rotation, _ = np.linalg.qr(generator.normal(size=(dim, dim)))
    rotation[:, 0] *= flip
    affine = np.eye(dim + 1)
    affine[:-1, :-1] = rotation * np.array(spacing[:dim])
    affine[:-1, -1] = generator.uniform(-100, 100, dim)
    return Grid(shape, affine)


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 7), (1, 2, 3)])
@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_voxel_to_world_and_back_is_the_identity(shape, flip):
    grid = oblique(shape, flip=flip)
    voxels = grid.coordinates()
    assert voxels.shape == (len(shape), *shape)
    world = grid.voxel_to_world(voxels)
    np.testing.assert_allclose(grid.world_to_voxel(world), voxels, atol=1e-11)
    one = grid.voxel_to_world(voxels[(slice(None), *(0,) * len(shape))])
    np.testing.assert_allclose(one, grid.affine[:-1, -1])


def test_spacing_direction_extent_and_centre_recompose_the_affine():
    grid = oblique()
    np.testing.assert_allclose(grid.spacing, [0.5, 1.2, 3.0])
    np.testing.assert_allclose(grid.direction.T @ grid.direction, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(grid.direction * grid.spacing, grid.affine[:3, :3])
    np.testing.assert_allclose(grid.extent, [2.5, 7.2, 21.0])
    np.testing.assert_allclose(grid.centre, grid.voxel_to_world(grid.coordinates()).mean((1, 2, 3)))
    assert (grid.dim, grid.size) == (3, 210)


def corners(grid):
    """World positions of the corners of the field of view."""
    unit = np.indices((2,) * grid.dim).reshape(grid.dim, -1)
    return grid.voxel_to_world(unit * np.array(grid.shape)[:, None] - 0.5)


@given(st.lists(st.integers(1, 40), min_size=3, max_size=3), st.integers(0, 5))
def test_resized_covers_the_same_field_of_view_and_composes(shape, seed):
    grid = oblique(seed=seed)
    resized = grid.resized(tuple(shape))
    assert resized.shape == tuple(shape)
    np.testing.assert_allclose(corners(resized), corners(grid), atol=1e-9)
    np.testing.assert_allclose(resized.extent, grid.extent)
    np.testing.assert_allclose(resized.centre, grid.centre, atol=1e-9)
    assert resized.resized((9, 8, 7)).same_space(grid.resized((9, 8, 7)), 1e-9)
    assert resized.resized(grid.shape).same_space(grid, 1e-9)


def test_new_voxel_sits_where_the_formula_says():
    grid = oblique()
    resized = grid.resized((3, 10, 7))
    j = np.array([2.0, 4.0, 6.0])
    old = (j + 0.5) * np.array([5 / 3, 6 / 10, 1]) - 0.5
    np.testing.assert_allclose(resized.voxel_to_world(j), grid.voxel_to_world(old))


def test_overlap_fraction_counts_voxels_inside_the_other_field_of_view():
    grid = Grid.with_spacing((10, 20), (2.0, 1.0))
    shift = np.eye(3)
    assert grid.overlap_fraction(grid) == 1.0
    shift[0, 2] = 8.0  # mm: four of ten voxels leave
    assert grid.overlap_fraction(grid, shift) == pytest.approx(0.6)
    shift[0, 2] = 1000.0
    assert grid.overlap_fraction(grid, shift) == 0.0
    assert grid.overlap_fraction(Grid.with_spacing((100, 200))) == 1.0
    assert Grid.with_spacing((100, 100)).overlap_fraction(grid) == pytest.approx(0.04, abs=0.02)


def test_same_space_has_a_tolerance_in_voxels():
    grid = oblique()
    rounded = Grid(grid.shape, grid.affine.astype(np.float32))
    assert grid.same_space(rounded) and rounded.same_space(grid)
    moved = grid.affine.copy()
    moved[0, 3] += 0.01
    assert not grid.same_space(Grid(grid.shape, moved))
    assert grid.same_space(Grid(grid.shape, moved), tolerance=0.1)
    assert not grid.same_space(grid.resized((5, 6, 8)))


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_small_and_anisotropic_voxels_are_no_fault(scale):
    affine = np.diag([scale, 1000 * scale, scale, 1.0])
    np.testing.assert_allclose(Grid((4, 4, 4), affine).spacing, [scale, 1000 * scale, scale])


SINGULAR = np.eye(4)
SINGULAR[:, 1] = SINGULAR[:, 0]


@pytest.mark.parametrize(
    ("shape", "affine"),
    [
        ((4, 4, 4), np.full((4, 4), np.nan)),
        ((4, 4, 4), np.diag([1, 1, np.inf, 1])),
        ((4, 4, 4), np.diag([1.0, 0.0, 1.0, 1.0])),
        ((4, 4, 4), SINGULAR),
        ((4, 4, 4), SINGULAR * 1e-30),
        ((4, 4, 4), np.diag([1e-11, 1e-11, 1e-11, 1.0])),
        ((4, 4, 4), np.diag([1e30, 1e30, 1e30, 1.0])),
        ((4, 4), np.array([[1, 0, 1e308], [0, 1, 0], [0, 0, 1]])),
        ((4, 4, 4), np.diag([1.0, 1.0, 1.0, 2.0])),
        ((4, 4, 4), np.eye(3)),
        ((4, 4), "identity"),
        ((4, 4), None),
        ((4,), np.eye(2)),
        ((4, 0), np.eye(3)),
        ((4, 4.5), np.eye(3)),
        (4, np.eye(3)),
        ((4, 4, 4, 4), np.eye(5)),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(shape, affine):
    with pytest.raises(GeometryError, match="varreg.Grid: `(affine|shape)`|last row of `affine`"):
        Grid(shape, affine)


@pytest.mark.parametrize("spacing", [0, -1.0, np.nan, (1, 2, 3), "a", None, (1.0, np.inf)])
def test_a_spacing_that_makes_no_sense_is_refused(spacing):
    with pytest.raises(GeometryError, match="`spacing`"):
        Grid.with_spacing((4, 4), spacing)


def test_mismatched_dimensions_are_refused():
    grid = oblique()
    with pytest.raises(InputError, match="components first"):
        grid.voxel_to_world(np.zeros((7, 2)))
    with pytest.raises(GeometryError, match="resized"):
        grid.resized((3, 3))
    with pytest.raises(VarregError, match="overlap_fraction"):
        grid.overlap_fraction(oblique((5, 6)))


def test_the_affine_cannot_be_changed_from_outside():
    affine = np.eye(3)
    grid = Grid((4, 4), affine)
    affine[0, 0] = 7
    assert grid.spacing[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 0] = 7


def test_importing_does_not_load_reading_libraries():
    program = (
        "import sys, varreg.geometry.grid, varreg.images.accepted, varreg.io.files; "
        "sys.exit(any(m in sys.modules for m in ('nibabel', 'skimage', 'PIL', 'scipy')))"
    )
    path = [entry for entry in sys.path if entry]
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {program}"], timeout=60
    )
    assert result.returncode == 0
