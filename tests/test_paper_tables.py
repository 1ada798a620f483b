"""examples/paper: every table runs, has what the paper lacks beside the paper's figures, and goes on."""

import importlib
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks of the paper need PyTorch")
pytest.importorskip("safetensors", reason="the networks of the paper need safetensors")

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = [ROOT / "examples" / "paper", ROOT / "examples" / "benchmarks"]
NAMES = [file.stem for folder in FOLDERS for file in folder.glob("*.py")]
TABLES = ("table2_3", "figure4_5", "table4", "table5", "table6", "table7", "table8")
#: The others train several networks each.
NAMED = [
    name if name in ("table2_3", "table8") else pytest.param(name, marks=pytest.mark.slow)
    for name in TABLES
]
FIGURES = {"tre", "mi", "ncc", "folds", "determinant", "cpu", "gpu"}
TINY = (
    "model.shape=32,32", "data.pairs_per_epoch=2", "data.test_pairs=4", "train.checkpoint_every=1000",
)  # fmt: skip

pytestmark = pytest.mark.skipif(
    not FOLDERS[0].is_dir(), reason="examples are not part of this copy"
)


@pytest.fixture(scope="module")
def paper():
    """name -> module of the folder, which other tests never see."""
    before = {name: sys.modules.pop(name) for name in NAMES if name in sys.modules}
    sys.path[:0] = map(str, FOLDERS)
    yield importlib.import_module
    for folder in FOLDERS:
        sys.path.remove(str(folder))
    for name in NAMES:
        sys.modules.pop(name, None)
    sys.modules.update(before)


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """One folder of all tables, so that a network is trained once."""
    return tmp_path_factory.mktemp("tables")


def run(paper, name, output):
    """A table with tiny settings: its plain values and its text."""
    settings = [word for change in TINY for word in ("--set", change)]
    arguments = ["--preset", "smoke", "--threads", "1", "--output", str(output), *settings]
    # an interpreter that is not there stands for one without antspyx
    arguments += ["--peer-python", str(output / "no-python")]
    module = paper(name)
    threads = torch.get_num_threads()
    try:
        assert paper("command").main(name, module.make, module.__doc__, arguments) == 0
    finally:
        torch.set_num_threads(threads)
    text = (output / f"{name}.md").read_text(encoding="utf-8")
    return json.loads((output / f"{name}.json").read_text(encoding="utf-8")), text


@pytest.mark.parametrize("name", NAMED)
def test_a_table_has_error_folds_and_time_beside_the_papers_figures(paper, output, name):
    table, text = run(paper, name, output)
    rows = [r for r in table["rows"] if "figures" in r]
    assert [r["name"] for r in rows[:2]] == ["before registration", "true map"]
    assert rows[1]["figures"]["tre"] == [0.0, 0.0]
    for r in rows:
        assert set(r["figures"]) == FIGURES
        assert np.isfinite(r["figures"]["mi"]).all()
    assert all(r["figures"]["cpu"] > 0 for r in rows[2:])
    header = next(line for line in text.splitlines() if line.startswith("|"))
    for column in ("TRE", "folds (%)", "min. det J", "CPU (s)", "GPU (s)", "paper's"):
        assert column in header
    theirs = [r["paper"] for r in table["rows"] if r["paper"]]
    assert theirs or name == "figure4_5"  # of which the paper shows curves only
    for numbers in theirs:
        if "mi" in numbers:
            assert f"{numbers['mi'][0]:.3f} ± {numbers['mi'][1]:.3f}" in text or name == "table6"
    assert table["claims"]
    assert "reproduced" in text
    assert all((output / picture).stat().st_size > 1000 for picture in table["pictures"])


@pytest.mark.parametrize("name", ["table2_3", pytest.param("table5", marks=pytest.mark.slow)])
def test_a_table_made_again_is_the_same_and_trains_nothing(paper, output, name, monkeypatch):
    first, _ = run(paper, name, output)

    def forbidden(*args, **kwargs):
        raise AssertionError("trained again")

    trainings = paper("trainings")
    monkeypatch.setattr(trainings, "train", forbidden)
    monkeypatch.setattr(trainings, "train_baseline", forbidden)
    assert run(paper, name, output)[0] == first


