"""Many cases, each in a child of its own: what became of them is counted, and only two ends are allowed."""

import re
import time
from collections import Counter

import numpy as np
import pytest

import varreg

from ..varreg.children import FINE, REFUSED, in_child

#: Of errors that are not the package's own: its functions and their arguments are named.
_NAMED = re.compile(r"^[\w.]+(\([^)]*\))?: .*`\w+|^`\w+|^\w+\(\) (got|missing|takes)")
SHOWN = 12
#: How the cases of each suite ended, and the seconds they took; shown at the end of the run.
ENDS = {}


def allowed(error):
    """Whether an error is one that a user may see."""
    if isinstance(error, varreg.VarregError):
        return True
    return isinstance(error, (TypeError, ValueError)) and bool(_NAMED.match(str(error)))


def run_cases(name, count, case, least_fine=0.0, **limits):
    """Run the cases 0, ..., count - 1 and write down how they ended.

    Parameters
    ----------
    name : str
    count : int
    case : callable
        Random generator -> an action to be run in a child.
    least_fine : float
        Share that must not be refused: a suite that never gets past the checks shows nothing.
    **limits
        See :func:`tests.varreg.children.in_child`.
    """
    ends, bad, begun = Counter(), [], time.monotonic()
    for number in range(count):
        with np.errstate(all="ignore"):
            action = case(np.random.default_rng([len(name), ord(name[0]), number]))
        kind, words = in_child(action, allowed, **limits)
        ends[kind] += 1
        if kind not in (FINE, REFUSED):
            bad.append(f"{name} {number}: {kind}: {words}")
    seconds = time.monotonic() - begun
    ENDS[name] = ends, seconds
    assert sum(ends.values()) == count
    if bad:
        pytest.fail(f"{len(bad)} of {count} cases:\n" + "\n".join(bad[:SHOWN]), pytrace=False)
    assert ends[FINE] >= least_fine * count


def mutated(data, random):
    """Bytes that differ from those that came: cut short, changed, repeated, zeroed or extended."""
    data = bytearray(data)
    for _ in range(int(random.integers(1, 4))):
        kind, place = random.integers(6), int(random.integers(len(data) + 1))
        length = int(min(2 ** random.integers(0, 9), len(data) - place))
        if kind == 0:
            data = data[:place]
        elif kind == 1:
            data[place : place + length] = random.bytes(length)
        elif kind == 2:
            data[place : place + length] = bytes(length)
        elif kind == 3:
            data[place : place + length] = b"\xff" * length
        elif kind == 4:
            data[place:place] = data[place : place + length]
        elif len(data):
            data[min(place, len(data) - 1)] ^= int(random.integers(1, 256))
    return bytes(data)


#: Numbers that headers, options and coordinates are not made for.
ODD = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e-3, 1e3, -1e3, 1e5, 1e-9, 1e-11, 1e9, 1e11, 1e30, -1e30, 1e38, 1e39, 1e300,
       -1e308, 5e-324, np.inf, -np.inf, np.nan)  # fmt: skip


def odd(random):
    """One of these, or a number about one of them."""
    number = ODD[random.integers(len(ODD))]
    return float(number * random.uniform(0.5, 2)) if random.random() < 0.3 else float(number)
