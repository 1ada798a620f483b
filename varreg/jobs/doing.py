"""Execution of one job: in this process, in a worker process, or on a cluster."""

from __future__ import annotations

import pickle
import socket
import time
from typing import Any

import cloudpickle

from .._version import __version__
from ..errors import FileError, InputError, VarregError
from .job import Job, Outcome, State
from .record import finished, inputs_of, write_failed, write_finished
from .verdict import verdict


def do(job: Job, threads: int) -> Outcome:
    """Execute a job, unless it is finished, and write its record; only interruptions are raised.

    Parameters
    ----------
    job : Job
    threads : int
    """
    begun, inputs = time.perf_counter(), dict[str, Any]()
    try:
        job.record.parent.mkdir(parents=True, exist_ok=True)
        if (before := finished(job)) is not None:
            return Outcome(job.name, State.SKIPPED, before.facts, before.seconds)
        inputs = inputs_of(job)
        done = job.work(job, threads)
        seconds = time.perf_counter() - begun
        write_finished(job, inputs, done, seconds)
    except Exception as error:
        seconds = time.perf_counter() - begun
        return failure(job, _portable(error), seconds, inputs)
    return Outcome(job.name, State.FINISHED, done.facts, seconds)


def failure(job: Job, error: Exception, seconds: float, inputs: dict[str, Any]) -> Outcome:
    """The outcome of a failed job, with its record if that can be written."""
    sentence, code = verdict(error)
    try:
        write_failed(job, inputs, seconds, sentence, code)
    except (OSError, FileError):
        pass  # the error already states that the disk is full or absent
    return Outcome(job.name, State.FAILED, {}, seconds, error)


def pickled(job: Job) -> bytes:
    """A serialised job.

    Raises
    ------
    InputError
        If a part of it exists in this process only.
    """
    try:
        return bytes(cloudpickle.dumps(job))
    except Exception as error:  # any exception of a class's pickling
        raise InputError(
            f"varreg: the job {job.name!r} cannot be sent to another process ({type(error).__name__}: {error}); "
            "its work must be a function of a module and its settings plain values."
        ) from error


def do_pickled(version: str, job: bytes, threads: int) -> Outcome:
    """As :func:`do`, for a serialised job.

    Parameters
    ----------
    version : str
        Version of varreg of the sender.
    job : bytes
        Result of :func:`pickled`.
    threads : int

    Raises
    ------
    VarregError
        If the version of varreg differs here, so that results may differ.
    """
    if version != __version__:
        raise VarregError(
            f"varreg: the worker on {socket.gethostname()} has varreg {__version__} and was sent work by {version}; "
            "install the same version on all machines."
        )
    return do(pickle.loads(job), threads)


def _portable(error: Exception) -> Exception:
    """The error, or one with the same message if it cannot be pickled."""
    try:
        kept = pickle.loads(pickle.dumps(error))
        if str(kept) == str(error) and type(kept) is type(error):
            return error
    except Exception:  # any exception of a class's pickling
        pass
    return RuntimeError(f"{type(error).__name__}: {error}")
