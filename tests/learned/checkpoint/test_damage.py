"""Damaged and forged files are refused."""

import pytest

from learned.checkpoint import read_checkpoint
from varreg.errors import FileError

from .states import forged, set_content


@pytest.mark.parametrize("eighths", range(8))
def test_a_truncated_file_is_refused(saved, eighths):
    data = saved.read_bytes()
    saved.write_bytes(data[: len(data) * eighths // 8])
    with pytest.raises(FileError, match="checkpoint.safetensors' is not a usable learned checkp"):
        read_checkpoint(saved)


def test_flipped_bytes_are_found(saved):
    """In the header, whose JSON holds numbers that would look right, and in the tensors."""
    data = saved.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    assert end < len(data)
    places = [*range(0, 8), *range(8, end, 37), *range(end, len(data), 997), len(data) - 1]
    for place in places:
        if data[place : place + 1] == b" ":
            continue  # pads the header
        damaged = bytearray(data)
        damaged[place] ^= 1
        saved.write_bytes(damaged)
        with pytest.raises(FileError, match="checkpoint.safetensors"):
            read_checkpoint(saved)


UNREADABLE = [
    (lambda t, c: c.pop("position"), "'position'"),
    (lambda t, c: c.pop("config"), "'config'"),
    (set_content("config", "[]"), "must be an object"),
    (set_content("config", 3), "the configuration"),
    (set_content("position", ["dict", [["stage", "a"], ["speed", 3]]]), "speed"),
    (set_content("position", ["dict", [["stage", "a"], ["step", -3]]]), "learned.Position"),
    (set_content("position", 0.5), "0.5 stands where"),
    (set_content("position", ["tuple"]), "is damaged"),
    (set_content("position", [] * 3), "is damaged"),
    (set_content("torch", 3), "`torch` is no text"),
]


@pytest.mark.parametrize(
    "change, message", UNREADABLE, ids=lambda v: v if isinstance(v, str) else ""
)
def test_forged_descriptions_are_refused(saved, change, message):
    forged(saved, change)
    with pytest.raises(FileError, match=message) as caught:
        read_checkpoint(saved)
    assert repr(str(saved)) in str(caught.value)
