"""Execution of methods on pairs: run time and scores; each peer in a separate process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import PEERS, versions
from methods import Method
from pairs import Pair, save_pairs, scores

Row = dict[str, Any]
SCRIPT = Path(__file__).resolve().with_name("accuracy.py")


def measure(methods: list[Method], pairs: list[Pair], threads: int) -> list[Row]:
    """One row per method, computed in this process; a method that fails is a row too."""
    return [_measured(method, pairs, threads) for method in methods]


def measure_all(
    methods: list[Method], pairs: list[Pair], threads: int, python: str = sys.executable
) -> tuple[list[Row], dict[str, str]]:
    """Rows in the order of the methods, and the versions of the peers.

    Each peer runs in a process of its own, by the interpreter `python`.
    """
    if not any(method.peer for method in methods):
        return measure(methods, pairs, threads), {}
    rows: list[Row] = []
    known: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        save_pairs(pairs, Path(folder))
        for method in methods:
            if method.peer:
                row, found = measured_apart(method, Path(folder), threads, python)
                rows.append(row)
                known |= found
            else:
                rows.append(_measured(method, pairs, threads))
    return rows, known


def measured_apart(
    method: Method, folder: Path, threads: int, python: str
) -> tuple[Row, dict[str, str]]:
    """The row of one peer and the versions beside it, from saved pairs."""
    answer = folder / f"{method.name}.json"
    command = [
        python, str(SCRIPT), method.name, "--in-this-process",
        "--pairs", str(folder), "--json", str(answer), "--threads", str(threads),
    ]  # fmt: skip
    environment = {**os.environ, "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(threads)}
    try:
        ended = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL)
    except OSError as error:
        return _failed(method, f"cannot start the interpreter: {error.strerror}"), {}
    if not answer.exists():
        return _failed(method, f"its process ended with code {ended.returncode}"), {}
    found = json.loads(answer.read_text())
    return found["rows"][0], found["peers"]


def payload(rows: list[Row]) -> dict[str, Any]:
    """What a process that runs peers hands back."""
    return {"rows": rows, "peers": versions(PEERS)}


def _measured(method: Method, pairs: list[Pair], threads: int) -> Row:
    if method.missing:
        return _failed(method, f"not installed: {', '.join(method.missing)}")
    found = []
    try:
        method.run(*_warm_up(pairs[0]), threads)
        for pair in pairs:
            start = time.perf_counter()
            displacement = method.run(pair.fixed, pair.moving, threads)
            seconds = time.perf_counter() - start
            found.append({"pair": pair.name, **scores(pair, displacement), "seconds": seconds})
    except Exception as error:  # whatever a tool raises must not cost the other rows
        return _failed(method, f"{type(error).__name__}: {error}")
    row = {"method": method.name, **summary(found), "scores": found}
    print(f"{method.name}: {row['tre']:.3f} voxels, {row['seconds']:.3f} s", file=sys.stderr)
    return row


def summary(found: list[dict[str, Any]]) -> dict[str, float]:
    """Means of TRE and p95 over pairs, the worst pair's TRE, most folds, median seconds."""
    column = {key: [score[key] for score in found] for key in ("tre", "p95", "folds", "seconds")}
    return {
        "tre": float(np.mean(column["tre"])),
        "p95": float(np.mean(column["p95"])),
        "worst": max(column["tre"]),
        "folds": max(column["folds"]),
        "seconds": float(np.median(column["seconds"])),
    }


def _failed(method: Method, reason: str) -> Row:
    print(f"{method.name}: {reason}", file=sys.stderr)
    return {"method": method.name, "error": reason}


def _warm_up(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Images whose registration loads and compiles everything: the pair, in 3D every third voxel."""
    thin = (slice(None, None, 1 if pair.fixed.ndim == 2 else 3),) * pair.fixed.ndim
    return np.ascontiguousarray(pair.fixed[thin]), np.ascontiguousarray(pair.moving[thin])
