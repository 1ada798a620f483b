"""The record of a job: a JSON file beside its outputs that says how it ended and of what."""

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
    """What is known of a job that was done.

    Parameters
    ----------
    facts : mapping
    seconds : float
    error : str
        The sentence of a failure; empty if it is finished.
    exit_code : int
        Of the command line; 0 if it is finished.
    """

    facts: Mapping[str, Any]
    seconds: float
    error: str = ""
    exit_code: int = 0


def finished(job: Job, *, read: bool = True) -> Record | None:
    """The record of a job that need not be done again; else None.

    It is finished if its record says so, of the same content of the inputs, settings and version, and its outputs
    are there.  Inputs whose size and time of change are as recorded are not read.

    Parameters
    ----------
    job : Job
    read : bool
        Whether inputs may be read; without it, one that may have changed counts as changed.

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
    """What a record holds, whole or None: one that is damaged is as good as absent."""
    with suppress(FileError, OSError):
        content = read_json(path)
        wanted = {"fingerprint": str, "inputs": dict, "outputs": dict, "facts": dict}
        whole = all(isinstance(content.get(key), kind) for key, kind in wanted.items())
        if content.get("format") == FORMAT and whole:
            return content
    return None


def inputs_of(job: Job) -> dict[str, Any]:
    """Role -> content and state of each input, to be asked before the work begins."""
    return {role: None if path is None else described(path) for role, path in job.inputs.items()}


def write_finished(job: Job, inputs: Mapping[str, Any], done: Done, seconds: float) -> None:
    """Write that a job is finished; the last thing that is done of it.

    Parameters
    ----------
    job : Job
    inputs : mapping
        :func:`inputs_of` before the work.
    done : Done
    seconds : float
    """
    content = finished_record(job, inputs, done, seconds)
    write_json(job.record, content, overwrite=True)


def finished_record(
    job: Job, inputs: Mapping[str, Any], done: Done, seconds: float
) -> dict[str, Any]:
    """The content of the record of a job that is finished; as :func:`write_finished`."""
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
    """Write how a job failed; it is tried again in the next run."""
    said = {"state": "failed", "outputs": {}, "facts": {}, "error": error, "exit_code": exit_code}
    write_json(job.record, _content(job, inputs, seconds) | said, overwrite=True)


def _outputs_there(job: Job, stored: Mapping[str, Any]) -> bool:
    """Whether all outputs have the sizes that were written."""
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
    """The most memory that this process has had so far; None where the system does not say."""
    try:
        import resource
        import sys
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
