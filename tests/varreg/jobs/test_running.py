"""Jobs are done once, on any engine; those that are finished are known by content, and nothing lost stays lost."""

import json
import os

import cloudpickle
import pytest

from varreg.errors import InputError, VarregError
from varreg.jobs.engine import Engine
from varreg.jobs.job import State
from varreg.jobs.running import run_jobs

from . import work
from .work import jobs_of, lines

cloudpickle.register_pickle_by_value(work)  # workers do not see the tests

ENGINES = [Engine(), Engine(parallel=2, threads=1), Engine(processes=2, threads=1)]
FINISHED, SKIPPED, FAILED = State.FINISHED, State.SKIPPED, State.FAILED


def states(outcomes):
    return [outcome.state for outcome in outcomes]


def squares(folder, count):
    return [(folder / f"job{k}.txt").read_text() for k in range(count)]


@pytest.mark.parametrize("engine", ENGINES)
def test_every_job_is_done_once_and_not_again(tmp_path, engine):
    assert states(run_jobs(jobs_of(tmp_path, 5), engine)) == [FINISHED] * 5
    again = run_jobs(jobs_of(tmp_path, 5), engine)
    assert states(again) == [SKIPPED] * 5
    assert [outcome.facts["square"] for outcome in again] == [0, 1, 4, 9, 16]
    assert len(lines(tmp_path, "begin")) == 5
    assert squares(tmp_path, 5) == ["0", "1", "4", "9", "16"]


def test_content_decides_and_names_and_times_do_not(tmp_path):
    run_jobs(jobs_of(tmp_path, 3))
    os.utime(tmp_path / "in" / "0.txt", (1, 1))  # touched
    (tmp_path / "in" / "1.txt").write_text("7")  # another number, of as many bytes
    assert states(run_jobs(jobs_of(tmp_path, 3))) == [SKIPPED, FINISHED, SKIPPED]
    assert squares(tmp_path, 3) == ["0", "49", "4"]


def test_other_settings_or_absent_outputs_or_a_damaged_record_are_done_again(tmp_path):
    run_jobs(jobs_of(tmp_path, 3))
    assert states(run_jobs(jobs_of(tmp_path, 3, {"add": 1}))) == [FINISHED] * 3
    (tmp_path / "job0.txt").unlink()
    (tmp_path / "job1.json").write_text((tmp_path / "job1.json").read_text()[:-40])
    found = run_jobs(jobs_of(tmp_path, 3, {"add": 1}))
    assert states(found) == [FINISHED, FINISHED, SKIPPED]
    assert states(run_jobs(jobs_of(tmp_path, 3, {"add": 1}), again=True)) == [FINISHED] * 3


@pytest.mark.parametrize("engine", ENGINES)
def test_a_failure_stops_nothing_and_is_tried_again(tmp_path, engine):
    outcomes = run_jobs(jobs_of(tmp_path, 4, refused=1), engine)
    assert states(outcomes) == [FINISHED, FAILED, FINISHED, FINISHED]
    assert "1 is refused" in str(outcomes[1].error)
    record = json.loads((tmp_path / "job1.json").read_text())
    assert record["state"] == "failed" and record["exit_code"] == 70
    assert states(run_jobs(jobs_of(tmp_path, 4), engine)) == [SKIPPED, FINISHED, SKIPPED, SKIPPED]


def test_an_absent_input_is_a_sentence(tmp_path):
    jobs = jobs_of(tmp_path, 2)
    (tmp_path / "in" / "1.txt").unlink()
    outcomes = run_jobs(jobs)
    assert states(outcomes) == [FINISHED, FAILED]
    assert "cannot be read (No such file" in str(outcomes[1].error)


def test_a_killed_process_loses_nothing(tmp_path):
    outcomes = run_jobs(jobs_of(tmp_path, 8, deadly=3), Engine(processes=2, threads=1))
    assert FAILED not in states(outcomes)  # one that had just ended beside it is known as finished
    assert outcomes[3].lost == 1 and sum(outcome.lost for outcome in outcomes) <= 2
    # one that is killed between its end and its record is done again
    ended = [lines(tmp_path, "end").count(f"end job{k}") for k in range(8)]
    assert all(1 <= n <= 1 + outcome.lost for n, outcome in zip(ended, outcomes, strict=True))
    assert ended[3] == 1 and squares(tmp_path, 8) == [str(k * k) for k in range(8)]


def test_a_job_that_kills_its_workers_is_given_up(tmp_path):
    engine = Engine(processes=2, threads=1, retries=1)
    outcomes = run_jobs(jobs_of(tmp_path, 6, deadly=2, always=True), engine)
    assert [outcome.state is FAILED for outcome in outcomes] == [False] * 2 + [True] + [False] * 3
    assert "was killed 2 times" in str(outcomes[2].error)
    assert len(lines(tmp_path, "died")) == 2


def test_names_and_records_are_of_one_job(tmp_path):
    jobs = jobs_of(tmp_path, 1) * 2
    with pytest.raises(InputError, match="several with the name job0"):
        run_jobs(jobs)


def test_engines_that_contradict_themselves():
    with pytest.raises(InputError, match="give one of them"):
        Engine(processes=2, scheduler="slurm")
    with pytest.raises(InputError, match="`processes` must be a whole number"):
        Engine(processes=-1)
    with pytest.raises(InputError, match="`memory` must be above 0"):
        Engine(memory=float("nan"))
    with pytest.raises(InputError, match="`parallel` must be a whole number >= 1"):
        Engine(parallel=0)
    with pytest.raises(InputError, match="without `processes`"):
        Engine(processes=2, parallel=2)


def test_the_script_of_slurm_asks_for_what_was_said():
    jobqueue = pytest.importorskip("dask_jobqueue")
    from varreg.jobs.dask_cluster import slurm_cluster

    assert jobqueue.SLURMCluster
    with slurm_cluster(Engine(scheduler="slurm", threads=3, memory=5.5, hours=1.5)) as cluster:
        script = cluster.job_script()
    assert "#SBATCH --cpus-per-task=3\n" in script and "#SBATCH -t 01:30:00\n" in script
    assert "#SBATCH --mem=6G\n" in script and "--nthreads 1 " in script


def test_no_scheduler_is_a_sentence(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    from varreg.jobs import dask_cluster

    monkeypatch.setattr(dask_cluster, "TIMEOUT", 1)
    with pytest.raises(VarregError, match="no Dask scheduler answers at 'tcp://127.0.0.1:1'"):
        run_jobs(jobs_of(tmp_path, 1), Engine(scheduler="tcp://127.0.0.1:1"))
    with pytest.raises(VarregError, match="no Dask scheduler answers at 'nonsense://x'"):
        run_jobs(jobs_of(tmp_path, 1), Engine(scheduler="nonsense://x"))
