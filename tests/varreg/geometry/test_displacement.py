"""The interpolation of u between its nodes."""

import numpy as np
import pytest

from varreg.geometry.displacement import axis_table, evaluate, expand

CONSTRAINTS = ["zero-mean", "zero-boundary"]
SIZES = [(7, 7), (9, 4), (16, 5), (5, 1), (6, 2)]


def node_positions(voxels, nodes):
    return (np.arange(nodes) + 0.5) * voxels / nodes - 0.5


@pytest.mark.parametrize("voxels, nodes", SIZES)
def test_weights_of_the_zero_mean_field_sum_to_one_everywhere(voxels, nodes):
    table = axis_table(np.linspace(-3, voxels + 3, 101), voxels, nodes, "zero-mean")
    np.testing.assert_allclose(table.weight0 + table.weight1, 1, atol=1e-6)
    assert table.weight0.min() >= 0 and table.weight1.min() >= 0
    assert table.index0.min() >= 0 and table.index1.max() <= nodes - 1


@pytest.mark.parametrize("voxels, nodes", SIZES)
def test_the_zero_boundary_field_is_zero_on_the_border_and_beyond(voxels, nodes):
    positions = [-2.0, -0.5, voxels - 0.5, voxels + 2.0]
    table = axis_table(positions, voxels, nodes, "zero-boundary")
    np.testing.assert_allclose(table.weight0 + table.weight1, 0, atol=1e-6)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("voxels, nodes", SIZES)
def test_the_field_has_its_nodal_values_at_the_nodes(voxels, nodes, constraint):
    values = np.arange(1.0, nodes + 1)
    table = axis_table(node_positions(voxels, nodes), voxels, nodes, constraint)
    found = table.weight0 * values[table.index0] + table.weight1 * values[table.index1]
    np.testing.assert_allclose(found, values, atol=1e-5)


def test_constants_are_kept_exactly():
    field = expand(np.full((2, 4, 5), 3.0, np.float32), (13, 9), "zero-mean")
    assert field.shape == (2, 13, 9)
    np.testing.assert_allclose(field, 3, atol=1e-6)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_linear_fields_are_exact_between_the_outermost_nodes(constraint):
    shape, nodes = (24, 20, 12), (6, 5, 4)
    axes = [node_positions(n, m) for n, m in zip(shape, nodes, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    found = expand(np.stack([2 * x + 1, y - z, 3 - x]), shape, constraint)
    i, j, k = np.indices(shape)
    inside = tuple(
        slice(int(np.ceil(a[0])), int(np.floor(a[-1])) + 1) for a in axes
    )  # voxels between the first and the last node
    expected = np.stack([2 * i + 1, j - k, 3 - i])
    np.testing.assert_allclose(
        found[(slice(None), *inside)], expected[(slice(None), *inside)], atol=1e-5
    )


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("shape, nodes", [((11, 8), (4, 8)), ((9, 10, 7), (3, 5, 7))])
def test_evaluate_at_the_voxels_is_expand(shape, nodes, constraint):
    values = np.random.default_rng(3).standard_normal((len(shape), *nodes))
    points = np.indices(shape, dtype=float)
    np.testing.assert_allclose(
        evaluate(values, shape, points, constraint), expand(values, shape, constraint), atol=1e-6
    )


def test_as_many_nodes_as_voxels_leave_the_field_as_it_is():
    values = np.random.default_rng(4).standard_normal((2, 6, 7))
    np.testing.assert_array_equal(expand(values, (6, 7), "zero-mean"), values)


def test_beyond_the_field_of_view_the_border_value_holds():
    values = np.random.default_rng(5).standard_normal((2, 3, 3))
    far, border = np.array([[-50.0], [4.0]]), np.array([[-0.5], [4.0]])
    np.testing.assert_allclose(
        evaluate(values, (9, 9), far, "zero-mean"), evaluate(values, (9, 9), border, "zero-mean")
    )
