"""``python -m learned.train``: killed and resumed, by two processes, and refusing what makes no sense."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from learned.checkpoint import read_checkpoint
from learned.config import from_file, preset, with_changes
from learned.run_folder import METRICS, STEPS, RunFolder, read_lines
from learned.train import main, train
from learned.weights import read_model

ROOT = Path(__file__).resolve().parents[2]
TINY = [
    "model.shape=32,36", "model.at_width=1", "model.dt_width=1", "model.scales=2,1",
    "data.validation_pairs=2", "data.test_pairs=1",
    "data.pairs_per_epoch=12", "optimiser.batch_size=2", "optimiser.affine_epochs=1",
    "optimiser.epochs=2", "train.threads=1", "train.checkpoint_every=3",
]  # fmt: skip
END = 18  # steps


def options(*changes):
    return [f"--{change}" for change in (*TINY, *changes)]


def config(folder, *changes):
    return with_changes(preset("smoke"), [*TINY, f"train.output={folder}", *changes])


def start(folder, *arguments, **variables):
    command = [sys.executable, "-m", "learned.train", "-q", "--no-tensorboard", "-o", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *sys.path[1:]])
    return subprocess.Popen(
        [*command, *arguments], env=environment, stderr=subprocess.PIPE, text=True
    )  # fmt: skip


def finish(process):
    """Exit code and what it said."""
    try:
        _, words = process.communicate(timeout=600)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, words


def wait_for_step(process, folder, step):
    """Until a step has been reported."""
    deadline = time.monotonic() + 600  # a busy machine needs more than a few seconds
    while time.monotonic() < deadline and process.poll() is None:
        if (folder / STEPS).is_file() and (folder / STEPS).read_bytes().count(b"\n") >= step:
            return
        time.sleep(0.002)
    raise AssertionError(f"step {step} was not reached: {finish(process)}")


def last(folder):
    return read_checkpoint(RunFolder(folder).last)


def assert_same_bits(first, second):
    """Model, optimiser and position."""
    one, other = last(first), last(second)
    assert one.position == other.position
    assert one.position.step == END
    assert [n for n in one.tensors if not torch.equal(one.tensors[n], other.tensors[n])] == []
    assert (first / STEPS).read_bytes() == (second / STEPS).read_bytes()
    weights, same = (read_model(folder / "model.safetensors")[0] for folder in (first, second))
    assert all(torch.equal(weights[name], same[name]) for name in weights)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(config(folder), progress=False, tensorboard=False)
    return folder


# --- ends of all kinds --------------------------------------------------------------------------


def killed(folder, step):
    process = start(folder, "--preset", "smoke", *options())
    wait_for_step(process, folder, step)
    process.kill()
    assert finish(process)[0] == -signal.SIGKILL


def test_killed_and_resumed_it_ends_with_the_same_bits(whole, tmp_path):
    folder = tmp_path / "run"
    killed(folder, 8)
    assert 0 < last(folder).position.step < END
    train(config(folder), resume=True, progress=False, tensorboard=False)
    assert_same_bits(whole, folder)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [(0, 3), (1, 5, 6), (6, 7, 12, 17), (18,)])
def test_killed_several_times_and_resumed_by_the_command_alone(whole, tmp_path, steps):
    folder = tmp_path / "run"
    for number, step in enumerate(steps):
        again = ["--resume"] if number else ["--preset", "smoke", *options()]
        process = start(folder, *again)
        wait_for_step(process, folder, step)
        process.kill()
        finish(process)
    code, words = finish(start(folder, "--resume"))
    assert code == 0, words
    assert_same_bits(whole, folder)


@pytest.mark.slow
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_asked_to_stop_it_writes_a_checkpoint_first(whole, tmp_path, number, code):
    folder = tmp_path / "run"
    arguments = ["--preset", "smoke", *options("train.checkpoint_every=1000")]
    process = start(folder, *arguments)
    wait_for_step(process, folder, 3)
    process.send_signal(number)
    got, words = finish(process)
    assert got == code
    if number == signal.SIGINT:
        assert "is saved; resume by: python -m learned.train --output" in words
    assert 3 <= last(folder).position.step < END
    assert finish(start(folder, "--resume"))[0] == 0
    assert_same_bits(whole, folder)


# --- several processes --------------------------------------------------------------------------


def together(folder, count, *changes):
    """Exit codes of processes that torchrun would start like this."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    variables = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(count)}
    processes = [
        start(
            folder,
            "--preset",
            "smoke",
            *(change if change.startswith("--") else f"--{change}" for change in (*TINY, *changes)),
            RANK=str(k),
            LOCAL_RANK=str(k),
            **variables,
        )
        for k in range(count)
    ]
    return [finish(process) for process in processes]


