"""Batches of pairs, and what is refused."""

import numpy as np
import pytest
import torch

import learned
from learned.inference import Registrar
from varreg.errors import DivergenceError, FileError, GeometryError, InputError

from .pairs import Known, blobs, predict, shaken


def test_a_batch_is_each_pair_alone_up_to_rounding():
    network = Registrar(shaken(), (32, 32))
    shapes = [(32, 32), (21, 40), (50, 33), (32, 30), (17, 19)]
    pairs = [(blobs(s, k), blobs(s, k + 9)) for k, s in enumerate(shapes)]
    pairs[3] = {"moving": pairs[3][0], "fixed": pairs[3][1], "start": "centres"}
    found = network.predict_batch((pair for pair in pairs), batch_size=3, threads=1)
    assert len(found) == len(pairs)
    for pair, one in zip(pairs, found, strict=True):
        arguments = pair if isinstance(pair, dict) else dict(moving=pair[0], fixed=pair[1])
        alone = network.predict(**arguments, threads=1)
        assert np.abs(alone.displacement).max() > 0.3
        assert np.abs(one.displacement - alone.displacement).max() < 1e-4
        assert one.warped.data.shape == alone.warped.data.shape
    assert learned.predict_batch([], model=network) == []


def test_the_same_bits_again_and_batch_statistics_are_never_taken():
    cascade = shaken()
    network = Registrar(cascade, (32, 32))
    moving, fixed = blobs((40, 40)), blobs((40, 40), 1)
    torch.manual_seed(0)
    one = network.predict(moving, fixed, threads=1)
    cascade.train()
    torch.manual_seed(1)
    before = {name: value.clone() for name, value in cascade.state_dict().items()}
    other = network.predict(moving, fixed, threads=1)
    assert np.array_equal(one.displacement, other.displacement)
    after = cascade.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_number_of_threads_is_put_back():
    count = torch.get_num_threads()
    moving, fixed = blobs((32, 32)), blobs((32, 32), 1)
    network = Registrar(Known(np.eye(2, 3)), (32, 32))
    assert network.predict(moving, fixed, threads=count + 1).provenance["threads"] == count + 1
    with pytest.raises(InputError):
        network.predict(moving, np.zeros((32, 32)), threads=count + 1)
    assert torch.get_num_threads() == count


@pytest.mark.parametrize(
    "moving, options, error, words",
    [
        (blobs((16, 16, 16)), {}, InputError, "both must be 2D or both 3D"),
        (np.full((32, 32), np.nan), {}, InputError, "moving"),
        (np.full((32, 32), 2.0), {}, InputError, "constant"),
        ("absent.nii.gz", {}, FileError, "absent.nii.gz"),
        ([["a"]], {}, InputError, "moving"),
        (blobs((32, 32)), {"start": "middle"}, InputError, "'centres'"),
        (blobs((32, 32)), {"start": np.eye(4)}, GeometryError, "3 x 3"),
        (blobs((32, 32)), {"spacing": 0.0}, InputError, "spacing"),
        (blobs((32, 32)), {"spacing": float("nan")}, InputError, "spacing"),
        (blobs((32, 32)), {"spacing": 30.0}, InputError, "4 voxels"),
        (blobs((32, 32)), {"spacing": "1"}, InputError, "spacing"),
        (blobs((32, 32)), {"threads": 0}, InputError, "threads"),
    ],
)
def test_bad_input_is_refused_as_by_the_solver(moving, options, error, words):
    network = Registrar(Known(np.eye(2, 3)), (32, 32))
    with pytest.raises(error, match=words) as caught:
        network.predict(moving, blobs((32, 32), 1), **options)
    assert str(caught.value).startswith("learned.predict: ")


def test_volumes_are_refused_by_a_network_for_slices_and_the_reverse():
    volume, flat = blobs((16, 16, 16)), blobs((16, 16))
    with pytest.raises(InputError, match=r"is for 2D images.*16 x 16 x 16.*one slice of each"):
        predict(Known(np.eye(2, 3)), volume, volume)
    with pytest.raises(InputError, match=r"is for 3D images.*pass volumes"):
        predict(Known(np.eye(3, 4)), flat, flat, (16, 16, 16))


@pytest.mark.parametrize("affine", [np.full((2, 3), np.nan), np.zeros((2, 3))])
def test_a_map_that_makes_no_sense_never_comes_back(affine):
    with pytest.raises(DivergenceError, match=r"^learned\.predict: the network 'known'"):
        predict(Known(affine), blobs((32, 32)), blobs((32, 32), 1))
    with pytest.raises(DivergenceError):
        predict(Known(np.eye(2, 3), lambda x: x + np.nan), blobs((32, 32)), blobs((32, 32), 1))


def test_an_error_in_a_batch_says_which_pair():
    network = Registrar(Known(np.eye(2, 3)), (32, 32))
    good = (blobs((32, 32)), blobs((32, 32), 1))
    with pytest.raises(InputError, match=r"^pairs\[1\] \(moving.*learned\.predict_batch: `moving`"):
        network.predict_batch([good, (np.full((32, 32), np.inf), good[1])])
    with pytest.raises(InputError, match=r"`pairs\[0\]` must be \(moving, fixed\)"):
        network.predict_batch(good)
    masked = {"moving": good[0], "fixed": good[1], "fixed_mask": good[0]}
    with pytest.raises(InputError, match="does not accept 'fixed_mask'"):
        network.predict_batch([masked])
    with pytest.raises(InputError, match="batch_size"):
        network.predict_batch([good], batch_size=0)
    with pytest.raises(InputError, match="iterable"):
        network.predict_batch(3)
