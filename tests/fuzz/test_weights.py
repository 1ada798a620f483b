"""Mutated weights of networks and states of trainings: read, or refused in words."""

import importlib.util
import json

import pytest

from ..varreg.children import needs_fork
from .running import mutated, run_cases

pytestmark = [
    pytest.mark.slow,
    needs_fork,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("torch", "safetensors")),
        reason="learned needs torch and safetensors",
    ),
]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A file of a model that is quick to read."""
    import torch

    from learned.weights import save_model

    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    card = {
        "architecture": {"class": "Small", "scales": [4, 2]},
        "training": {},
        "licences": ["CC0-1.0"],
    }
    save_model(path, model, card)
    return path


def with_header(data, random):
    """A header whose JSON has another value in one place."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    entry = header[sorted(header)[random.integers(len(header))]]
    key = sorted(entry)[random.integers(len(entry))]
    others = (None, -1, 2**70, [], [2**40] * 3, "F99", {}, [0, 2**40], [-1], 0.5, "[" * 3000)
    entry[key] = others[random.integers(len(others))]
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def test_weights(small, tmp_path):
    from learned.weights import read_model

    data = small.read_bytes()
    path = tmp_path / "case.safetensors"

    def case(random):
        path.write_bytes(
            with_header(data, random) if random.random() < 0.5 else mutated(data, random)
        )
        return lambda: read_model(path)

    run_cases("weights", 500, case)


def test_weights_with_a_true_checksum(tmp_path):
    """What a file says of itself may be anything although nothing in it is damaged."""
    import torch

    from learned import weights
    from learned.tensor_file import to_bytes
    from learned.weights import FORMAT, VERSION, read_model

    torch.set_num_threads(1)
    tensors, content = read_model(weights.find(weights.DEFAULT))
    odd = (None, -1, 0, 2**40, 1e300, "a", [], [1], {}, True)
    path = tmp_path / "case.safetensors"

    def case(random):
        changed = json.loads(json.dumps(content))
        where = changed
        while isinstance(where, dict) and where:
            key = sorted(where)[random.integers(len(where))]
            if isinstance(where[key], dict) and random.random() < 0.8:
                where = where[key]
            else:
                where[key] = odd[random.integers(len(odd))]
                break
        path.write_bytes(to_bytes(tensors, FORMAT, VERSION, changed, "test"))
        return lambda: weights.read(path)

    run_cases("cards of weights", 50, case, least_fine=0.1)
