"""A cohort on other engines: killed amid the work nothing is lost, and the bits are those of one by one."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import varreg

from .conftest import FEW, content, program

ROOT = Path(__file__).resolve().parents[3]
TEMPORARY = re.compile(r"\.varreg-[0-9a-f]{8}-(\d+)-[0-9a-f]{16}")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """(BIDS folder, template) of four people."""
    from varreg.data.phantom.cohort import bids_dataset

    folder = tmp_path_factory.mktemp("cohort") / "bids"
    return folder, bids_dataset(folder, people=4)


@pytest.fixture(scope="module")
def one_by_one(app, cohort, tmp_path_factory):
    output = tmp_path_factory.mktemp("serial") / "out"
    assert registered(app, cohort, output).exit_code == 0
    return contents(output)


def registered(app, cohort, output, *further):
    folder, template = cohort
    given = ("--to", template, "--contrast", "T2w", *FEW, *further)
    return app("bids", folder, output, "participant", *given)


def contents(output):
    """Path -> content of everything but the records, which hold times."""
    files = [file for file in output.glob("sub-*/**/*") if file.is_file()]
    return {
        str(file.relative_to(output)): content(file)
        for file in files
        if file.name != ".varreg.json"
    }


def kill_amid(output, done):
    """Kill the process that makes the folder of some session, as soon as `done` sessions are there."""
    limit = time.monotonic() + 120
    while time.monotonic() < limit:
        finished = len(list(output.glob("sub-*/anat")))
        made = [TEMPORARY.fullmatch(entry.name) for entry in output.glob(".varreg-*")]
        if finished >= done and (found := next(filter(None, made), None)):
            os.kill(int(found[1]), signal.SIGKILL)
            return
        time.sleep(0.002)
    raise AssertionError("nothing was under way")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["dask", "processes"])
def test_a_killed_worker_loses_nothing_and_changes_no_bit(
    app, cohort, one_by_one, tmp_path, engine
):
    output = tmp_path / "out"
    killer = threading.Thread(target=kill_amid, args=(output, 1))
    killer.start()
    if engine == "dask":
        distributed = pytest.importorskip("distributed")
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as cluster:
            ended = registered(app, cohort, output, "--scheduler", cluster.scheduler_address)
    else:
        ended = registered(app, cohort, output, "--processes", "2")
    killer.join()
    assert ended.exit_code == 0, ended.stderr
    assert contents(output) == one_by_one
    times = {file: file.stat().st_mtime_ns for file in output.glob("sub-*/.varreg.json")}
    assert "4 finished before" in registered(app, cohort, output).stdout
    assert {file: file.stat().st_mtime_ns for file in times} == times


@pytest.mark.slow
def test_the_whole_command_may_be_killed(app, cohort, one_by_one, tmp_path):
    output, (folder, template) = tmp_path / "out", cohort
    command = [sys.executable, "-m", "varreg", "bids", folder, output, "participant"]
    given = ["--to", template, "--contrast", "T2w", *FEW]
    killer = threading.Thread(target=kill_amid, args=(output, 1))
    killer.start()
    environment = {**os.environ, "PYTHONPATH": str(Path(varreg.__file__).parents[1])}
    ended = subprocess.run(list(map(str, [*command, *given])), env=environment)
    killer.join()
    assert ended.returncode == -signal.SIGKILL
    half = contents(output)
    people = {name.split(os.sep)[0] for name in half}
    assert 0 < len(people) < 4  # whole people, of the same bits
    assert half == {k: v for k, v in one_by_one.items() if k.split(os.sep)[0] in people}
    assert registered(app, cohort, output).exit_code == 0
    assert contents(output) == one_by_one
    assert not list(output.glob(".varreg-*"))


@pytest.mark.slow
def test_snakemake_does_one_job_a_person(cohort, one_by_one, tmp_path):
    snakemake = program("snakemake")
    folder, template = cohort
    output = tmp_path / "out"
    settings = {
        "bids": folder,
        "out": output,
        "to": template,
        "contrast": "T2w",
        "done": tmp_path / "done",
        "varreg": f"{sys.executable} -m varreg",
        "options": " ".join(FEW[:-2]),
    }
    command = [snakemake, "-s", ROOT / "examples" / "cohort" / "Snakefile", "--cores", "2"]
    command += ["--config", *(f"{key}={value}" for key, value in settings.items())]
    environment = {**os.environ, "PYTHONPATH": str(Path(varreg.__file__).parents[1])}
    for _ in range(2):
        ended = subprocess.run(
            list(map(str, command)), cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert ended.returncode == 0, ended.stderr
    assert "Nothing to be done" in ended.stderr
    assert contents(output) == one_by_one and (output / "group.html").is_file()


def test_the_script_of_slurm_takes_the_person_of_its_number(tmp_path):
    """What sbatch runs, with a stand-in for varreg that prints its arguments."""
    (tmp_path / "people.txt").write_text("sub-01\nsub-02\nsub-03\n")
    stand_in = tmp_path / "varreg"
    stand_in.write_text('#!/bin/sh\nprintf "%s " "$@"\n')
    stand_in.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["sh", str(ROOT / "examples/cohort/array.slurm"), "in", "out", "t.nii.gz"],
        cwd=tmp_path, env={**os.environ, "PATH": path, "SLURM_ARRAY_TASK_ID": "2"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ended.stdout.startswith("bids in out participant --to t.nii.gz --contrast T2w")
    assert "--participant-label sub-02 --threads 1" in ended.stdout
