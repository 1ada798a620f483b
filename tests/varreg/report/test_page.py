"""The page is whole, self-contained, true to its result, and trusts no name."""

from __future__ import annotations

import html
import os
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner

import varreg
from varreg.cli import main
from varreg.data.phantom import deformed_pair
from varreg.errors import FileError, InputError
from varreg.optimise.check import Check, first_line
from varreg.report import write_report
from varreg.report.facts import image_views, map_views, option_rows
from varreg.report.layers import build, fitting_layers
from varreg.report.notebook import notebook_html
from varreg.report.page import page
from varreg.report.plots.planes import middle_planes
from varreg.report.repetition import call_record
from varreg.report.sides import sides
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
    assert report.path.stat().st_size < (
        5_000_000 if len(report.result.warped.grid.shape) == 2 else 6_000_000
    )
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
    assert "Convergence does not prove correctness" in words
    assert f"{report.certificate.energy.similarity:.3f} after registration" in words
    assert varreg.__version__ in words


def test_the_first_words_of_the_verdict_are_those_of_the_checks(report):
    words = " ".join(Page(report.path.read_text("utf-8")).words.split())
    line = first_line(report.result.checks)
    assert words.count(line) == 1
    assert words.index("Verdict", words.index("Reproduction")) < words.index(line)
    assert words.index(line) < words.index("Certificate: ") < words.index("How much do the")


def test_warnings_stand_in_red_with_their_remedies(slices):
    wrong = Check("scales", 2.0, 1.3, False, "Scaled by 2.", "Try affine='rigid'.")
    for checks, grade, words in (
        (
            (wrong,),
            "bad",
            "1 warning: inspect the images before using the map. Scaled by 2. Try affine='rigid'.",
        ),
        ((replace(wrong, passed=True),), "good", "Checks: no warnings"),
    ):
        shown = page(replace(slices.result, checks=checks), slices.certificate, "a\nb\nc")
        found = Page(shown)
        assert words in " ".join(found.words.split())
        assert [a["class"] for a in found.all("div") if a.get("id") == "checks"] == [
            f"verdict {grade}"
        ]


def test_figures_are_of_the_head_and_not_of_the_air():
    pair = deformed_pair((64, 72), np.random.default_rng(0))
    padded = [np.pad(image, 40) for image in (pair.moving, pair.fixed)]
    result = varreg.solve(*padded, affine=None, iterations=1, levels=(2,), progress=False)
    subject = Subject(with_images(result))
    shape = [part.stop - part.start for part in subject.box]
    assert all(n < 1.2 * size for n, size in zip(shape, (64, 72), strict=True))
    assert subject.histograms[1].sum() <= subject.head.sum() < 64 * 72
    head = subject.determinant[subject.head]
    words = map_views(subject, build(subject))[2].caption
    assert f"between {head.min():.3f} and {head.max():.3f}" in words


@pytest.mark.parametrize(
    "affine, wanted",
    [
        (np.diag([2.0, 2.0, 2.0, 1.0]), [("L", "R"), ("L", "R"), ("P", "A")]),
        (np.diag([-2.0, 2.0, 2.0, 1.0]), [("L", "R"), ("L", "R"), ("P", "A")]),
        (None, [("", "")] * 3),
    ],
)
def test_left_and_right_are_marked_where_they_are_known(affine, wanted):
    image = varreg.Image.from_array(np.ones((8, 9, 10)), affine=affine)
    planes = middle_planes(image.grid.shape, image.grid.affine)
    assert [sides(image, plane) for plane in planes] == wanted
    if affine is not None:  # a slice of that volume: its array is shown as it is stored
        coronal = varreg.Image.from_array(np.ones((8, 1, 10)), affine=affine)
        plane = middle_planes(coronal.grid.shape, coronal.grid.affine)[0]
        assert sides(coronal, plane) == ("I", "S")


