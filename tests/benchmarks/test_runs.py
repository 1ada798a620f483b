"""Benchmarks: levels, tools and networks, end to end."""

import json
import subprocess
import sys

import numpy as np
import pytest

import varreg

from .heads import FOLDER, smooth_head

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="examples are not part of this copy")


def test_level_times_follow_the_levels_of_a_registration(bench):
    synthetic, level_times = bench("synthetic"), bench("level_times")
    level_times.SECONDS = 0.0
    fixed, moving = synthetic.enlarged_pair((128, 128))
    found = level_times.level_times(fixed, moving, 1, gb_per_s=10.0)
    assert [entry["shape"] for entry in found] == [(64, 64), (128, 128)]
    assert all(entry["evaluation"] > 0 and entry["gradient"] > 0 for entry in found)


def test_level_objective_has_the_energy_of_the_result(bench):
    synthetic, level_times = bench("synthetic"), bench("level_times")
    fixed, moving = synthetic.enlarged_pair((128, 128))
    result = varreg.solve(moving, fixed, threads=1, progress=False)
    problem = level_times.deformable_problem(fixed, moving, 1)
    last = len(problem.factors) - 1
    objective, state = level_times.level_objective(problem, result, last)
    assert objective.evaluate(state).energy.total == pytest.approx(result.energy.total, rel=1e-6)


def test_triad_takes_time(bench):
    found = bench("machine").triad(2, voxels=10_001, repeats=2)
    assert found["ms"] > 0
    assert found["gb_per_s"] > 0


def test_accuracy_end_to_end(tmp_path):
    output = tmp_path / "rows.json"
    command = [
        sys.executable, str(FOLDER / "accuracy.py"), "identity", "varreg",
        "--limit", "1", "--size", "64", "--threads", "1", "--json", str(output),
    ]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "| varreg " in ended.stdout
    found = json.loads(output.read_text())
    assert set(found) == {"machine", "pairs", "rows"}
    assert {"cpu", "cores", "date", "numpy", "varreg"} <= set(found["machine"])
    nothing, solved = found["rows"]
    assert [nothing["method"], solved["method"]] == ["identity", "varreg"]
    assert set(solved) == {"method", "tre", "p95", "worst", "folds", "seconds", "scores"}
    assert solved["tre"] < 0.5 * nothing["tre"]


def test_refining_end_to_end(tmp_path):
    output = tmp_path / "starts.json"
    command = [
        sys.executable, str(FOLDER / "refine.py"), "truth", "result",
        "--limit", "1", "--size", "64", "--threads", "1", "--json", str(output),
    ]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "| truth " in ended.stdout
    truth, result = (entry["pairs"][0] for entry in json.loads(output.read_text())["starts"])
    assert truth["start_tre"] == 0 and truth["tre"] < truth["cold_tre"]
    assert result["reached"] and result["gap"] <= 0 and result["start_tre"] == result["cold_tre"]


def test_a_tool_that_is_absent_is_named(bench):
    methods, runs = bench("methods"), bench("runs")

    def broken(fixed, moving, threads):
        raise RuntimeError("no licence")

    (pair,) = bench("pairs").phantom_pairs(2, affine=False, limit=1, size=32)
    absent = methods.Method("absent", broken, packages=("no_such_package",))
    tools = [absent, methods.Method("broken", broken), *methods.find_methods(["identity"])]
    first, second, third = runs.measure(tools, [pair], 1)
    assert "no_such_package" in first["error"]
    assert "no licence" in second["error"]
    assert third["tre"] > 0
    table = bench("tables").accuracy_table([first, second, third], "varreg")
    assert "absent: not installed" in table and "| identity " in table


def test_networks_are_methods_too(bench):
    learned, refined = bench("methods").find_methods(["learned", "learned+varreg"])
    assert learned.packages == refined.packages == ("torch", "safetensors")
    assert not learned.peer


