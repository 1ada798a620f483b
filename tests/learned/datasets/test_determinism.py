"""Pairs depend on their position alone."""

import pytest
import torch
from torch.utils.data import DataLoader

from learned.data.datasets import Pair, PairDataset
from learned.step import Batches

from .scenes import SHAPE, sources


def same(first, second):
    return all(
        a == b if isinstance(a, str) else torch.equal(a, b)
        for a, b in zip(first, second, strict=True)
    )


def test_a_pair_depends_on_its_position_alone(mixed):
    forwards = [mixed[2, k] for k in range(6)]
    other = PairDataset(sources(), length=12, seed=5)
    torch.manual_seed(99)
    assert all(same(other[2, k], forwards[k]) for k in reversed(range(6)))


def test_a_pair_depends_on_seed_epoch_and_index(mixed):
    pairs = [mixed[0, 0], mixed[0, 1], mixed[1, 0], PairDataset(sources(), length=12, seed=6)[0, 0]]
    assert same(mixed[0], pairs[0])
    for k, pair in enumerate(pairs):
        assert not any(torch.equal(pair.moving, other.moving) for other in pairs[:k])


def test_the_number_of_threads_does_not_matter(mixed):
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append([mixed[3, k] for k in range(4)])
    finally:
        torch.set_num_threads(before)
    assert all(map(same, *results))


def test_the_global_generator_is_left_alone(mixed):
    before = torch.get_rng_state()
    mixed[0, 0]
    assert torch.equal(torch.get_rng_state(), before)


def test_an_epoch_resumed_in_its_middle_goes_on_as_it_would_have(mixed):
    def batches(start):
        places = [(4, index) for index in range(start, len(mixed))]
        return list(DataLoader(mixed, batch_size=4, sampler=places))

    alone = batches(0)
    assert isinstance(alone[0], Pair)
    assert alone[0].moving.shape == (4, 1, *SHAPE) and alone[0].truth.shape == (4, 2, *SHAPE)
    assert alone[0].affine.shape == (4, 2, 3) and len(alone[0].subject) == 4
    resumed = batches(4)
    assert len(alone) == 3 and len(resumed) == 2
    for batch, other in zip(alone[1:], resumed, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(batch[:5], other[:5], strict=True))
        assert batch.subject == other.subject


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_two_workers_give_the_same(mixed):
    places = [(4, index) for index in range(4)]
    loader = DataLoader(mixed, batch_size=None, sampler=places, num_workers=2)
    assert all(same(pair, mixed[4, k]) for k, pair in enumerate(loader))


def test_positions_of_batches():
    batches = list(Batches(size=2, steps=3, rank=0, count=1, first=2, last=4, start=2))
    assert batches == [[(2, 4), (2, 5)], *[[(3, k), (3, k + 1)] for k in (0, 2, 4)]]