def test_the_page_says_how_to_repeat_it_and_that_repeats_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pair = deformed_pair((48, 52), np.random.default_rng(0))
    mask = np.zeros((48, 52), np.uint8)
    mask[4:44, 4:48] = 1
    matrix = np.array([[1, 0, 1.5], [0, 1, -1], [0, 0, 1.0]])
    for name, array in (("t2", pair.moving), ("t1", pair.fixed), ("mask", mask)):
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), f"{name}.nii.gz")
    np.savetxt("start.txt", matrix)
    line = "register t2.nii.gz t1.nii.gz -o out --fixed-mask mask.nii.gz --affine rigid --start start.txt"
    line += " --bins 20 --threads 1 --affine-iterations 3 --iterations 3 --fill 0.5"
    assert CliRunner().invoke(main, line.split()).exit_code == 0
    result = varreg.load("out")
    assert result.provenance["command"] == f"varreg {line}" and f"varreg {line}" in str(result)
    found: dict[str, varreg.Result] = {}
    exec(result.call, found)
    again = found["result"]
    assert np.array_equal(again.displacement, result.displacement)
    assert np.array_equal(again.warped.data, result.warped.data)
    assert again.options == result.options and again.call == result.call
    path = write_report(result, "r.html", moving="t2.nii.gz", fixed="t1.nii.gz")
    words = Page(path.read_text("utf-8")).words
    assert f"varreg {line}" in words and result.call in words


def test_the_call_of_a_guided_registration_has_its_points(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pair = deformed_pair((40, 44), np.random.default_rng(0))
    Path("fixed.csv").write_text("x,y\n12,14\n30,20\n22,33\n")
    Path("moving.csv").write_text("x,y\n13,14\n31,20\n23,33\n")
    moving, fixed = pair.moving, pair.fixed
    result = varreg.solve(
        moving, fixed, fixed_points="fixed.csv", moving_points="moving.csv", point_weights=[1, 2, 1],
        levels=(2,), iterations=2, affine=None, deformable=True, progress=False,
    )  # fmt: skip
    assert "moving_points='moving.csv'" in result.call and "in memory" in result.call
    found = {"moving": moving, "fixed": fixed, "point_weights": [1, 2, 1]}
    exec(result.call, found)
    assert np.array_equal(found["result"].displacement, result.displacement)


def test_a_call_names_what_only_the_reader_has():
    image = varreg.Image.from_array(np.eye(8), name="t2.nii")
    known = call_record([image, np.eye(8)], ["a.nii", Path("b.nii")], start=np.eye(3), fill=None)
    assert known == {
        "moving": "['t2.nii', moving_1]",
        "fixed": "['a.nii', 'b.nii']",
        "start": repr(np.eye(3).tolist()),
    }
    file = varreg.ImageFile("s.ome.tif", level=2)
    assert call_record(file, "f.png")["moving"] == "varreg.ImageFile('s.ome.tif', level=2)"
    pair = deformed_pair((40, 44), np.random.default_rng(0))
    few = {"iterations": 0, "levels": (2,), "affine": None, "deformable": True}
    result = varreg.solve(pair.moving, pair.fixed, **few, progress=False)
    assert "# given in memory, no file is known: moving, fixed\n" in result.call
    assert (
        "affine=None,\n    deformable=True,\n    levels=(2.0,),\n    iterations=0,\n" in result.call
    )
    earlier = {k: v for k, v in result.provenance.items() if k != "call"}
    for known in (
        earlier,
        {**earlier, "call": 3, "command": [1]},
        {**earlier, "call": {"moving": []}},
    ):
        damaged = replace(result, provenance=known)
        assert "affine" not in damaged.call and "Command" not in str(damaged)


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
    assert int(re.search(r"in the whole image (\d+) of 1760 voxels are at or below 0", text)[1]) > 0


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
    # without them, the files that were registered
    page, alone = output.read_text("utf-8"), [*line[:4], "--force"]
    done = CliRunner().invoke(main, alone)
    assert done.exit_code == 0 and output.read_text("utf-8") == page
    os.rename(pair["fixed"], tmp_path / "elsewhere.nii.gz")
    lost = CliRunner().invoke(main, alone)
    assert lost.exit_code == 1 and "fixed image of the result" in lost.output
    assert "give it with --fixed" in lost.output and output.read_text("utf-8") == page
    odd = (
        [],
        {"moving": 3, "fixed": 3},
        {"moving": "a", "fixed": "a"},
        {"moving": "(" * 9999, "fixed": ""},
    )
    for k, call in enumerate(({}, *odd)):
        replace(result, provenance={"call": call}).save(tmp_path / str(k))
        unnamed = CliRunner().invoke(main, ["report", str(tmp_path / str(k)), *alone[2:]])
        assert unnamed.exit_code == 1 and "names no file of its moving image" in unnamed.output


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
