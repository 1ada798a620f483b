"""Going on from a checkpoint is as never having stopped."""

import numpy as np
import pytest

from learned.checkpoint import read_checkpoint, save_checkpoint
from learned.config import Config
from learned.position import Position
from varreg.errors import InputError

from .states import CONFIG, OPTIMISERS, POSITION, SCHEDULERS, advance, everything, training


@pytest.mark.parametrize(
    "optimiser, scheduler",
    [("Adam", name) for name in SCHEDULERS]
    + [(name, "both") for name in OPTIMISERS if name != "Adam"],
)
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_going_on_is_as_never_having_stopped(path, optimiser, scheduler, steps):
    whole = training(0, optimiser, scheduler)
    advance(whole, steps)
    save_checkpoint(path, whole, CONFIG, POSITION)
    stored = everything(whole)
    losses = advance(whole, 4)

    second = training(1, optimiser, scheduler)
    advance(second, 2)
    assert everything(second) != stored
    read_checkpoint(path).restore(second, CONFIG)
    assert everything(second) == stored
    assert advance(second, 4) == losses
    assert everything(second) == everything(whole)


def test_config_and_position_come_back(saved):
    found = read_checkpoint(str(saved))
    assert (found.config, found.position, found.path) == (CONFIG, POSITION, saved)
    for position in (
        Position("affine"),
        Position("é", 0, 10**12 - 1, float("inf")),
        Position("", best=np.float32(0.1)),
        Position("a", best=5e-324),
    ):
        save_checkpoint(saved, training(), Config(), position)
        assert read_checkpoint(saved).position == position
        assert read_checkpoint(saved).config == Config()


@pytest.mark.parametrize(
    "wrong",
    [
        {"stage": 3}, {"epoch": -1}, {"step": 1.0}, {"step": True}, {"step": 10**12}, {"waited": None},
        {"best": float("nan")}, {"best": "0.1"}, {"best": 1j},
    ],
)  # fmt: skip
def test_a_position_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(InputError, match="learned.Position: "):
        Position(**{"stage": "affine", **wrong})


def test_a_checkpoint_serves_twice(saved):
    """What training does to the objects does not reach the checkpoint that was read."""
    found = read_checkpoint(saved)
    first, second = training(1), training(2)
    found.restore(first)
    stored = everything(first)
    advance(first, 2)
    found.restore(second)
    assert everything(second) == stored


def test_the_same_state_gives_the_same_bytes(saved):
    before = saved.read_bytes()
    state = training(5)
    read_checkpoint(saved).restore(state)
    save_checkpoint(saved, state, CONFIG, POSITION)
    assert saved.read_bytes() == before


def test_frozen_parameters_have_no_moments_and_need_none(path):
    def frozen(seed):
        state = training(seed)
        state.model[0].requires_grad_(False)
        return state

    whole, second = frozen(0), frozen(1)
    advance(whole, 2)
    save_checkpoint(path, whole, CONFIG, POSITION)
    losses = advance(whole, 3)
    read_checkpoint(path).restore(second)
    assert advance(second, 3) == losses
    assert everything(second) == everything(whole)
