"""Outliers are judged against their own kind; a plan is arithmetic on headers."""

import json

import pytest

from varreg.cohort.group import LIMIT, Row, judge
from varreg.cohort.plan import Need, fit
from varreg.jobs.memory import estimated_bytes


def row(name, source="T2w", **figures):
    return Row(name, "", source=source, target="T1w", figures=figures)


def test_the_one_that_is_far_from_the_others_is_an_outlier():
    rows = [row(str(k), degrees=2 + 0.1 * k, overlap=0.9 - 0.01 * k) for k in range(8)]
    rows += [row("turned", degrees=30.0, overlap=0.9), row("cut", degrees=2.0, overlap=0.1)]
    judge(rows)
    assert [(r.participant, r.outlier_in) for r in rows if r.outlier_in] == [
        ("turned", "degrees"),
        ("cut", "overlap"),
    ]
    assert min(row.outlier for row in rows[-2:]) > LIMIT


def test_the_good_side_and_another_kind_and_few_are_none():
    rows = [row(str(k), smallest_determinant=0.5 + 0.01 * k) for k in range(8)]
    rows += [row("smooth", smallest_determinant=5.0)]
    rows += [row(str(k), "T1w", smallest_determinant=0.01 * k) for k in range(4)]
    judge(rows)
    assert not [row for row in rows if row.outlier_in]


def test_maps_that_are_all_the_same_but_for_rounding_have_no_outlier():
    rows = [row(str(k), degrees=0.0, scale=1 + 1e-12 * k) for k in range(9)]
    rows += [row("a little", degrees=0.3, scale=1.004), row("much", degrees=3.0, scale=1.0)]
    judge(rows)
    assert [r.participant for r in rows if r.outlier_in] == ["much"]


def test_failures_then_warnings_then_outliers_come_first():
    rows = [row("a"), row("b"), row("c"), row("d")]
    rows[1].outlier = 9.0
    rows[2].failed_checks = ("orientation",)
    rows[3].error = "no"
    assert [r.participant for r in sorted(rows, key=lambda r: r.order)] == ["d", "c", "b", "a"]


def test_workers_fit_by_memory_and_by_cores():
    needs = [Need("a", 1, 1, 2.0, 60.0), Need("b", 1, 1, 1.0, 60.0), Need("c", 1, 1, 1.0, 60.0)]
    assert fit(needs, 8, 6.0).workers == 2  # 2.6 GiB each
    assert fit(needs, 1, 6.0).workers == 1
    assert fit(needs, 8, 100.0).workers == 3  # more would have nothing to do
    assert fit(needs, 8, 2.0).workers == 0
    assert fit(needs, 2, 100.0).hours == pytest.approx(120 / 3600)


def test_plan_reads_headers_and_learns_from_what_is_finished(app, people, registered):
    folder, template = people
    given = ("--to", template, "--contrast", "T2w", "--cores", "4", "--memory", "1", "--json")
    said = json.loads(app("plan", folder, *given).stdout)
    assert [session["name"] for session in said["sessions"]] == ["sub-01", "sub-02"]
    assert (
        said["sessions"][0]["registrations"] == 2 and said["sessions"][0]["voxels"] == 32 * 40 * 32
    )
    assert said["sessions"][0]["gibibytes"] == pytest.approx(estimated_bytes(32 * 40 * 32) / 2**30)
    assert said["refused"] == ["sub-03: sub-03 has no image of T1w, so nothing can be registered."]
    learnt = json.loads(app("plan", folder, registered[0], *given).stdout)
    assert learnt["machine"]["measured"] == 2
    record = json.loads((registered[0] / "sub-01" / ".varreg.json").read_text())
    other = json.loads((registered[0] / "sub-02" / ".varreg.json").read_text())
    mean = (record["seconds"] + other["seconds"]) / 2
    assert learnt["sessions"][0]["seconds"] == pytest.approx(mean)
    words = app("plan", folder, "--to", template, "--cores", "4", "--memory", "1").stdout
    assert "2 workers fit (--processes 2)" in words
