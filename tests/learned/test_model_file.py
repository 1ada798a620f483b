"""Weights come back bit by bit with their card, and nothing damaged or hostile gets in."""

import json
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learned.model_file import FORMAT, VERSION, load_weights, read_model, save_model
from learned.tensor_file import KEY, LARGEST_HEADER, read_tensors, to_bytes
from varreg.errors import FileError, InputError

CARD = {
    "architecture": {"class": "Small", "width": 3, "scales": [4, 2, 1]},
    "training": {"epochs": 3, "loss": 0.1 + 0.2, "Dice": None, "data": "Tübingen"},
    "licences": ["CC0-1.0"],
}


class Small(torch.nn.Module):
    """Several types, a scalar, an empty tensor, a shared and a transposed one."""

    def __init__(self, width=3, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.convolution = torch.nn.Conv2d(2, width, 3)
        self.norm = torch.nn.BatchNorm2d(width)
        self.again = self.convolution
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
        self.register_buffer("transposed", torch.arange(6.0).reshape(2, 3).T)
        self.register_buffer("part", torch.arange(6, dtype=torch.float64)[1:4])
        self.register_buffer("empty", torch.zeros(0, 3))
        self.register_buffer("brief", torch.tensor([1 / 3, -0.0], dtype=torch.bfloat16))
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("bytes", torch.arange(5, dtype=torch.uint8))


def same(one, other):
    """Bit by bit: -0 is not 0."""
    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and torch.equal(
            one.contiguous().reshape(-1).view(torch.uint8),
            other.contiguous().reshape(-1).view(torch.uint8),
        )
    )


@pytest.fixture
def saved(tmp_path):
    save_model(tmp_path / "small.safetensors", Small(), CARD)
    return tmp_path / "small.safetensors"


def unpacked(path):
    """Header and the bytes after it."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def pack(path, header, payload):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + payload)


def test_weights_and_card_come_back_bit_by_bit(saved):
    tensors, card = read_model(saved)
    state = Small().state_dict()
    assert card == CARD
    assert set(tensors) == set(state)
    assert all(same(tensors[name], state[name]) for name in state)
    other = Small(seed=1)
    assert not same(other.convolution.weight, state["convolution.weight"])
    load_weights(other, tensors)
    assert all(same(v, state[name]) for name, v in other.state_dict().items())
    tensors["convolution.weight"].zero_()  # the module has copies
    assert same(other.state_dict()["convolution.weight"], state["convolution.weight"])


def test_the_same_weights_give_the_same_bytes(saved, tmp_path):
    save_model(tmp_path / "again.safetensors", Small(), CARD)
    assert (tmp_path / "again.safetensors").read_bytes() == saved.read_bytes()


def test_other_programs_read_it_too(saved):
    from safetensors import safe_open

    with safe_open(saved, framework="np") as file:
        weight = file.get_tensor("convolution.weight")
        described = json.loads(file.metadata()[KEY])
    np.testing.assert_array_equal(weight, Small().convolution.weight.detach().numpy())
    assert described["content"] == CARD


def test_nothing_is_replaced_unasked(saved):
    before = saved.read_bytes()
    with pytest.raises(FileError, match="overwrite"):
        save_model(saved, Small(seed=1), CARD)
    assert saved.read_bytes() == before
    save_model(saved, Small(seed=1), CARD, overwrite=True)
    assert saved.read_bytes() != before
    with pytest.raises(FileError, match="does not exist"):
        save_model(saved.parent / "absent" / "w.safetensors", Small(), CARD)
    assert os.listdir(saved.parent) == [saved.name]


CYCLE: list = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    "card, message",
    [
        (None, "must have the keys architecture, training, licences"),
        ({}, "lacks 'architecture'"),
        ({k: v for k, v in CARD.items() if k != "licences"}, "lacks 'licences'"),
        ({**CARD, "loss": float("nan")}, "not JSON"),
        ({**CARD, "tensor": torch.zeros(1)}, "not JSON"),
        ({**CARD, "path": b"x"}, "not JSON"),
        ({**CARD, "by number": {1: 2}}, "are all its keys texts"),
        ({**CARD, 3: 2}, "are all its keys texts"),
        ({**CARD, "cycle": CYCLE}, "not JSON"),
    ],
)
def test_a_card_that_says_too_little_or_is_not_json_is_refused(tmp_path, card, message):
    with pytest.raises(InputError, match=message):
        save_model(tmp_path / "w.safetensors", Small(), card)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["norm.running_var", "brief", "part"])
def test_weights_that_are_not_finite_are_refused_by_name(saved, name, value):
    module = Small()
    module.state_dict()[name][-1] = value
    with pytest.raises(InputError, match=f"'{name}' is not finite"):
        save_model(saved, module, CARD, overwrite=True)
    with pytest.raises(InputError, match=f"'{name}' is not finite"):
        load_weights(Small(), module.state_dict())
    assert read_model(saved)[1] == CARD


def test_modules_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(InputError, match="must be a torch module; got dict"):
        save_model(tmp_path / "w.safetensors", {}, CARD)
    module = torch.nn.Linear(2, 1)
    module.register_buffer("waves", torch.zeros(2, dtype=torch.complex64))
    with pytest.raises(InputError, match="'waves' is torch.complex64, which cannot be written"):
        save_model(tmp_path / "w.safetensors", module, CARD)

    class Extra(torch.nn.Linear):
        def get_extra_state(self):
            return "anything"

    with pytest.raises(InputError, match="'_extra_state' of the model is no tensor"):
        save_model(tmp_path / "w.safetensors", Extra(2, 1), CARD)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t.pop("norm.bias"), "'norm.bias' is missing"),
        (lambda t: t.update(more=torch.zeros(1)), "'more' is one too many"),
        (lambda t: t.update({"norm.bias": torch.zeros(4)}), r"'norm.bias' has shape \(4,\)"),
        (lambda t: t.update({"norm.bias": torch.zeros(3).double()}), r"torch.float64.*float32"),
        (lambda t: t.update({"norm.bias": [0, 0, 0]}), "'norm.bias' is a list"),
    ],
)
def test_weights_of_another_architecture_change_nothing(saved, change, message):
    tensors, _ = read_model(saved)
    change(tensors)
    module = Small(seed=1)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(InputError, match=f"do not fit this Small: .*{message}"):
        load_weights(module, tensors)
    assert all(same(value, before[name]) for name, value in module.state_dict().items())


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
