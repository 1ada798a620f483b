"""The page is whole, self-contained, true to its result, and trusts no name."""

from __future__ import annotations

import html
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner

import varreg
from varreg.cli import main
from varreg.data.phantom import deformed_pair
from varreg.errors import FileError, InputError
from varreg.optimise.check import first_line
from varreg.report import write_report
from varreg.report.facts import image_views, option_rows
from varreg.report.layers import fitting_layers
from varreg.report.notebook import notebook_html
from varreg.report.page import page
from varreg.report.subject import Subject, with_images


class Page(HTMLParser):
    """Elements with their attributes, and all text that is shown."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words += data

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(params=["slices", "volumes"])
def report(request):
    return request.getfixturevalue(request.param)


def test_the_page_needs_no_network_and_is_small(report):
    assert report.path.stat().st_size < 5_000_000
    parsed = Page(report.text)
    for tag, attributes in parsed.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value[:60])
    assert not parsed.all("iframe", "object", "embed", "form", "base")
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|WebSocket", report.text)
    policy = [m["content"] for m in parsed.all("meta") if m.get("http-equiv")]
    assert len(policy) == 1 and "default-src 'none'" in policy[0]


def test_identifiers_are_unique_and_what_refers_to_them_finds_them(report):
    parsed = Page(report.text)
    ids = Counter(a["id"] for _, a in parsed.elements if "id" in a)
    assert max(ids.values()) == 1
    for _, attributes in parsed.elements:
        for name in ("for", "aria-labelledby", "aria-describedby"):
            for wanted in (attributes.get(name) or "").split():
                assert wanted in ids, wanted
        if (attributes.get("href") or "").startswith("#"):
            assert attributes["href"][1:] in ids


def test_every_picture_has_words_and_every_control_a_label(report):
    parsed = Page(report.text)
    assert parsed.all("canvas") and parsed.all("img") and parsed.all("svg")
    assert all(re.search(r"\d", image["alt"]) for image in parsed.all("img"))
    assert all(re.search(r"\w", canvas["aria-label"]) for canvas in parsed.all("canvas"))
    assert all(picture["role"] == "img" for picture in parsed.all("svg", "canvas"))
    labelled = {label["for"] for label in parsed.all("label")}
    controls = parsed.all("input", "select", "textarea")
    assert controls and all(control["id"] in labelled for control in controls)
    assert [a["lang"] for a in parsed.all("html")] == ["en"]
    assert len(parsed.all("main")) == len(parsed.all("h1")) == 1


def test_the_verdict_is_the_certificate_and_no_score(report):
    words = " ".join(Page(report.text).words.split())
    for line in str(report.certificate).splitlines():
        assert " ".join(line.split()) in words
    assert "Stationary is not correct" in words
    assert f"{report.certificate.energy.similarity:.3f} by the map" in words
    assert varreg.__version__ in words


def test_the_first_words_of_the_verdict_are_those_of_the_checks(report):
    page = Page(report.path.read_text("utf-8"))
    line = first_line(report.result.checks)
    assert page.words.count(line) == 1
    assert page.words.index("Verdict", page.words.index("Reproduce")) < page.words.index(line)
    assert page.words.index(line) < page.words.index("How much do the images share")


def test_hostile_names_are_shown_as_they_are_and_do_nothing(slices):
    hostile = slices.names[0]
    assert hostile not in slices.text
    parsed = Page(slices.text)
    assert hostile in parsed.words
    assert not any("onerror" in a or a.get("src") == "x" for _, a in parsed.elements)
    assert len(parsed.all("script")) == 2


def test_pictures_of_noise_are_made_smaller_until_they_fit(monkeypatch):
    monkeypatch.setattr("varreg.report.tiles.PIXELS", 500_000)
    random = np.random.default_rng(0)
    noise = random.normal(size=(2, 30, 34, 32)).astype(np.float32)
    result = varreg.solve(noise[0], noise[1], affine=None, iterations=0, progress=False)
    layers = fitting_layers(Subject(with_images(result)), 100_000)
    assert layers.size <= 100_000
    assert all(plane.stack.height > 8 for plane in layers.planes)


def test_a_map_that_folds_and_has_no_history_is_told_so():
    pair = deformed_pair((40, 44), np.random.default_rng(1))
    result = varreg.solve(pair.moving, pair.fixed, affine=None, iterations=0, progress=False)
    u = np.zeros((2, 40, 44))
    u[0, 20:] = -6.0
    transform = varreg.Transform(result.transform.fixed, result.transform.moving, np.eye(3), u)
    warped = replace(result.warped, data=transform.warp(pair.moving))
    folded = replace(result, transform=transform, warped=warped, history=(), levels=())
    certificate = varreg.certify(pair.moving, pair.fixed, folded, iterations=1)
    text = page(folded, certificate, str(folded))
    assert "It may, in" in text and "No energy was minimised" in text
    assert int(re.search(r"(\d+) of 1760 are at or below 0", text)[1]) > 0


def test_what_cannot_be_shown_is_refused_before_anything_is_written(slices, volumes, tmp_path):
    result = slices.result
    result.save(tmp_path / "saved")
    loaded = varreg.load(tmp_path / "saved")
    with pytest.raises(InputError, match="holds no images"):
        loaded.report(tmp_path / "a.html")
    with pytest.raises(InputError, match="holds no images"):
        loaded.plot()
    with pytest.raises(InputError, match="warped by the result, is not"):
        write_report(loaded, tmp_path / "a.html", moving=result.fixed, fixed=result.moving)
    with pytest.raises(InputError, match="both, or neither"):
        write_report(loaded, tmp_path / "a.html", moving=result.moving)
    with pytest.raises(InputError, match="`certificate` must be"):
        result.report(tmp_path / "a.html", volumes.certificate)
    with pytest.raises(InputError, match="must end in .html"):
        result.report(tmp_path / "a.pdf")
    with pytest.raises(FileError, match="exists"):
        result.report(slices.path)
    assert not list(tmp_path.glob("*.html"))


def test_the_command_line_writes_the_same_page(slices, tmp_path):
    pair = {}
    for side in ("moving", "fixed"):
        pair[side] = str(tmp_path / f"{side}.nii.gz")
        image = getattr(slices.result, side)
        nibabel.save(nibabel.Nifti1Image(image.data, np.eye(4)), pair[side])
    result = varreg.solve(pair["moving"], pair["fixed"], progress=False)
    result.save(tmp_path / "result")
    output = tmp_path / "report.html"
    sides = ["--moving", pair["moving"], "--fixed", pair["fixed"]]
    line = ["report", str(tmp_path / "result"), "-o", str(output), *sides]
    done = CliRunner().invoke(main, line)
    assert done.exit_code == 0, done.output
    assert str(output) in done.output and "moving.nii.gz" in output.read_text("utf-8")
    assert CliRunner().invoke(main, line).exit_code == 1  # it exists
    quiet = CliRunner().invoke(main, [*line, "--force", "-q"])
    assert (quiet.exit_code, quiet.output) == (0, "")
    assert CliRunner().invoke(main, line[:4]).exit_code == 2  # no images


def test_a_figure_and_a_notebook_display_come_with_every_result(slices, volumes, tmp_path):
    for made in (slices, volumes):
        shown = Page(made.result._repr_html_())
        assert len(shown.all("img")) == 2 and str(made.result) in shown.words
        assert len(made.result._repr_html_()) < 200_000
    assert slices.result.plot(tmp_path / "figure.png").axes
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_the_notebook_display_never_fails():
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no words")

    assert "Broken object" in html.unescape(notebook_html(Broken()))


def test_headers_that_place_the_images_apart_are_not_shown_as_darkness(slices, tmp_path):
    data, result = slices.result.moving.data, slices.result
    shift = np.array([[1.0, 0.0, 500.0], [0.0, 1.0, -40.0], [0.0, 0.0, 1.0]])
    moving = varreg.Image.from_array(data, affine=shift)
    moved = varreg.Transform(
        result.transform.fixed, moving.grid, shift @ result.affine, result.transform.nodes
    )
    far = Subject(replace(result, transform=moved, moving=moving))
    assert far.headers_apart and not Subject(result).headers_apart
    assert np.allclose(far.before, Subject(result).before, atol=1e-3)
    assert "The headers place the images apart" in image_views(far)[0].caption
    assert "The headers" not in image_views(Subject(result))[0].caption


def test_a_prediction_is_shown_as_one(slices, tmp_path):
    pytest.importorskip("safetensors.torch", reason="learned needs PyTorch and safetensors")
    from learned.prediction import Prediction

    r = slices.result
    known = {"varreg": varreg.__version__, "seconds": {"network": 0.1}}
    found = Prediction(
        r.transform, r.warped, "net", "", "", r.smallest_determinant, r.overlap, known, r.fixed, r.moving
    )  # fmt: skip
    text = found.report(tmp_path / "p.html", varreg.certify(r.moving, r.fixed, found)).read_text()
    assert "Predicted by a network" in text and "No energy was minimised" in text
    assert not re.search(r"\bnan\b", Page(text).words)
    assert "nats" not in " ".join(t.get_text() for t in found.plot().texts)
    assert len(Page(found._repr_html_()).all("img")) == 2


@pytest.mark.parametrize("shape", [(48, 52), (32, 34, 32)])
def test_only_what_was_asked_for_is_shown_as_changed(shape):
    pair = deformed_pair(shape, np.random.default_rng(0))
    changes = {"iterations": 1, "bins": 12}
    for given in ({}, changes):
        result = varreg.solve(pair.moving, pair.fixed, progress=False, threads=1, **given)
        rows = option_rows(result.options, len(shape))
        assert {name for name, _, changed in rows if changed} == set(given)
