"""The napari plugin, without a window but for one test: layers in, layers out, in the right place."""

from __future__ import annotations

import threading
import time
from importlib.resources import files as resources
from typing import get_args

import numpy as np
import pytest

from varreg.errors import InputError
from varreg.options.names import AFFINE_MODELS, REGULARITIES
from varreg.options.presets import PRESETS

from .packages import imported

plugin = imported("napari")
pytestmark = pytest.mark.filterwarnings("ignore")  # those of napari and what it imports

from napari.components import ViewerModel  # noqa: E402
from napari.layers import Image, Layer  # noqa: E402
from npe2 import PluginManager, PluginManifest  # noqa: E402

MANIFEST = resources("varreg.integrations") / "napari.yaml"


@pytest.fixture(scope="module")
def manifest():
    return PluginManifest.from_file(MANIFEST)


@pytest.fixture(scope="module")
def layers(slices):
    """The pair as layers whose place says what that of its files says, in micrometres."""
    place = {"scale": (2000.0, 1500.0), "units": ("um", "um")}
    return Image(slices.moving, name="T2", **place), Image(slices.fixed, name="T1", **place)


@pytest.fixture(scope="module")
def added(layers):
    """What the widget adds."""
    return [Layer.create(*made) for made in plugin.register(*layers)]


def test_the_manifest_is_valid_and_its_commands_exist(manifest):
    manifest.validate_imports()
    commands = {command.id: command.python_name for command in manifest.contributions.commands}
    assert commands == {
        "varreg.register": f"{plugin.__name__}:widget",
        "varreg.read": f"{plugin.__name__}:reader",
    }


def test_choices_are_those_of_solve():
    assert set(get_args(plugin.Affine)) == {"auto", *AFFINE_MODELS}
    assert get_args(plugin.Regularity) == REGULARITIES
    assert set(get_args(plugin.Preset)) <= set(PRESETS)


def test_the_widget_finds_the_known_map(slices, layers, added):
    warped, field = added
    assert (warped.name, field.name) == ("T2 on T1", "T2 on T1: displacement")
    before = np.linalg.norm(slices.displacement, axis=0)[slices.mask]
    start, vector = field.data[:, 0], field.data[:, 1]
    at = tuple(start.astype(int).T)
    error = np.linalg.norm(vector - slices.displacement[(slice(None), *at)].T, axis=1)
    assert error[slices.mask[at]].mean() < 0.25 * before.mean()
    assert field.ndim == 2 and 100 < len(field.data) <= plugin.ARROWS**2
    for made in added:
        assert made.units == layers[1].units
        assert np.array_equal(made.data_to_world((3, 5)), layers[1].data_to_world((3, 5)))
        assert "Checks:" in made.metadata["varreg"]


def test_the_widget_gives_the_bits_of_solve_on_the_files(added, registered):
    assert np.array_equal(added[0].data, registered.warped.values, equal_nan=True)


def test_the_place_of_a_layer_is_that_of_its_image():
    turn = np.array([[0, -1, 0, 4], [1, 0, 0, 5], [0, 0, 1, 6], [0, 0, 0, 1.0]])
    layer = Image(np.random.default_rng(0).random((4, 5, 6)), scale=(1, 2, 3), translate=(7, 8, 9), affine=turn)  # fmt: skip
    own = np.diag([1.0, 2, 3, 1])
    own[:-1, -1] = 7, 8, 9
    assert np.allclose(plugin.image_of_layer(layer, "fixed").grid.affine, turn @ own)


def test_a_large_image_is_read_in_full():
    pyramid = [np.random.default_rng(0).random((64 // k, 64 // k)) for k in (1, 2, 4)]
    layer = Image(pyramid, multiscale=True)
    assert np.allclose(plugin.image_of_layer(layer, "fixed").data, pyramid[0])


def test_what_cannot_be_registered_is_refused_with_a_remedy(layers):
    colours = Image(np.zeros((8, 8, 3), np.uint8), rgb=True, name="photo")
    with pytest.raises(InputError, match="`moving` is the layer 'photo', which has colours; split"):
        plugin.register(colours, layers[1])


def test_a_saved_result_is_opened_in_millimetres(registered, tmp_path, manifest):
    registered.save(tmp_path / "out")
    manager = PluginManager()
    manager.register(manifest)
    for path in (tmp_path / "out", tmp_path / "out" / "result.json"):
        (found,) = manager.iter_compatible_readers([str(path)])
        assert found.command == "varreg.read"
        made = plugin.reader(str(path))(str(path))
        viewer = ViewerModel()
        warped, field = (viewer.add_layer(Layer.create(*one)) for one in made)
        assert warped.name == "moving.nii.gz on fixed.nii.gz"
        assert np.allclose(warped.data_to_world((3, 4)), (6, 6))
        assert {str(unit) for layer in (warped, field) for unit in layer.units} == {"millimeter"}
        assert np.array_equal(warped.data, registered.warped.values, equal_nan=True)


def test_other_folders_are_left_to_other_readers(tmp_path, files):
    assert plugin.reader(str(tmp_path)) is None
    assert plugin.reader(str(files / "moving.nii.gz")) is None
    assert plugin.reader([str(tmp_path), str(tmp_path)]) is None


@pytest.fixture
def application():
    pytest.importorskip("qtpy", exc_type=ImportError)
    try:
        from qtpy.QtWidgets import QApplication
    except ImportError as error:  # no binding of Qt, or no library of the system that it needs
        pytest.skip(f"Qt cannot be used: {error}")
    return QApplication.instance() or QApplication([])


@pytest.fixture
def pressed(application):
    """Presses the button of the widget with two layers; what its worker hands over, and to which thread."""

    def pressed(moving, fixed):
        controls = plugin.widget()
        controls.moving.choices = controls.fixed.choices = moving, fixed
        controls.fixed.value = fixed
        made = []
        controls().returned.connect(lambda value: made.append((value, threading.get_ident())))
        end = time.monotonic() + 300
        while not made and time.monotonic() < end:
            application.processEvents()
            time.sleep(0.01)
        return made[0]

    return pressed


def test_the_controls_are_the_arguments(application):
    controls = plugin.widget()
    names = ["moving", "fixed", "affine", "deformable", "regularity", "preset", "call_button"]
    assert [control.name for control in controls] == names
    assert controls.affine.choices == get_args(plugin.Affine)


def test_the_window_gets_the_layers_in_its_own_thread(pressed, layers, added):
    (image, field), thread = pressed(*layers)
    assert thread == threading.get_ident()
    assert np.array_equal(image[0], added[0].data) and field[2] == "vectors"


def test_a_refusal_is_shown_in_the_window(pressed, layers, monkeypatch):
    shown = []
    monkeypatch.setattr(plugin, "show_error", shown.append)
    made, _ = pressed(Image(np.random.default_rng(0).random((9, 9, 9))), layers[1])
    assert made == [] and len(shown) == 1 and "3D" in shown[0]
