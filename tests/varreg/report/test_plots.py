"""The overview figure and its planes, on results made by hand."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest

from varreg.data.phantom.pairs import deformed_pair
from varreg.data.phantom.random_map import sample, voxel_grid
from varreg.errors import FileError, InputError
from varreg.geometry.grid import Grid
from varreg.images.image import Image
from varreg.optimise.history import Energy, Iteration
from varreg.report.plots.overview import overview
from varreg.report.plots.panels import checkerboard
from varreg.report.plots.planes import middle_planes
from varreg.report.progress import ProgressBar


def step(stage="deformable", level=0, number=0, energy=-0.5):
    return Iteration(stage, level, 4 / 2**level, number, energy, 0.6, 0.1, 1.0, 0, 0.2, 1.5, 0.4)


def perfect(shape, seed=0, affine=None):
    """A pair and the result a perfect solver would return."""
    pair = deformed_pair(shape, np.random.default_rng(seed))
    grid = Grid(shape, np.eye(len(shape) + 1) if affine is None else affine)
    u = pair.displacement
    warped = sample(pair.moving, voxel_grid(shape) + u).astype(np.float32)
    history = [step("affine", k, i, -0.3 - 0.1 * k) for k in range(2) for i in range(4)]
    history += [step("deformable", k, i, -0.6 - 0.1 * k) for k in range(3) for i in range(5)]
    result = SimpleNamespace(
        displacement=u,
        affine=np.eye(len(shape) + 1),
        warped=Image(warped, grid),
        jacobian=lambda: np.ones(shape, dtype=np.float32),
        history=tuple(history),
        energy=Energy(0.8, 0.1, -0.7),
        start_energy=Energy(0.5, 0.0, -0.5),
        smallest_determinant=0.43,
        similarity_name="mutual information",
    )
    return pair, result, Image(pair.fixed, grid), Image(pair.moving, grid)


def words(figure):
    return " ".join(text.get_text() for text in figure.texts)


@pytest.mark.parametrize("shape", [(64, 72), (40, 44, 36)])
def test_a_figure_is_written_with_the_numbers_in_it(tmp_path, shape):
    pair, result, fixed, moving = perfect(shape)
    path = tmp_path / "overview.png"
    figure = overview(result, fixed, moving, path, truth=pair.displacement, mask=pair.mask)
    assert path.stat().st_size > 50_000
    before = np.linalg.norm(pair.displacement, axis=0)[pair.mask].mean()
    assert f"{before:.2f} \N{RIGHTWARDS ARROW} 0.00 voxels" in words(figure)
    assert "0.430" in words(figure) and "0.80 nats" in words(figure)
    titles = [axes.get_title() for axes in figure.axes]
    assert sum("Checkerboard of" in title and "after" in title for title in titles) == (
        1 if len(shape) == 2 else 3
    )


def test_nothing_in_the_figure_overlaps():
    pair, result, fixed, moving = perfect((64, 72))
    figure = overview(result, fixed, moving, truth=pair.displacement)
    renderer = figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    boxes += [axes.title.get_window_extent(renderer) for axes in figure.axes if axes.get_title()]
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])


def test_arrays_serve_as_images_and_drawing_changes_nothing():
    _, result, fixed, moving = perfect((64, 72))
    kept = fixed.data.copy()
    overview(result, fixed.data, moving.data)
    np.testing.assert_array_equal(fixed.data, kept)


def test_a_moving_image_on_another_grid_is_brought_to_the_fixed_one(tmp_path):
    _, result, fixed, moving = perfect((64, 72))
    half = Image(np.ascontiguousarray(moving.data[::2, ::2]), Grid((32, 36), np.diag([2.0, 2, 1])))
    overview(result, fixed, half, tmp_path / "figure.png")
    with pytest.raises(InputError, match=r"`moving` has the shape \(32, 36\)"):
        overview(result, fixed.data, half.data)


def test_what_does_not_fit_is_refused(tmp_path):
    pair, result, fixed, moving = perfect((64, 72))
    with pytest.raises(InputError, match="`fixed` must have the shape"):
        overview(result, fixed.data[1:], moving)
    with pytest.raises(InputError, match="`truth` must have the shape"):
        overview(result, fixed, moving, truth=pair.displacement[:, 1:])
    with pytest.raises(InputError, match="must end in .png"):
        overview(result, fixed, moving, tmp_path / "figure.txt")
    (tmp_path / "figure.png").write_text("mine")
    with pytest.raises(FileError, match="exists"):
        overview(result, fixed, moving, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_text() == "mine"


def test_folded_voxels_and_flat_images_can_be_drawn():
    _, result, fixed, moving = perfect((64, 72))
    determinant = np.ones((64, 72))
    determinant[20:30, 20:30] = -0.5
    result.jacobian = lambda: determinant
    result.history = ()
    result.warped = Image(np.zeros((64, 72), dtype=np.float32), fixed.grid)
    overview(result, fixed, moving).savefig(io.BytesIO(), dpi=30)


def test_a_checkerboard_has_square_tiles_of_both():
    board = checkerboard(np.zeros((64, 32)), np.ones((64, 32)), tiles=8)
    assert board.mean() == 0.5
    assert not board[:8, :8].any() and board[:8, 8:16].all() and board[8:16, :8].all()


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1), (-1, -1, 1)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_planes_look_the_same_whatever_the_order_of_the_axes(flips, order):
    rng = np.random.default_rng(0)
    volume = rng.random((6, 8, 10))  # right, anterior, superior
    reference = [plane.cut(volume) for plane in middle_planes(volume.shape, np.diag([1, 2, 3, 1]))]
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, world in enumerate(order):
        affine[world, axis] = flips[world] * (1, 2, 3)[world]
    stored = np.transpose(np.flip(volume, [w for w in range(3) if flips[w] < 0]), order)
    for plane, wanted in zip(middle_planes(stored.shape, affine), reference, strict=True):
        np.testing.assert_array_equal(plane.cut(stored), wanted)
    assert middle_planes(stored.shape, affine)[0].aspect == pytest.approx(2.0)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_progress_bar_speaks_to_terminals_only():
    shown, silent = Terminal(), io.StringIO()
    for stream in (shown, silent):
        with ProgressBar(2, stream) as progress:
            for level in (0, 1):
                for number in range(3):
                    progress.update(step(level=level, number=number))
            progress._bar.refresh()
    assert "deformable, 1/2 size, iteration 2, energy -0.50000" in shown.getvalue()
    assert silent.getvalue() == ""
