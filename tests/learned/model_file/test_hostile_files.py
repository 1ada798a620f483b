"""Damaged and hostile files are refused."""

import json
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learned.model_file import FORMAT, VERSION, read_model, save_model
from learned.tensor_file import KEY, LARGEST_HEADER, read_tensors, to_bytes
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
    with pytest.raises(FileError, match=f"{saved.name}' is not a usable learned model file"):
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
    with pytest.raises(FileError, match="header"):
        read_model(saved)


def test_a_header_that_is_huge_in_fact_is_refused_unparsed(saved):
    saved.write_bytes((LARGEST_HEADER + 1).to_bytes(8, "little") + b" " * (LARGEST_HEADER + 9))
    with pytest.raises(FileError, match="claims a header"):
        read_model(saved)


def replaced(name, **changes):
    def change(header):
        header[name] = {**header[name], **changes}

    return change


def swapped(header):
    header["brief"], header["transposed"] = header["transposed"], header["brief"]


HOSTILE = [
    (replaced("norm.bias", data_offsets=[-12, 0]), "'norm.bias' has the data_offsets"),
    (replaced("norm.bias", data_offsets=[0, 2**63]), "'norm.bias' has the data_offsets"),
    (replaced("norm.bias", data_offsets=[0]), "'norm.bias' has the data_offsets"),
    (replaced("norm.bias", data_offsets=[0.0, 12.0]), "'norm.bias' has the data_offsets"),
    (replaced("norm.bias", data_offsets="0"), "'norm.bias' has the data_offsets"),
    (replaced("norm.bias", data_offsets=[0, 12]), "does not fill the bytes"),
    (replaced("norm.bias", data_offsets=[12, 0]), "does not fill the bytes"),
    (replaced("norm.bias", shape=[-3]), "'norm.bias' has the shape"),
    (replaced("norm.bias", shape=[True]), "'norm.bias' has the shape"),
    (replaced("norm.bias", shape=[1] * 9), "'norm.bias' has the shape"),
    (replaced("norm.bias", shape=[2**31, 2**31, 2**31]), "does not fill the bytes"),
    (replaced("norm.bias", shape=3), "'norm.bias' has the shape"),
    (replaced("norm.bias", shape=[4]), "does not fill the bytes"),
    (replaced("norm.bias", dtype="F64"), "does not fill the bytes"),
    (replaced("norm.bias", dtype="I32"), "checksum"),
    (replaced("norm.bias", dtype="F128"), "'norm.bias' has the unknown type 'F128'"),
    (replaced("norm.bias", dtype=["F32"]), "'norm.bias' has the unknown type"),
    (replaced("norm.bias", more=1), "'norm.bias' is not described by"),
    (lambda h: h.update({"norm.bias": 3}), "'norm.bias' is not described by"),
    (swapped, "checksum"),
    (lambda h: h.pop("norm.bias"), "does not fill the bytes"),
    (lambda h: h.update(twin=h["norm.bias"]), "does not fill the bytes"),
    (lambda h: h.update(void={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}), "checksum"),
    (lambda h: h.update(bias=h.pop("norm.bias")), "checksum"),
    (lambda h: h.pop("__metadata__"), "does not say that it is a learned model"),
    (lambda h: h.update(__metadata__=3), "does not say"),
    (lambda h: h.update(__metadata__={KEY: "{}"}), "does not say"),
    (lambda h: h.update(__metadata__={KEY: "[" * 99_999}), "not a usable"),
    (lambda h: h.update(__metadata__={KEY: 3}), "not a usable"),
]


@pytest.mark.parametrize("change, message", HOSTILE, ids=lambda v: v if isinstance(v, str) else "")
def test_hostile_headers_are_refused_by_name(saved, change, message):
    header, payload = unpacked(saved)
    change(header)
    pack(saved, header, payload)
    with pytest.raises(FileError, match=message) as caught:
        read_model(saved)
    assert repr(str(saved)) in str(caught.value)


@pytest.mark.parametrize(
    "text, message",
    [
        (b'{"a": {}, "a": {}}', "'a' is there twice"),
        (b"[" * 100_000, "its header cannot be read"),
        (b"\xff\xfe", "its header cannot be read"),
        (b"[]", "its header is no object"),
        (b'{"a": NaN}', "NaN is not a number"),
    ],
)
def test_headers_that_are_no_json_object_are_refused(saved, text, message):
    pack(saved, text, b"")
    with pytest.raises(FileError, match=message):
        read_model(saved)


@pytest.mark.parametrize(
    "kind, version, message",
    [
        ("learned checkpoint", 1, "does not say that it is a learned model"),
        (FORMAT, VERSION + 1, f"version is {VERSION + 1}; only {VERSION} is known"),
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
    with pytest.raises(FileError, match="card of .* lacks 'architecture'"):
        read_model(saved)


def test_what_is_no_small_regular_file_is_refused_unread(saved, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    size = saved.stat().st_size
    for path, message in (
        (tmp_path / "absent", "No such file"),
        (tmp_path, "no regular file"),
        (tmp_path / "pipe", "no regular file"),
        ("a\0b", "null"),
        (None, "NoneType"),
    ):
        with pytest.raises(FileError, match=f"cannot be read .*{message}"):
            read_model(path)
    with pytest.raises(FileError, match=f"its {size} bytes are more than the {size - 1} allowed"):
        read_model(saved, largest=size - 1)
    assert read_model(saved, largest=size)[1] == CARD


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
