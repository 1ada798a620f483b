"""The record of a job: a JSON file beside its outputs with its outcome and the state of its inputs."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._version import __version__
from ..errors import FileError
from ..io.files import read_json, write_json
from .fingerprint import content_hash, described, fingerprint, is_unchanged
from .job import Done, Job

FORMAT = "varreg job 1"


@dataclass(frozen=True)
class Record:
    """Recorded outcome of a job.

    Parameters
    ----------
    facts : mapping
    seconds : float
    error : str
        Message of a failure; empty if finished.
    exit_code : int
        Exit code for the command line; 0 if finished.
    """

    facts: Mapping[str, Any]
    seconds: float
    error: str = ""
    exit_code: int = 0


def finished(job: Job, *, read: bool = True) -> Record | None:
    """The record of a finished job; None if the job must be executed.

    A job is finished if its record states so for the same content of inputs, settings and version, and its outputs
    exist.  Inputs of unchanged size and modification time are not read.

    Parameters
    ----------
    job : Job
    read : bool
        Whether inputs may be read; otherwise one that may have changed counts as changed.

    Raises
    ------
    FileError
        If an input cannot be read.
    """
    stored = stored_record(job.record)
    if stored is None or stored.get("state") != "finished" or not _outputs_there(job, stored):
        return None
    known, contents = stored["inputs"], dict[str, str | None]()
    for role, path in job.inputs.items():
        if path is not None and not read and not is_unchanged(path, known.get(role)):
            return None
        contents[role] = None if path is None else content_hash(path, known.get(role))
    if stored["fingerprint"] != fingerprint(job.work, contents, job.settings):
        return None
    return Record(stored["facts"], stored["seconds"])


def stored_record(path: Path) -> dict[str, Any] | None:
    """The content of a record; None if absent or damaged."""
    with suppress(FileError, OSError):
        content = read_json(path)
        wanted = {"fingerprint": str, "inputs": dict, "outputs": dict, "facts": dict}
        whole = all(isinstance(content.get(key), kind) for key, kind in wanted.items())
        if content.get("format") == FORMAT and whole:
            return content
    return None


def inputs_of(job: Job) -> dict[str, Any]:
    """Role -> content and state of each input, to be determined before execution."""
    return {role: None if path is None else described(path) for role, path in job.inputs.items()}


def write_finished(job: Job, inputs: Mapping[str, Any], done: Done, seconds: float) -> None:
    """Write the record of a finished job, as the last step of its execution.

    Parameters
    ----------
    job : Job
    inputs : mapping
        Result of :func:`inputs_of` before execution.
    done : Done
    seconds : float
    """
    content = finished_record(job, inputs, done, seconds)
    write_json(job.record, content, overwrite=True)


def finished_record(
    job: Job, inputs: Mapping[str, Any], done: Done, seconds: float
) -> dict[str, Any]:
    """The content of the record of a finished job; see :func:`write_finished`."""
    outputs = {
        str(path.relative_to(job.record.parent)): path.stat().st_size for path in done.outputs
    }
    return _content(job, inputs, seconds) | {
        "state": "finished",
        "outputs": outputs,
        "facts": dict(done.facts),
        "peak_bytes": peak_bytes(),
    }


def write_failed(
    job: Job, inputs: Mapping[str, Any], seconds: float, error: str, exit_code: int
) -> None:
    """Write the record of a failed job, which is repeated in the next run."""
    failure = {
        "state": "failed",
        "outputs": {},
        "facts": {},
        "error": error,
        "exit_code": exit_code,
    }
    write_json(job.record, _content(job, inputs, seconds) | failure, overwrite=True)


def _outputs_there(job: Job, stored: Mapping[str, Any]) -> bool:
    """Whether all outputs have the recorded sizes."""
    for name, size in stored["outputs"].items():
        try:
            if (job.record.parent / name).stat().st_size != size:
                return False
        except OSError:
            return False
    return True


def _content(job: Job, inputs: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    contents = {role: known and known["sha256"] for role, known in inputs.items()}
    return {
        "format": FORMAT,
        "name": job.name,
        "varreg": __version__,
        "fingerprint": fingerprint(job.work, contents, job.settings),
        "inputs": dict(inputs),
        "seconds": seconds,
        "host": socket.gethostname(),
    }


def peak_bytes() -> int | None:
    """Peak memory of this process; None if the system does not provide it."""
    try:
        import resource
        import sys
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
