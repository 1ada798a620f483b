"""The page in a real browser: it loads in silence, its controls work by mouse and keyboard."""

from __future__ import annotations

import base64
import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

from varreg.report.subject import Subject

from .pages import settle

#: Pictures are painted by the processor.
FURTHER_FLAGS = ["--disable-gpu"]


def _seen(page, identifier):
    """(rows, columns, 3) values of a canvas."""
    settle(page)
    uri = page.locator(f"#picture-{identifier}").evaluate("canvas => canvas.toDataURL()")
    file = io.BytesIO(base64.b64decode(uri.partition(",")[2]))
    return np.asarray(Image.open(file).convert("RGB")).astype(int)


def _same(one, other):
    """Up to what the browser rounds otherwise within a clip."""
    return np.abs(one - other).max() <= 8


def _move(page, slider, value):
    slider.evaluate(
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }",
        str(value),
    )


def _indices(page, plane):
    """The slices that a plane has on the page."""
    text = page.locator("#data").text_content()
    return json.loads(text)["planes"][plane]["indices"]


@pytest.mark.parametrize("name", ["slices", "volumes"])
def test_it_loads_without_a_sound_and_fast(name, request, opened):
    page = opened(request.getfixturevalue(name))
    milliseconds = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    sys.stdout.write(f"\nreport of {name} loaded in {milliseconds:.0f} ms\n")
    assert 0 < milliseconds < 30_000
    assert page.evaluate("window.hurt") is None


def test_left_of_the_line_is_before_and_right_of_it_after(slices, opened):
    page = opened(slices)
    slider = page.get_by_role("slider", name="Line between before and after")
    _move(page, slider, 0)
    after = _seen(page, "images-moving")
    _move(page, slider, 100)
    before = _seen(page, "images-moving")
    assert np.abs(after - before).mean() > 2
    _move(page, slider, 30)
    mixed = _seen(page, "images-moving")
    height, width = mixed.shape[:2]
    upper, line = slice(0, int(0.9 * height)), round(0.3 * width)  # below stand the two words
    assert _same(mixed[upper, : line - 4], before[upper, : line - 4])
    assert _same(mixed[upper, line + 4 :], after[upper, line + 4 :])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_the_verdict_and_the_first_picture_are_seen_at_once(slices, opened, scheme, width):
    page = opened(slices, color_scheme=scheme, viewport={"width": width, "height": 900})
    verdict = page.locator("#checks")
    assert verdict.bounding_box()["y"] < 450 and not page.locator("#certificate").is_visible()
    first = page.locator("canvas").first
    assert first.get_attribute("data-view") == "edges" and first.bounding_box()["y"] < 900
    colour, words = (_style(verdict, name) for name in ("backgroundColor", "color"))
    bright, dim = sorted((_luminance(colour), _luminance(words)), reverse=True)
    assert (bright + 0.05) / (dim + 0.05) > 4.5
    colour = np.array([int(part) for part in colour[4:-1].split(",")])
    passed = not slices.result.warnings
    assert colour.argmax() == (1 if passed else 0)  # green, or red
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("#certificate").is_visible()


def _style(element, name):
    return element.evaluate(f"element => getComputedStyle(element).{name}")


def test_the_first_picture_shows_no_line_until_it_is_moved(slices, opened):
    page = opened(slices)
    first = _seen(page, "images-edges")
    _move(page, page.locator("#divider"), 0)
    assert _same(_seen(page, "images-edges"), first)
    _move(page, page.locator("#divider"), 100)
    assert np.abs(_seen(page, "images-edges") - first).mean() > 2


def test_dragging_in_a_picture_moves_the_line(slices, opened):
    page = opened(slices)
    picture = page.locator("#picture-images-edges")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 30)
    page.mouse.up()
    assert abs(int(page.locator("#divider").input_value()) - 20) <= 1


