"""What is refused, and when; the bar, and no terminal at all."""

import io
import sys

import numpy as np
import pytest

import varreg
from varreg.errors import BackendError, InputError
from varreg.report.progress import count_bar

from .settings import QUICK, assert_same


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("ab", "got str"),
        (np.ones((2, 8, 8)), "got ndarray"),
        (None, "got NoneType"),
        (("m", "f", "mask"), "got tuple of length 3"),
        (["m"], "got list of length 1"),
        ({"moving": "m"}, "lacks 'fixed'"),
        ({"moving": "m", "fixed": "f", "mask": 1}, "has the unknown 'mask'"),
        ({"moving": "m", "fixed": "f", "threads": 1}, "has the unknown 'threads'"),
    ],
)
def test_what_is_no_pair_is_refused_with_its_position(solved, pair, words):
    solved(lambda *_, **__: pytest.fail("computed in vain"))
    with pytest.raises(InputError, match=r"solve_batch: `pairs\[1\]`") as caught:
        varreg.solve_batch([("m", "f"), pair])
    assert words in str(caught.value)
    solved(lambda moving, fixed, **given: moving)
    with pytest.raises(InputError, match=r"^varreg.iterate_batch: `pairs\[1\]`"):
        list(varreg.iterate_batch(iter([("m", "f"), pair])))


def test_one_pair_that_is_not_in_a_list_is_told_so(slices):
    with pytest.raises(InputError, match=r"`pairs\[0\]`.*\[\(moving, fixed\)\]"):
        varreg.solve_batch(slices[0])


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (dict(bins=4), InputError, "bins"),
        (dict(bin=40), InputError, "Did you mean `bins`"),
        (dict(preset="quick"), InputError, "preset"),
        (dict(options={}), InputError, "options"),
        (dict(moving="m"), InputError, "moving"),
        (dict(affine="elastic"), InputError, "affine"),
        (dict(start="corner"), InputError, "start"),
        (dict(backend="cuda"), InputError, "backend"),
        (dict(backend="cupy"), BackendError, "numba"),
        (dict(threads=0), InputError, "varreg.iterate_batch: `threads`"),
        (dict(processes=-1), InputError, "varreg.iterate_batch: `processes` must be a whole"),
        (dict(processes=True), InputError, "`processes`"),
        (dict(processes=2.0), InputError, "`processes`"),
        (dict(processes=2, callback=print), InputError, "varreg.iterate_batch: `callback`"),
        (dict(errors="ignore"), InputError, "varreg.iterate_batch: `errors`"),
        (dict(pairs=7), InputError, "varreg.iterate_batch: `pairs` must be an iterable"),
    ],
)
def test_arguments_are_checked_once_before_anything_is_taken(given, error, words):
    def untouched():
        pytest.fail("taken in vain")
        yield

    with pytest.raises(error) as caught:  # already by the call, before the first result is wanted
        varreg.iterate_batch(**{"pairs": untouched(), **given})
    assert words in str(caught.value)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("total", [3, None])
def test_the_bar_counts_pairs_on_terminals_only(total):
    shown, silent, unwanted = Terminal(), io.StringIO(), Terminal()
    for stream, progress in ((shown, None), (silent, True), (unwanted, False)):
        with count_bar(total, progress, stream) as counted:
            counted.update()
            counted.refresh()
    assert f"1/{total or '?'} pairs" in shown.getvalue()
    assert silent.getvalue() == unwanted.getvalue() == ""


@pytest.mark.parametrize("progress", [None, True])
def test_a_process_without_stderr_gets_its_results(slices, pool_ends, monkeypatch, progress):
    pair, quick = slices[0], {**QUICK, "progress": progress}
    wanted = varreg.solve(*pair, **QUICK)
    monkeypatch.setattr(sys, "stderr", None)  # pythonw, some services
    assert_same(varreg.solve(*pair, **quick), wanted)
    for count in (0, 2):
        for result in varreg.solve_batch([pair] * 2, processes=count, **quick):
            assert_same(result, wanted)
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    assert_same(varreg.solve(*pair, **quick), wanted)
