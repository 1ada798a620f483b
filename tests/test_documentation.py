"""The documentation is true: its Python blocks run, its command lines run, its key sentence agrees."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from varreg.data.phantom import deformed_pair

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    "README.md",
    "docs/quickstart.md",
    "docs/conventions.md",
    "docs/exchange.md",
    "docs/cohorts.md",
    "docs/certificate.md",
    "docs/faq.md",
    "docs/learned.md",
    "docs/guides.md",
    "docs/templates.md",
    "docs/report.md",
    "docs/slides.md",
    "docs/series.md",
    "docs/verdict.md",
]
# whether `import learned` works
LEARNED = all(importlib.util.find_spec(name) for name in ("torch", "safetensors", "jsonargparse"))


def blocks(page: str, language: str) -> list[str]:
    """Fenced blocks of one language, each preceded by the empty lines that keep its line numbers."""
    text = (ROOT / page).read_text(encoding="utf-8")
    fence = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return ["\n" * text.count("\n", 0, m.start(1)) + m.group(1) for m in fence.finditer(text)]


def run_python(page: str) -> dict:
    """Run all Python blocks of a page in one namespace, and return it."""
    sources = blocks(page, "python")
    assert sources, f"{page} has no Python block"
    if any("nilearn" in source for source in sources):
        pytest.importorskip("nilearn", reason=f"the example of {page} uses images nilearn brings")
    namespace = {"__name__": "__main__"}
    for source in sources:
        if "import learned" in source and not LEARNED:
            continue
        if ".x5" in source and not importlib.util.find_spec("h5py"):
            continue
        exec(compile(source, str(ROOT / page), "exec"), namespace)
    return namespace


def run_command(line: str, folder: Path) -> subprocess.CompletedProcess:
    """Run ``varreg ...`` as a process, with the package that these tests import."""
    import varreg

    program, *arguments = shlex.split(line, comments=True)
    assert program == "varreg", line
    environment = dict(os.environ, PYTHONPATH=str(Path(varreg.__file__).parents[1]))
    command = [sys.executable, "-m", "varreg", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("page", PAGES[1:])
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_python(page)


def test_readme_example_and_command_lines_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pair = deformed_pair((96, 96), np.random.default_rng(0))
    for name in ("moving", "fixed"):  # the files that the page speaks of, one-slice volumes
        image = nibabel.Nifti1Image(np.asarray(getattr(pair, name))[..., None], np.eye(4))
        nibabel.save(image, tmp_path / f"{name}.nii.gz")
    run_python("README.md")
    lines = [line for block in blocks("README.md", "sh") for line in block.splitlines()]
    lines = [line for line in lines if line.startswith("varreg ")]
    assert len(lines) >= 3
    for line in lines:
        done = run_command(line, tmp_path)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def test_the_sentence_on_direction_is_the_same_everywhere():
    pages = ["docs/architecture.md", "README.md", "docs/conventions.md"]
    texts = [" ".join((ROOT / page).read_text(encoding="utf-8").split()) for page in pages]
    sentence = re.search(r"Every map goes \*\*fixed -> moving\*\*:.*?fixed}\(x\)\$\.", texts[0])
    assert sentence is not None
    for page, text in zip(pages, texts, strict=True):
        assert sentence.group() in text, page
