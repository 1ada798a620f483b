"""Work for the tests: a square, noted in a file whenever it is begun and whenever it is finished."""

import os
import signal
import time
from pathlib import Path

from varreg.io.atomic import atomic_path
from varreg.jobs.job import Done, Job


def square(job, threads):
    """Square the number in the input; the settings say what happens on the way."""
    places = job.places
    note(places["log"], f"begin {job.name} {os.getpid()}")
    number = int(job.inputs["number"].read_text())
    if number == places.get("refused"):
        raise ValueError(f"{number} is refused")
    if number == places.get("deadly") and (places.get("always") or not died_before(places["log"])):
        note(places["log"], f"died {job.name}")
        os.kill(os.getpid(), signal.SIGKILL)
    if number == places.get("endless") and f"stuck {job.name}" not in places["log"].read_text():
        note(places["log"], f"stuck {job.name} {os.getpid()}")
        time.sleep(300)  # until it is killed
    time.sleep(places.get("seconds", 0.0))
    with atomic_path(places["folder"] / f"{job.name}.txt", overwrite=True) as file:
        file.write_text(str(number**2 + job.settings.get("add", 0)))
    note(places["log"], f"end {job.name}")
    return Done((places["folder"] / f"{job.name}.txt",), {"square": number**2})


def jobs_of(folder, count, settings=None, **places):
    """Jobs that square 0, 1, ... in a folder."""
    folder = Path(folder)
    (folder / "in").mkdir(exist_ok=True)
    jobs = []
    for k in range(count):
        file = folder / "in" / f"{k}.txt"
        if not file.exists():
            file.write_text(str(k))
        where = {"folder": folder, "log": folder / "log", **places}
        record = folder / f"job{k}.json"
        jobs.append(Job(f"job{k}", square, record, {"number": file}, settings or {}, where))
    return jobs


def note(log, line):
    """Append a line in one write, which no other process can cut in two."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, (line + "\n").encode())
    os.close(descriptor)


def died_before(log):
    return "died" in Path(log).read_text()


def lines(folder, word):
    """The lines of the log that begin with a word, in order."""
    log = Path(folder) / "log"
    found = log.read_text().splitlines() if log.exists() else []
    return [line for line in found if line.startswith(word)]
