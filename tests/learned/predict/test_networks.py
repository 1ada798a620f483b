"""Networks by name and by file; what comes back."""

import json

import numpy as np
import pytest
import torch

import learned
import varreg
from learned import weights
from learned.inference import registrar
from learned.weights import save_model
from varreg.errors import FileError, InputError

from .pairs import Known, blobs, card, pair_on, predict, shaken


def test_a_network_is_found_by_name_and_by_path(shipped):
    moving, fixed = blobs((40, 30)), blobs((40, 30), 1)
    wanted = predict(shaken(), moving, fixed)
    assert weights.names() == ("small-2d",)
    named = learned.load("small-2d")
    assert (named.name, named.shape, named.card) == ("small-2d", (32, 32), json_plain(card()))
    for model in (named, "small-2d", shipped / "small-2d.safetensors"):
        found = learned.predict(moving, fixed, model=model, threads=1)
        assert found.model == "small-2d"
        np.testing.assert_array_equal(found.displacement, wanted.displacement)
    (found,) = learned.predict_batch([(moving, fixed)], model="small-2d", threads=1)
    np.testing.assert_allclose(found.displacement, wanted.displacement, atol=1e-4)


def json_plain(value):
    return json.loads(json.dumps(value))


def test_a_network_is_read_once_until_its_file_changes(shipped):
    first = registrar("small-2d")
    assert registrar("small-2d") is first
    path = shipped / "small-2d.safetensors"
    save_model(path, shaken(size=0.5, scales=(1,)), card(scales=(1,)), overwrite=True)
    again = registrar("small-2d")
    assert again is not first and len(again.network.dt_nets) == 1


def test_an_unknown_name_is_answered_by_the_known_ones(shipped):
    with pytest.raises(InputError, match=r"'smal-2d'\. Did you mean `small-2d`\?"):
        learned.predict(blobs((32, 32)), blobs((32, 32), 1), model="smal-2d")
    with pytest.raises(InputError, match="name or a path; got int"):
        learned.load(3)
    with pytest.raises(FileError, match="elsewhere"):
        learned.predict(blobs((32, 32)), blobs((32, 32)), model=shipped / "elsewhere.safetensors")


def test_damaged_and_foreign_files_are_refused_by_name(shipped):
    whole = (shipped / "small-2d.safetensors").read_bytes()
    path = shipped / "bad.safetensors"
    for content in (whole[:-9], whole[:40], b"", b"PK\x03\x04" + whole, whole[:-1] + b"\xff"):
        path.write_bytes(content)
        with pytest.raises(FileError, match=r"bad\.safetensors"):
            learned.load("bad")


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"scales": (4, 2, 1)}, "'dt_nets.2"),  # one stage too few
        ({"scales": (1,)}, "is unexpected"),
        ({"dt_width": 3}, "shape"),
        ({"pooling": "global"}, "shape"),
        ({"dimension": 3, "shape": (32, 32, 32)}, "shape|weights"),
        ({"at_width": 1024, "shape": (4096, 4096)}, "has shape"),
        ({"dt_width": 0}, "dt_width"),
        ({"shape": (4, 4)}, "shape"),
        ({"depth": 5}, "depth"),
    ],
)
def test_weights_of_another_architecture_are_refused_by_name(shipped, changes, words):
    save_model(shipped / "bad.safetensors", shaken(), card(**changes))
    with pytest.raises(FileError, match=rf"bad\.safetensors.*({words})"):
        learned.load("bad")


def test_a_card_that_describes_nothing_is_refused(shipped):
    save_model(shipped / "bad.safetensors", shaken(), card() | {"architecture": 3})
    with pytest.raises(FileError, match="keys of `model`; got 3"):
        learned.load("bad")


def test_a_saved_prediction_is_a_result(tmp_path):
    moving, fixed = pair_on(2)
    prediction = predict(shaken(), moving, fixed)
    prediction.save(tmp_path / "out")
    loaded = varreg.load(tmp_path / "out")
    assert np.array_equal(loaded.transform.nodes, prediction.transform.nodes)
    assert np.array_equal(loaded.affine, prediction.affine)
    assert np.array_equal(loaded.warp(moving), prediction.warped.data)
    assert loaded.smallest_determinant == prediction.smallest_determinant
    assert loaded.provenance["backend"] == "network 'known'" and np.isnan(loaded.energy.total)
    with pytest.raises(FileError, match="exists"):
        prediction.save(tmp_path / "out")
    labels = (moving.data > 1).astype(np.uint8)
    assert np.array_equal(loaded.warp_labels(labels), prediction.warp_labels(labels))


def test_it_explains_itself():
    moving, fixed = pair_on(2)
    words = str(predict(shaken(), moving, fixed))
    assert "Affine (predicted): rotation" in words and "Deformable: u has mean" in words
    assert "no energy was minimised" in words and "network 'known' on cpu, 1 thread" in words
    assert words.splitlines()[-1] == "Maps points of FIXED to MOVING (world mm, RAS+)."


def test_its_first_line_says_how_to_check_it():
    image = blobs((32, 32))
    first = str(predict(Known(np.eye(2, 3)), image, image)).splitlines()[0]
    assert first.startswith("Checks: none were run; varreg.certify(")


def test_it_adds_up_its_seconds():
    prediction = predict(Known(np.eye(2, 3)), blobs((32, 32)), blobs((32, 32), 1))
    parts = prediction.provenance["seconds"]
    assert set(parts) == {"preparation", "network", "conversion", "compilation"}
    assert prediction.compilation_seconds == parts.pop("compilation") >= 0
    assert prediction.seconds == pytest.approx(sum(parts.values())) and prediction.seconds > 0


def test_the_device_is_checked_and_said():
    moving, fixed = blobs((32, 32)), blobs((32, 32), 1)
    prediction = predict(shaken(), moving, fixed, device="cpu")
    assert prediction.provenance["device"] == "cpu"
    with pytest.raises(InputError, match="`device` is 'cuda:63'"):
        predict(shaken(), moving, fixed, device="cuda:63")


class Elsewhere(Known):
    """A network that only takes what is where it is itself, as one on a GPU does."""

    def to(self, *arguments, **settings):
        if arguments and isinstance(arguments[0], torch.device):
            self.place = arguments[0]
        return super().to(*arguments, **settings)

    def forward(self, moving, fixed):
        assert self.place.type == moving.device.type == fixed.device.type
        return super().forward(moving, fixed)


def test_the_images_are_brought_to_the_network():
    prediction = predict(
        Elsewhere(np.eye(2, 3)), blobs((32, 32)), blobs((32, 32), 1), device="cpu:0"
    )
    assert prediction.provenance["device"] == "cpu:0"
