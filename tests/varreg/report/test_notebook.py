"""What somebody sees who works in a notebook: run in a real kernel, and looked at."""

from __future__ import annotations

import base64
import io
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

import varreg
from varreg.errors import BackendError
from varreg.optimise.history import Stop

CELLS = {
    "solve": """
import numpy as np, varreg
from varreg.data.phantom import deformed_pair
pair = deformed_pair((56, 64), np.random.default_rng(0))
moving = varreg.Image.from_array(pair.moving, name="t2.nii")
result = varreg.solve(moving, pair.fixed, threads=1, affine_iterations=3, iterations=3)""",
    "result": "result",
    "plot": "result.plot()",
    "certificate": "varreg.certify(moving, pair.fixed, result, iterations=1, threads=1)",
    "parts": "[result.warped, result.transform, result.inverse()]",
    "stop": "print(result.stop)",
}


@pytest.fixture(scope="module")
def outputs():
    """The outputs of each cell, run one after the other without any magic."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(source) for source in CELLS.values()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what others say of their own ports and folders
        nbclient.NotebookClient(book, timeout=500).execute()
    return {name: cell.outputs for name, cell in zip(CELLS, book.cells, strict=True)}


def _data(outputs, kind):
    return next(output["data"][kind] for output in outputs if kind in output.get("data", {}))


def _picture(text):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")).astype(float)


def test_plot_shows_the_figure_without_magic(outputs):
    shown = _picture(_data(outputs["plot"], "image/png"))
    assert shown.shape[1] > 800 and len(outputs["plot"]) == 1  # once, not twice
    brain = shown[90:290, 30:250]  # the first panel: a fixed image that is neither empty nor noise
    assert brain.std() > 40 and (brain < 10).mean() > 0.2
    assert np.abs(np.diff(brain, axis=1)).mean() < 20


def test_a_result_is_shown_with_pictures_and_its_repr_is_short(outputs):
    words = _data(outputs["result"], "text/plain")
    assert "t2.nii onto fixed image, 56 x 64 voxels" in words and "Checks:" in words
    assert len(words) < 2000
    parts = _data(outputs["result"], "text/html").split("base64,")[1:]
    assert len(parts) == 2
    before, after = (_picture(part.partition('"')[0]) for part in parts)
    assert before.std() > 30 and np.abs(before - after).mean() > 1


def test_progress_is_a_widget_and_nothing_else_is_said(outputs):
    pytest.importorskip("ipywidgets", reason="ipywidgets is not installed: tqdm says so")
    for output in outputs["solve"]:
        if output["output_type"] == "stream":  # once, where no kernels are kept yet
            assert "compiling kernels" in output["text"]
            continue
        assert output["output_type"] == "display_data", output


def test_parts_and_the_certificate_are_read_as_words(outputs):
    assert "Convergence does not prove correctness" in _data(outputs["certificate"], "text/plain")
    parts = _data(outputs["parts"], "text/plain")
    assert len(parts) < 2000 and "array(" not in parts
    for words in (
        "varreg.Image 'warped t2.nii': 56 x 64 voxels",
        "varreg.Transform: maps",
        "varreg.Inverse: maps",
    ):
        assert words in parts
    said = outputs["stop"][0]["text"]
    assert said.startswith("The solver stopped because ") and said.endswith(".\n")


def test_reprs_are_short_outside_notebooks_too(slices):
    for shown in (slices.result, slices.certificate, slices.result.transform, slices.result.warped):
        assert len(repr(shown)) < 2000 and "array(" not in repr(shown)
        assert repr(shown).startswith("<varreg.")
    assert all(str(stop).startswith("The solver stopped because") for stop in Stop)


def test_the_viewer_shows_the_fixed_and_the_warped_image(slices):
    pytest.importorskip("ipyniivue", reason="ipyniivue is not installed")
    import nibabel

    widget = varreg.view(slices.result)
    fixed, warped = widget.volumes
    for volume, image in ((fixed, slices.result.fixed), (warped, slices.result.warped)):
        read = nibabel.Nifti1Image.from_bytes(bytes(volume.data))
        assert np.array_equal(np.squeeze(read.get_fdata()), image.data)
        assert np.array_equal(read.affine, image.volume_affine)
    assert (fixed.opacity, warped.opacity) == (1.0, 0.5)


def test_without_the_viewer_a_sentence_says_what_to_install(slices, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipyniivue", None)
    with pytest.raises(BackendError, match=r"pip install 'varreg\[view\]'"):
        varreg.view(slices.result)