def test_a_training_that_was_interrupted_goes_on(paper, tmp_path):
    trainings, read_model = paper("trainings"), paper("learned.weights").read_model
    study = trainings.Study(tmp_path, "smoke", threads=1, changes=TINY)
    before = study.figures(trainings.CFIR)
    key = study.key(trainings.CFIR)
    folder = study.runs / key
    weights, _ = read_model(folder / "model.safetensors")
    # as if it had been killed before its end
    for file in ("finished.json", "model.safetensors"):
        (folder / file).unlink()
    (study.evaluations / f"{key}.json").unlink()
    after = study.figures(trainings.CFIR)
    for one, other in zip(before["pairs"], after["pairs"], strict=True):
        assert {**one, "cpu": 0} == {**other, "cpu": 0}
    again, _ = read_model(folder / "model.safetensors")
    assert all(torch.equal(weights[name], again[name]) for name in weights)


def test_keys_tell_networks_apart_and_are_the_same_for_the_same(paper, tmp_path):
    trainings, table4 = paper("trainings"), paper("table4")
    study = trainings.Study(tmp_path / "a", "smoke", threads=1)
    other = trainings.Study(tmp_path / "b", "smoke", threads=2)
    variants = [
        *map(trainings.group, (1, 2, 3, 4)),
        *(variant for variant, _, _ in paper("table5").METHODS.values()),
        *(variant for variant, _, _ in paper("table7").VARIANTS.values()),
        *map(table4.weighted, paper("paper_numbers").TABLE_4),
    ]  # fmt: skip
    keys = {variant: study.key(variant) for variant in variants}
    assert len(set(keys.values())) == len(keys)
    assert all(other.key(variant) == key for variant, key in keys.items())
    # the default weights are no network of their own
    assert table4.weighted(paper("paper_numbers").WEIGHTS) == trainings.OURS
    longer = trainings.Study(tmp_path / "c", "smoke", changes=("data.rotation=3",))
    assert longer.key(trainings.OURS) != keys[trainings.OURS]


def test_test_pairs_are_of_subjects_that_nothing_is_trained_on(paper, tmp_path):
    from learned.data.parts import make_parts

    study = paper("trainings").Study(tmp_path, "smoke", changes=TINY)
    trained = set(make_parts(study.base).train.subjects)
    assert {pair.subject for pair in study.pairs} and not {p.subject for p in study.pairs} & trained


@pytest.mark.parametrize("preset", ["smoke", "reduced", "paper"])
def test_presets_are_configurations_of_the_papers_method(paper, preset):
    config = paper("presets").base_config(preset)
    loss = config.loss
    weights = (loss.smoothness, loss.mutual_information, loss.background, loss.consistency)
    assert weights == paper("paper_numbers").WEIGHTS
    assert (loss.inverse, loss.estimator) == ("paper", "cfir")
    assert loss.known_map == 0  # of DT-Nets; AT-Net may be told
    assert config.train.validation_every == config.optimiser.epochs
    if preset == "paper":
        assert config.model.shape == (224, 224)
        assert (config.optimiser.epochs, config.optimiser.batch_size) == (300, 8)


def test_the_papers_numbers_agree_with_each_other(paper):
    numbers = paper("paper_numbers")
    for k, (gain, seconds, rate) in numbers.TABLE_3.items():
        before, after = numbers.TABLE_2[k - 1], numbers.TABLE_2[k]
        assert gain == pytest.approx(after["mi"][0] - before["mi"][0])
        assert seconds == pytest.approx(after["gpu"] - before["gpu"])
        assert rate == pytest.approx(gain / seconds, rel=0.01)
    assert numbers.TABLE_6["ours"] == numbers.TABLE_2[3]
    assert numbers.TABLE_4[numbers.WEIGHTS]["mi"] == numbers.TABLE_7[4]["mi"]