def test_the_curve_of_runs_that_follow_each_other(bench, tmp_path):
    pytest.importorskip("safetensors.torch", reason="learned needs PyTorch and safetensors")
    from learned.config import preset, to_json, with_changes

    training_curve = bench("training_curve")

    def run(name, *errors):
        folder = tmp_path / name
        folder.mkdir()
        lines = [
            {
                "part": "validation", "hours": 0.5 * (k + 1), "best": error == min(errors[: k + 1]),
                "figures": {"identity": {"tre": 9.0, "mi": 0.1, "folds": 0.0},
                            name: {"tre": error, "mi": 0.2, "folds": 0.01}},
            }
            for k, error in enumerate(errors)
        ]  # fmt: skip
        text = "".join(json.dumps(line) + "\n" for line in (*lines, {"part": "test"}))
        (folder / "metrics.jsonl").write_text(text)
        config = with_changes(preset("smoke"), ["data.spacing=2"])
        (folder / "config.json").write_text(to_json(config))
        return folder

    lines = training_curve.curve([run("affine", 4.0, 3.0), run("stage", 2.0, 1.0, 1.5)])
    assert [line["hours"] for line in lines] == [0.5, 1.0, 1.5, 2.0, 2.5]
    table = training_curve.table(training_curve.best(lines))
    assert " 2.00 |" in table and "3.00" not in table and "1.00%" in table
    training_curve.draw(lines, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 5000
    with pytest.raises(ValueError, match="holds no validation"):
        training_curve.validations(tmp_path)


@pytest.mark.slow
def test_certificates_side_by_side(tmp_path):
    output = tmp_path / "certificates.json"
    command = [
        sys.executable, str(FOLDER / "certificates.py"), "truth", "half", "result",
        "--limit", "1", "--size", "64", "--threads", "1", "--json", str(output),
    ]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "| truth " in ended.stdout
    rows = {name: found[0] for name, found in json.loads(output.read_text())["rows"].items()}
    assert rows["truth"]["tre"] == 0 < rows["result"]["tre"]
    # the solver has less left to gain on its own answer than on an earlier one
    assert 0 <= rows["result"]["gain"] < rows["half"]["gain"]
    assert rows["result"]["folded"] == 0


@pytest.mark.parametrize("cut", [0.0, 0.25])
def test_harder_pairs_keep_their_answer(bench, cut):
    """More turn and shift, less in both images: the moving image at the answer is the fixed one."""
    pairs, warps = bench("pairs"), bench("warps")
    image = smooth_head((112, 96))
    hard = pairs.Difficulty(strength=2.0, cut=cut)
    usual, pair = (
        pairs.known_pair("x", image, image, np.random.default_rng(3), True, difficulty)
        for difficulty in (pairs.USUAL, hard)
    )
    rows = round(cut * 112)
    assert pair.fixed.shape == pair.moving.shape == (112 - rows, 96)
    there = warps.voxel_grid(pair.fixed.shape) + pair.displacement
    seen = warps.sample(pair.moving, there)
    assert np.abs(seen - pair.fixed)[pair.mask].mean() < 0.006
    assert pair.mask.sum() > 1000
    size = [np.abs(p.displacement).max(0)[p.mask].mean() for p in (usual, pair)]
    assert size[1] > size[0] + 1
    with pytest.raises(ValueError, match="strength"):
        pairs.Difficulty(strength=0)


def test_what_prepares_a_start_is_replaced_part_by_part(tmp_path):
    output = tmp_path / "ablation.json"
    command = [
        sys.executable, str(FOLDER / "starts.py"), "truth", "other",
        "--limit", "2", "--size", "64", "--threads", "1", "--repeats", "1", "--json", str(output),
    ]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "no alternative |" in ended.stdout
    truth, other = json.loads(output.read_text())["starts"]
    assert truth["tre"] == 0 < other["tre"]
    for row in (*truth["pairs"], *other["pairs"]):
        assert row["cold"]["instead"] is None
        assert all(np.isfinite(row[way]["energy"]) for way in row if way != "pair")
    for row in other["pairs"]:  # what is replaced, and only that, leads the descent elsewhere
        assert row["everything"]["instead"] and not row["no alternative"]["instead"]
        assert row["everything"]["energy"] < row["no alternative"]["energy"]
    for row in truth["pairs"]:
        assert row["everything"]["energy"] < row["no smoothing spline"]["energy"]


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(96, 112), (40, 48, 44)])
@pytest.mark.parametrize("spacing", [1.0, 2.0])
def test_maps_of_the_calibration_have_the_error_they_claim(bench, shape, spacing):
    cases, warps = bench("calibration_cases"), bench("warps")
    image = smooth_head(shape)
    kinds = set()
    for seed in range(8):
        case = cases._known("x", image, image, spacing, np.random.default_rng(seed))
        degraded, kind = case.kind.split("; ")
        seen, shown = (
            warps.sample(side.data, points.T / spacing)
            for side, points in ((case.moving, case.there), (case.fixed, case.at))
        )
        assert degraded != f"{len(shape)}D" or np.abs(seen - shown).mean() < 0.01
        if not isinstance(case.answer, dict):
            kinds.add(kind)
            field = np.stack([warps.sample(c, case.at.T / spacing) for c in case.answer])
            error = np.linalg.norm(case.at + spacing * field.T - case.there, axis=1).mean()
            assert 0.05 < error < (15 if kind == "true map with an error" else 80)
    assert kinds


def test_figures_of_the_calibration(bench):
    report = bench("calibration_report")
    large = np.array([False, False, True, True])
    assert report.area(np.array([1.0, 2, 3, 4]), large) == 1
    assert report.area(np.array([1.0, 3, 2, 4]), large) == 0.75
    assert np.isnan(report.area(np.arange(4.0), large | True))
    rng = np.random.default_rng(0)
    rows = []
    for k in range(600):  # errors that are the distance from the trials, up to a factor
        d = np.exp(rng.uniform(-1, 3))
        distances = 0.2 * d * (1 - np.eye(9))
        distances[0, 1:] = distances[1:, 0] = d
        row = {"error": d * np.exp(0.2 * rng.normal()), "voxel": 2.0, "distances": distances}
        rows.append({**row, "set": "report", "kind": "2D; default", "name": f"head{k % 4} {k}"})
    assert report.measured(rows[0], 4) == pytest.approx(report.measured(rows[0], 8))
    found = report.calibration(rows[:300], 8)
    words = report.text({8: found}, rows[300:])
    share, rank = (float(words.splitlines()[2].split("|")[k].strip(" %")) for k in (3, 5))
    assert 85 <= share <= 95 and rank > 0.95
    assert words.splitlines()[-1].startswith(
        "Coverage at 90 % for any two calibration heads of head0, head1, head2, head3: "
    )