@pytest.mark.slow
def test_two_processes_train_together_and_resume(tmp_path):
    """Both take a half of each batch and end with the weights of the first; a run that they began again,
    killed at a checkpoint, ends with the same bits.
    """
    changes = ["data.pairs_per_epoch=4", "data.validation_pairs=3", "train.checkpoint_every=1"]
    few, whole = [*changes, "optimiser.epochs=1"], tmp_path / "whole"
    assert together(whole, 2, *changes) == [(0, "")] * 2
    lines = read_lines(whole / STEPS)
    assert [line["step"] for line in lines] == list(range(1, 7))
    assert together(tmp_path / "parts", 2, *few) == [(0, "")] * 2
    assert together(tmp_path / "parts", 2, *changes, "--resume") == [(0, "")] * 2
    one, two = last(whole).tensors, last(tmp_path / "parts").tensors
    assert [name for name in one if not torch.equal(one[name], two[name])] == []


def test_the_gradient_of_two_processes_is_that_of_the_whole_batch(tmp_path):
    """In the first step: networks that move nothing see nothing of the normalisation."""
    changes = ["data.pairs_per_epoch=2", "optimiser.epochs=0", "data.test_pairs=0"]
    assert together(tmp_path / "two", 2, *changes) == [(0, "")] * 2
    train(config(tmp_path / "one", *changes), progress=False, tensorboard=False)
    one, two = (read_lines(tmp_path / name / STEPS)[0] for name in ("one", "two"))
    for key in ("total", "similarity", "background"):
        assert one[key] == pytest.approx(two[key], rel=1e-5), key
    figures = [read_lines(tmp_path / n / METRICS)[-1]["figures"] for n in ("one", "two")]
    assert figures[0]["identity"] == pytest.approx(figures[1]["identity"], rel=1e-6)


# --- the command line ---------------------------------------------------------------------------


def invoke(*arguments):
    return CliRunner().invoke(main, list(arguments))


def test_the_configuration_can_be_printed_and_read_again(tmp_path):
    result = invoke("--preset", "smoke", "--model.scales", "2", "--print_config")
    assert result.exit_code == 0
    (tmp_path / "c.yaml").write_text(result.output)
    assert from_file(tmp_path / "c.yaml") == with_changes(preset("smoke"), ["model.scales=2"])


def test_help_names_the_presets():
    result = invoke("--help")
    assert result.exit_code == 0
    for words in ("smoke", "laptop", "paper", "--resume", "torchrun"):
        assert words in result.output


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["--preset", "big"], 1, "must be one of 'smoke'"),
        (["--optimiser.lerning_rate", "1"], 1, "Did you mean `optimiser.learning_rate`"),
        (["--optimiser.batch_size=0"], 1, "`optimiser.batch_size` must be a whole number"),
        (["--model.scales", "1,2"], 1, "`model.scales` must be decreasing"),
        (["--config", "absent.json"], 1, "does not exist"),
        (["nonsense"], 1, "unrecognized arguments: nonsense"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_an_exit_code(arguments, code, words, tmp_path):
    result = invoke(*arguments, "-o", str(tmp_path / "run"))
    assert result.exit_code == code
    assert words in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "run").exists()


def test_it_prints_the_figures_and_does_not_overwrite(tmp_path):
    folder = tmp_path / "run"
    few = options("data.pairs_per_epoch=2", "optimiser.epochs=1")
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"preset": "smoke", "data": {"shift": 0.05}}))
    result = invoke("--config", str(file), *few, "-o", str(folder), "--no-tensorboard")
    assert result.exit_code == 0, result.output
    assert "stage 2" in result.output
    assert str(folder / "model.safetensors") in result.output
    assert RunFolder(folder).config().data.shift == 0.05
    again = invoke("--config", str(file), *few, "-o", str(folder))
    assert again.exit_code == 1
    assert "is not empty; resume the run in it by --resume" in again.output
    resumed = invoke("-o", str(folder), "--resume", "--no-tensorboard", "-q")
    assert resumed.exit_code == 0, resumed.output


def test_without_tensorboard_it_says_so_and_goes_on(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    once = ["data.pairs_per_epoch=2", "optimiser.epochs=0"]
    with caplog.at_level("WARNING"):
        train(config(tmp_path / "run", *once), progress=False)
    assert "pip install tensorboard" in caplog.text
    assert (tmp_path / "run" / "model.safetensors").is_file()


@pytest.mark.slow
def test_logs_for_tensorboard_can_be_read_back(tmp_path):
    pytest.importorskip("tensorboard")
    folder = tmp_path / "run"
    process = start(folder, "--preset", "smoke", *options("data.pairs_per_epoch=2"))
    process.kill()
    finish(process)
    script = (
        "import sys; from learned.config import *; from learned.train import train;"
        "from learned.run_folder import RunFolder;"
        f"train(with_changes(preset('smoke'), {[*TINY, f'train.output={folder}']}), resume=True)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert any((folder / "tensorboard").iterdir())
