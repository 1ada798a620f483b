"""A cluster of Dask: a worker that is killed loses nothing, and nothing is done twice."""

import os
import signal
import threading
import time

import cloudpickle
import pytest

from varreg.jobs.engine import Engine
from varreg.jobs.job import State
from varreg.jobs.running import run_jobs

from . import work
from .work import jobs_of, lines

distributed = pytest.importorskip("distributed", reason="'varreg[cluster]' is not installed")
cloudpickle.register_pickle_by_value(work)


@pytest.fixture(params=[(2, 1)], ids=["2 workers"])
def cluster(request):
    workers, threads = request.param
    with distributed.LocalCluster(
        n_workers=workers, threads_per_worker=threads, processes=True, dashboard_address=":0"
    ) as started:
        yield started


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_nothing(tmp_path, cluster):
    """Killed from outside amid a job: that goes to another, and finished ones stay as they are."""
    jobs = jobs_of(tmp_path, 20, seconds=0.05, endless=7)

    def kill():
        while not (found := lines(tmp_path, "stuck")):
            time.sleep(0.01)
        os.kill(int(found[0].split()[2]), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    outcomes = run_jobs(jobs, Engine(scheduler=cluster.scheduler_address))
    killer.join()
    assert all(outcome.state is not State.FAILED for outcome in outcomes)
    assert sorted(lines(tmp_path, "end")) == sorted(f"end job{k}" for k in range(20))
    assert len(lines(tmp_path, "begin")) == 21
    assert [(tmp_path / f"job{k}.txt").read_text() for k in range(20)] == [
        str(k**2) for k in range(20)
    ]


@pytest.mark.slow
def test_a_job_that_kills_its_workers_is_given_up(tmp_path, cluster):
    jobs = jobs_of(tmp_path, 4, deadly=2, always=True)
    outcomes = run_jobs(jobs, Engine(scheduler=cluster.scheduler_address))
    assert [outcome.state is State.FAILED for outcome in outcomes] == [False, False, True, False]
    assert "was killed 4 times" in str(outcomes[2].error)
    # answers that a killed worker still held are known from their records, not computed again
    assert sorted(lines(tmp_path, "end")) == ["end job0", "end job1", "end job3"]


@pytest.mark.slow
@pytest.mark.parametrize("cluster", [(1, 2)], ids=["1 worker, 2 threads"], indirect=True)
def test_a_job_beside_one_that_kills_its_workers_is_done(tmp_path, cluster):
    """Dask blames both, which are in the same worker each time."""
    jobs = jobs_of(tmp_path, 2, deadly=0, always=True, seconds=0.5)
    outcomes = run_jobs(jobs, Engine(scheduler=cluster.scheduler_address))
    assert [outcome.state is State.FAILED for outcome in outcomes] == [True, False]
    assert "was killed 4 times" in str(outcomes[0].error)
    assert lines(tmp_path, "end") == ["end job1"]
