"""Results saved before there was a volume term and a choice of regularity: smooth maps."""

import dataclasses
import json

import pytest

from varreg.optimise.regularity_choice import RegularityChoice
from varreg.results.result import Result

from .results import slice_of_a_volume, volume


@pytest.mark.parametrize("maker", [volume, slice_of_a_volume])
def test_results_without_a_volume_term_are_read(maker, tmp_path):
    result = maker()
    result.save(tmp_path / "out")
    path = tmp_path / "out" / "result.json"
    content = json.loads(path.read_text())
    for name in ("energy", "start_energy"):
        del content[name]["volume"]
    for name in ("regularity", "volume_weight"):
        del content["options"][name]
    content["options"] |= {"smoothness_order": 4, "smoothness_weight": 0.25}
    path.write_text(json.dumps(content))
    loaded = Result.load(tmp_path / "out")
    assert loaded.energy == result.energy and loaded.energy.volume == 0
    assert (loaded.options.regularity, loaded.options.volume_weight) == ("smooth", 0)
    assert loaded.options.smoothness_weight == 0.25
    assert loaded.regularity is None
    str(loaded)


def test_a_choice_of_regularity_is_kept(tmp_path):
    choice = RegularityChoice("fine", 1 / 3, 1 / 7, 1.9)
    result = dataclasses.replace(volume(), regularity=choice)
    result.save(tmp_path / "out")
    loaded = Result.load(tmp_path / "out")
    assert loaded.regularity == choice
    assert str(choice) in str(loaded)