def test_a_better_method_is_told_from_an_equal_one(paper):
    compared = paper("table8").compared
    rng = np.random.default_rng(0)
    before = rng.normal(size=32)
    gain = np.abs(rng.normal(size=32)) * np.where(np.arange(32) < 24, 1, -0.1)
    better = compared(list(before), list(before + gain), True)
    assert better["p"] < 0.01
    assert better["wins"] == 0.75
    assert better["margin"] == pytest.approx(gain[:24].mean())
    assert compared(list(before), list(before + gain), False)["wins"] == 0.25
    assert compared(list(before), list(before), True)["p"] == 1.0


def test_a_claim_is_decided_only_where_the_pairs_leave_no_doubt(paper):
    intervals = paper("intervals")
    rng = np.random.default_rng(1)
    before = rng.normal(size=40)
    noise = rng.normal(size=40)
    sure = intervals.difference(before + 1 + 0.1 * noise, before)
    open_ = intervals.difference(before + 0.02 + noise - noise.mean(), before)
    assert sure.low < 1 < sure.high and sure.high - sure.low < 0.1
    assert open_.low < 0 < open_.high
    decide = intervals.all_above
    assert (decide(0, sure), decide(0, open_), decide(2, sure)) == (True, None, False)
    assert decide(0, sure, open_) is None and decide(2, sure, open_) is False
    assert intervals.all_below(2, sure) is True and intervals.all_below(0, sure) is False
    # half of the width of the normal theory's interval, for many pairs
    many = rng.normal(size=2000)
    found = intervals.interval(lambda x: x.mean(-1), many)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * many.std() / 2000**0.5, rel=0.05)


@pytest.mark.slow
def test_memory_grows_with_the_batch_and_with_gradients(paper):
    run = paper("memory")._measured
    one, eight, training = (
        run(("DT-Net", work, batch, 8), 1)["gigabytes"]
        for work, batch in (("inference", 1), ("inference", 8), ("training", 8))
    )
    assert 0 < one < eight < training


@pytest.mark.slow
def test_the_table_of_memory_is_written(paper, output):
    table, text = run(paper, "memory", output)
    assert "Peak memory" in text and "DT-Net, training, batch 8" in text
    assert all(claim["holds"] in (True, False) for claim in table["claims"])


def test_the_results_page_is_made_of_the_tables(paper, output, tmp_path):
    results = paper("results_page")
    table, _ = run(paper, "table2_3", output)
    with pytest.raises(ValueError, match="smoke"):
        results.text_of(output)
    table["preset"] = "reduced"
    table["machine"]["varreg"] = "0.1.0 (1234567 with uncommitted changes)"
    (tmp_path / "table2_3.json").write_text(json.dumps(table))
    with pytest.raises(ValueError, match="no commit holds"):
        results.text_of(tmp_path)
    table["machine"]["varreg"] = "0.1.0 (1234567)"
    (tmp_path / "table2_3.json").write_text(json.dumps(table))
    for picture in table["pictures"]:
        (tmp_path / picture).write_bytes(b"png")
    page = tmp_path / "docs" / "paper.md"
    page.parent.mkdir()
    pictures = page.parent / "images"
    assert results.main([str(tmp_path), str(page), "--pictures", str(pictures)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "| group 3 " in text and "examples/paper/table4.py" in text
    assert "](images/table2_3.png)" in text and (pictures / "table2_3.png").is_file()


def test_the_page_in_the_documentation_is_what_its_script_writes_before_the_tables(paper):
    text = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    assert text.startswith(paper("results_page").HEAD.rstrip())


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("monai") is None, reason="needs monai")
def test_all_tables_at_the_preset_smoke(paper, tmp_path):
    for name in TABLES:
        module = paper(name)
        arguments = ["--preset", "smoke", "--threads", "1", "--output", str(tmp_path)]
        assert paper("command").main(name, module.make, module.__doc__, arguments) == 0
    rows = json.loads((tmp_path / "table6.json").read_text())["rows"]
    assert {"TransMorph", "DiffuseMorph"} <= {r["name"] for r in rows if "figures" in r}
