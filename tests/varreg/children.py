"""One case in one process: forked from a warm parent, with limits of memory and time."""

import faulthandler
import json
import os
import select
import signal
import time
import traceback
import warnings

import numpy as np
import pytest

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

#: What `in_child` says of a case.
FINE, REFUSED, RAW, CRASHED, HUNG = "fine", "refused", "raw error", "crash", "hang"


def forked(action):
    """The number of a child that calls `action` and ends; 0 if nothing was raised."""
    child = os.fork()
    if child == 0:  # never back into pytest
        try:
            action()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return child


def in_child(action, allowed, seconds=20.0, megabytes=2048):
    """(what became of a call, words): it may end, or raise what `allowed` says of the error.

    Parameters
    ----------
    action : callable
    allowed : callable
        Error -> whether it is one that a user may see.
    seconds, megabytes : float
        Limits; of memory beyond what the parent has.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _run(action, allowed, writing, megabytes)
    os.close(writing)
    said, end = b"", time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and select.select([reading], [], [], left)[0]:
        part = os.read(reading, 1 << 16)
        if not part:
            break
        said += part
    else:
        os.kill(child, signal.SIGKILL)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if left <= 0:
        return HUNG, f"no end within {seconds:g} s"
    if os.WIFSIGNALED(status):
        return CRASHED, f"signal {os.WTERMSIG(status)}"
    if not said:
        return CRASHED, f"exit code {os.WEXITSTATUS(status)}"
    kind, words = json.loads(said)
    return kind, words


def _run(action, allowed, writing, megabytes):
    import resource

    with open("/proc/self/statm") as stream:
        held = int(stream.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + int(megabytes * 2**20), resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.disable()  # the parent says which case it was
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            action()
        answer = FINE, ""
    except BaseException as error:
        words = f"{type(error).__name__}: {str(error)[:300]}"
        if allowed(error):
            answer = REFUSED, words
        else:
            answer = RAW, words + "\n" + "".join(traceback.format_exception(error))[-1500:]
    with open(writing, "w") as stream:
        json.dump(answer, stream)
    os._exit(0)
