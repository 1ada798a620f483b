"""The interval of the mean error: it holds what it promises where pairs are exchangeable."""

import json

import numpy as np
import pytest

from varreg.certificate import interval
from varreg.certificate.interval import calibrated, calibrations, ranks

LEVELS = (0.5, 0.8, 0.9)


def pairs(count, rng):
    """Distances, spreads and errors of pairs whose errors scatter more where they are larger."""
    d = np.exp(rng.uniform(np.log(0.05), np.log(20), count))
    s = d * np.exp(rng.uniform(-3, 0.5, count))
    scatter = 0.1 + 0.3 * np.minimum(s / d, 1)
    return d, s, d * np.exp(0.5 * np.tanh(s / d) + scatter * rng.standard_t(4, count))


def calibration(d, s, error, heads=4):
    """Heads that do not differ."""
    return calibrated(d, s, error, np.arange(len(d)) % heads)


def coverage(found, d, s, error, level):
    low, high = found.interval(d, s, level)
    return np.mean((low <= error) & (error <= high))


def test_ranks_leave_the_promised_probability():
    """Between the ranks a and b of n residuals lies a further one with probability (b - a) / (n + 1)."""
    for n in range(20, 400, 7):
        for level in LEVELS:
            low, high = ranks(n, level)
            assert level - 1e-9 <= (high - low) / (n + 1) < level + 2 / (n + 1) + 1e-9


def test_coverage_of_exchangeable_pairs():
    """Mean over many calibrations, as the theorem says it: at least the level, hardly more."""
    for level in LEVELS:
        found = []
        for seed in range(400):
            rng = np.random.default_rng(seed)
            found.append(coverage(calibration(*pairs(100, rng)), *pairs(100, rng), level))
        assert level - 0.008 < np.mean(found) < level + 2 / 101 + 0.008  # three standard errors


def test_coverage_of_heads_that_differ():
    """Each head has errors of its own size; those of new heads are covered because each was new once."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        heads, sizes = np.arange(400) % 10, rng.normal(scale=0.5, size=(2, 10))
        d, s, error = pairs(400, rng)
        known = calibrated(d, s, error * np.exp(sizes[0, heads]), heads)
        d, s, error = pairs(400, rng)
        found.append(coverage(known, d, s, error * np.exp(sizes[1, heads]), 0.9))
    assert 0.87 < np.mean(found) < 0.95


def test_coverage_where_errors_are_small_and_where_they_are_large():
    rng = np.random.default_rng(0)
    found = calibration(*pairs(4000, rng))
    d, s, error = pairs(4000, rng)
    for chosen in (d < 0.5, d > 2, s / d < 0.2, s / d > 0.7):
        assert 0.8 < coverage(found, d[chosen], s[chosen], error[chosen], 0.9) < 0.97


def test_too_few_pairs_promise_nothing():
    rng = np.random.default_rng(0)
    found = calibration(*pairs(10, rng))
    assert found.interval(1.0, 0.5, 0.9) == (0.0, np.inf)
    low, high = found.interval(1.0, 0.5, 0.5)
    assert 0 < low < high < np.inf


def test_a_higher_level_has_a_wider_interval():
    found = calibration(*pairs(400, np.random.default_rng(0)))
    ends = np.array([found.interval(0.7, 0.3, level) for level in (0.1, *LEVELS, 0.95)])
    assert (np.diff(ends[:, 0]) < 0).all() and (np.diff(ends[:, 1]) > 0).all()
    assert ends[0, 0] <= found.median(0.7, 0.3) <= ends[0, 1]


# -- the calibration that is shipped


@pytest.mark.parametrize("count", [4, 8])
def test_the_shipped_calibration(count):
    content = json.loads(interval.FILE.read_text(encoding="utf-8"))
    assert content["format"] == interval.FORMAT
    assert set(content["provenance"]["heads"]).isdisjoint({"ms19", "du7294"})  # they report
    assert not any(head.startswith("10") for head in content["provenance"]["heads"])
    found = calibrations()[count]
    assert len(found.residuals) >= 100 and (np.diff(found.residuals) >= 0).all()
    for ratio in (0.1, 0.5, 1.0):
        d = np.geomspace(0.05, 50, 60)
        low, high = found.interval(d, ratio * d)
        middle = found.median(d, ratio * d)
        # larger distances never mean smaller errors; that the lower end may fall says that trials disagree
        assert (np.diff(middle) > 0).all() and (np.diff(high) > 0).all()
        assert ((low < middle) & (middle < high)).all()
    # beyond the reach of the solver's own error the distance from the trials is the error
    low, high = found.interval(20.0, 0.4)
    assert 0.7 < low / 20 < 1 < high / 20 < 1.4


def test_what_is_stored_is_what_is_used():
    found = {n: calibration(*pairs(100, np.random.default_rng(n))) for n in (4, 8)}
    content = json.loads(interval.stored(found, {"heads": ["a"]}))
    assert content["provenance"] == {"heads": ["a"]} and set(content["trials"]) == {"4", "8"}
    for name, value in content["trials"]["8"].items():
        np.testing.assert_allclose(value, getattr(found[8], name), atol=1e-4)
