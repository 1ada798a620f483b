"""The scripts of the pictures in docs/ run, and the pictures are those they draw."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import varreg

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("direction.png", "spaces.png")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    pytest.importorskip("nilearn", reason="the pictures show the template that nilearn brings")
    folder = tmp_path_factory.mktemp("drawn")
    command = [sys.executable, str(ROOT / "examples" / "figures" / "spaces.py"), str(folder)]
    environment = dict(os.environ, PYTHONPATH=str(Path(varreg.__file__).parents[1]))
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(file.name for file in folder.iterdir()) == sorted(NAMES)
    return folder


def pixels(file):
    return np.asarray(Image.open(file).convert("RGB"), dtype=float)


@pytest.mark.parametrize("name", NAMES)
def test_the_pictures_of_the_page_are_the_ones_drawn(drawn, name):
    found, kept = pixels(drawn / name), pixels(ROOT / "docs" / "images" / name)
    assert found.shape == kept.shape
    assert np.abs(found - kept).mean() < 4  # letters differ between versions of matplotlib


@pytest.mark.parametrize("name", NAMES)
def test_they_are_small_wide_and_white_where_nothing_is(drawn, name):
    assert (drawn / name).stat().st_size < 120_000
    found = pixels(drawn / name)
    assert found.shape[1] == 1050
    assert (found[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    assert f"(images/{name})" in (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8")


def test_the_picture_of_the_packages_is_the_one_drawn(tmp_path):
    pytest.importorskip("grimp", reason="the script reads imports with grimp")
    script = ROOT / "examples" / "figures" / "architecture.py"
    drawn = tmp_path / "architecture.svg"
    environment = dict(os.environ, PYTHONPATH=str(Path(varreg.__file__).parents[1]))
    command = [sys.executable, str(script), str(drawn)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kept = ROOT / "docs" / "images" / "architecture.svg"
    assert drawn.read_text(encoding="utf-8") == kept.read_text(encoding="utf-8")
