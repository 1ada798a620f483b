"""Damaged and hostile files are refused."""

import json
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learned.cascade import Cascade
from learned.config import ModelConfig
from learned.tensor_file import KEY, read_tensors, to_bytes
from learned.weights import FORMAT, VERSION, read, read_model, save_model
from varreg.errors import FileError

from .files import CARD, same


def unpacked(path):
    """Header and the bytes after it."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def pack(path, header, payload):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + payload)


@pytest.mark.parametrize("eighths", range(8))
def test_a_truncated_file_is_refused(saved, eighths):
    data = saved.read_bytes()
    saved.write_bytes(data[: len(data) * eighths // 8])
    with pytest.raises(FileError, match=f"{saved.name}' is not a valid learned model file"):
        read_model(saved)


def test_every_flipped_bit_is_found_or_harmless(saved):
    """Spaces that pad the header are the only bytes that mean nothing."""
    save_model(saved, torch.nn.Linear(2, 1), CARD, overwrite=True)
    data = saved.read_bytes()
    expected, refused = read_model(saved)[0], 0
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << (place % 8)
        saved.write_bytes(damaged)
        try:
            tensors, card = read_model(saved)
        except FileError as error:
            assert saved.name in str(error)
            refused += 1
        else:
            assert data[place : place + 1] == b" "
            assert card == CARD
            assert all(same(tensors[name], expected[name]) for name in expected)
    assert refused >= len(data) - 8


@pytest.mark.parametrize("length", [0, 1, 2**24 + 1, 2**31, 2**63, 2**64 - 1])
def test_a_wrong_header_length_is_refused(saved, length):
    data = saved.read_bytes()
    saved.write_bytes(length.to_bytes(8, "little") + data[8:])
    with pytest.raises(FileError, match="(?i)header"):
        read_model(saved)


def replaced(name, **changes):
    def change(header):
        header[name] = {**header[name], **changes}

    return change


def swapped(header):
    header["brief"], header["transposed"] = header["transposed"], header["brief"]


HOSTILE = [
    replaced("norm.bias", data_offsets=[-12, 0]),
    replaced("norm.bias", data_offsets=[0, 2**63]),
    replaced("norm.bias", data_offsets=[0]),
    replaced("norm.bias", data_offsets=[0.0, 12.0]),
    replaced("norm.bias", data_offsets="0"),
    replaced("norm.bias", data_offsets=[0, 12]),
    replaced("norm.bias", data_offsets=[12, 0]),
    replaced("norm.bias", shape=[-3]),
    replaced("norm.bias", shape=[True]),
    replaced("norm.bias", shape=[1] * 9),
    replaced("norm.bias", shape=[2**31, 2**31, 2**31]),
    replaced("norm.bias", shape=3),
    replaced("norm.bias", shape=[4]),
    replaced("norm.bias", dtype="F64"),
    replaced("norm.bias", dtype="I32"),
    replaced("norm.bias", dtype="F128"),
    replaced("norm.bias", dtype=["F32"]),
    lambda h: h.update({"norm.bias": 3}),
    swapped,
    lambda h: h.pop("norm.bias"),
    lambda h: h.update(twin=h["norm.bias"]),
    lambda h: h.update(void={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}),
    lambda h: h.update(bias=h.pop("norm.bias")),
    lambda h: h.pop("__metadata__"),
    lambda h: h.update(__metadata__=3),
    lambda h: h.update(__metadata__={KEY: "{}"}),
    lambda h: h.update(__metadata__={KEY: "[" * 99_999}),
    lambda h: h.update(__metadata__={KEY: 3}),
]


@pytest.mark.parametrize("change", HOSTILE)
def test_hostile_headers_are_refused_by_name(saved, change):
    header, payload = unpacked(saved)
    change(header)
    pack(saved, header, payload)
    with pytest.raises(FileError, match="is not a valid learned model file") as caught:
        read_model(saved)
    assert repr(str(saved)) in str(caught.value)


@pytest.mark.parametrize("text", [b"[" * 100_000, b"\xff\xfe", b"[]", b'{"a": NaN}'])
def test_headers_that_are_no_json_object_are_refused(saved, text):
    pack(saved, text, b"")
    with pytest.raises(FileError, match="is not a valid"):
        read_model(saved)


@pytest.mark.parametrize(
    "kind, version, message",
    [
        ("learned checkpoint", 1, "do not describe a learned model"),
        (FORMAT, VERSION + 1, f"version is {VERSION + 1}; only {VERSION} is supported"),
        (FORMAT, "1", "version is '1'"),
    ],
)
def test_other_formats_and_versions_are_refused(saved, kind, version, message):
    saved.write_bytes(to_bytes({"a": torch.zeros(2)}, kind, version, CARD, "test"))
    with pytest.raises(FileError, match=message):
        read_model(saved)


def test_a_forged_checksum_does_not_let_nan_or_a_poor_card_in(saved, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("learned.tensor_file.not_finite", lambda tensors: "")
        data = to_bytes({"a": torch.tensor([0, np.nan])}, FORMAT, VERSION, CARD, "test")
    saved.write_bytes(data)
    with pytest.raises(FileError, match="'a' is not finite"):
        read_model(saved)
    saved.write_bytes(to_bytes({"a": torch.zeros(2)}, FORMAT, VERSION, {"training": {}}, "test"))
    with pytest.raises(FileError, match="card of .* 'architecture' is missing"):
        read_model(saved)


def test_what_is_no_small_regular_file_is_refused_unread(saved, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    size = saved.stat().st_size
    for path, message in (
        (tmp_path / "absent", "No such file"),
        (tmp_path, "not a regular file"),
        (tmp_path / "pipe", "not a regular file"),
        ("a\0b", "null"),
        (None, "NoneType"),
    ):
        with pytest.raises(FileError, match=f"cannot be read .*{message}"):
            read_model(path)
    too_long = rf"its size of {size} bytes exceeds the limit of {size - 1}"
    with pytest.raises(FileError, match=too_long):
        read_tensors(saved, FORMAT, VERSION, "test", largest=size - 1)
    assert read_tensors(saved, FORMAT, VERSION, "test", largest=size)[1] == CARD


@pytest.fixture
def network(tmp_path):
    """A file of a cascade, and its settings."""
    settings = {"shape": [32, 32], "at_width": 1, "dt_width": 1, "scales": [2]}
    card = {"architecture": settings, "training": {}, "licences": []}
    path = tmp_path / "network.safetensors"
    save_model(path, Cascade.build(**settings), card)
    return path, card


def test_a_card_without_later_keys_is_read_with_their_defaults(network):
    path, card = network
    built, settings, read_card = read(path)
    assert settings == ModelConfig(**card["architecture"])
    assert read_card == card
    assert isinstance(built, Cascade)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"dt_width": 1024, "at_width": 1024, "shape": [4096, 4096]}, "has shape"),
        ({"scales": [4, 2]}, "is missing"),
        ({"scales": []}, "is unexpected"),
        ({"width": 3}, "no key `model.width`"),
        ({"at_width": "a" * 9}, "`model.at_width` must be"),
        ({"shape": None}, "`model.shape` must be"),
    ],
)
def test_another_architecture_than_that_of_the_weights_is_refused_before_it_is_built(
    network, changes, message, monkeypatch
):
    path, card = network
    tensors, _ = read_model(path)
    card["architecture"].update(changes)
    path.write_bytes(to_bytes(tensors, FORMAT, VERSION, card, "test"))
    monkeypatch.setattr(torch, "isfinite", lambda values: pytest.fail("values were looked at"))
    with pytest.raises(FileError, match=message):
        read(path)


DTYPES = [torch.float64, torch.float32, torch.float16, torch.int64, torch.int8, torch.bool]
TENSORS = st.dictionaries(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=8).filter(
        lambda name: name != "__metadata__"
    ),
    st.tuples(st.lists(st.integers(0, 4), max_size=3), st.sampled_from(DTYPES)),
    max_size=4,
)
CONTENT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=60)
@given(TENSORS, st.dictionaries(st.text(max_size=4), CONTENT, max_size=3))
def test_anything_written_is_read_again(tmp_path_factory, shapes, content):
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.randn(shape, generator=generator).mul(9).to(dtype)
        for name, (shape, dtype) in shapes.items()
    }
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    path.write_bytes(to_bytes(tensors, FORMAT, VERSION, content, "test"))
    read, description = read_tensors(path, FORMAT, VERSION, "test")
    assert description == content
    assert set(read) == set(tensors)
    assert all(same(read[name], tensors[name]) for name in tensors)