def test_the_checkerboard_is_its_two_images(slices, opened):
    page = opened(slices)
    _move(page, page.locator("#divider"), 0)
    board, fixed, after = (_seen(page, f"images-{n}") for n in ("checkerboard", "fixed", "moving"))
    side = max(board.shape[:2]) / 8
    upper = int(0.9 * board.shape[0])
    row, column = (np.arange(n) for n in board.shape[:2])
    inside = (np.abs((row + 0.5) / side % 1 - 0.5) < 0.45)[:, None] & (
        np.abs((column + 0.5) / side % 1 - 0.5) < 0.45
    )
    odd = ((row // side)[:, None] + (column // side)) % 2 == 1
    for where, image in ((odd, after), (~odd, fixed)):
        where = (where & inside)[:upper]
        where[:, :5] = False  # the line stands at the left border
        assert _same(board[:upper][where], image[:upper][where])


def test_the_keyboard_moves_line_and_slices_and_says_so(volumes, opened):
    page = opened(volumes)
    line = page.get_by_role("slider", name="Line between before and after")
    line.focus()
    page.keyboard.press("ArrowRight")
    assert line.input_value() == "1"  # edges are first seen after registration alone
    assert line.get_attribute("aria-valuetext") == "before on 1 % of the width"
    assert page.locator("#divider-text").inner_text() == "before on 1 % of the width"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "slice-images-axial"
    first = _seen(page, "images-axial")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    second = f"voxel {_indices(page, 0)[1]} (0 to 43)"
    assert page.locator("#slice-text-images-axial").inner_text() == second
    assert second in page.locator("#picture-images-axial").get_attribute("aria-label")
    assert not np.array_equal(_seen(page, "images-axial"), first)
    assert page.locator("#slice-map-axial").input_value() == "1"  # both sections show one place


def test_every_plane_scrolls_from_its_first_to_its_last_slice(volumes, opened):
    page = opened(volumes)
    box = Subject(volumes.result).box
    for number, (plane, axis) in enumerate((("axial", 2), ("coronal", 1), ("sagittal", 0))):
        slider = page.locator(f"#slice-images-{plane}")
        shown, last = _indices(page, number), volumes.result.fixed.grid.shape[axis] - 1
        assert (shown[0], shown[-1]) == (box[axis].start, box[axis].stop - 1)
        assert int(slider.get_attribute("max")) == len(shown) - 1 <= 59
        middle = _seen(page, f"map-{plane}")
        slider.focus()
        page.keyboard.press("End")
        assert (
            page.locator(f"#slice-text-map-{plane}").inner_text()
            == f"voxel {shown[-1]} (0 to {last})"
        )
        assert not np.array_equal(_seen(page, f"map-{plane}"), middle)


def test_the_kind_of_picture_is_chosen_with_the_keyboard(volumes, opened):
    page = opened(volumes)
    page.get_by_role("radio", name="Deformation grid").focus()
    grid = _seen(page, "map-axial")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("radio", name="Volume change det J").is_checked()
    assert "at or below 0" in page.locator("#map-caption").inner_text()
    assert page.get_by_role("img", name="Volume change det J. Coronal").is_visible()
    settle(page)
    assert not np.array_equal(_seen(page, "map-axial"), grid)


def _luminance(colour):
    channels = np.array([float(part) for part in colour[4:-1].replace(",", " ").split()[:3]]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_follow_the_system_or_the_reader(slices, opened, scheme):
    page = opened(slices, color_scheme=scheme)

    def background():
        return _luminance(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert (background() > 0.5) == (scheme == "light")
    pale, card = page.evaluate(
        """() => ["color", "backgroundColor"].map((name, k) =>
             getComputedStyle(document.querySelector(["figcaption", "section"][k]))[name])"""
    )
    bright, dim = sorted((_luminance(pale), _luminance(card)), reverse=True)
    assert (bright + 0.05) / (dim + 0.05) > 4.5  # WCAG 2.2, contrast of text
    page.get_by_label("Colours").select_option("dark" if scheme == "light" else "light")
    assert (background() > 0.5) != (scheme == "light")


@pytest.mark.parametrize("name", ["slices", "volumes"])
def test_a_phone_shows_it_without_scrolling_sideways(name, request, opened):
    page = opened(
        request.getfixturevalue(name), viewport={"width": 360, "height": 740}, has_touch=True
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    sizes = page.locator("input[type=range]").evaluate_all(
        "inputs => inputs.filter((input) => input.offsetParent)"
        ".map((input) => [input.offsetWidth, input.offsetHeight])"
    )
    assert sizes and all(width >= 120 and height >= 24 for width, height in sizes)
