"""The head in 3D: what the page holds of it, and what a browser with WebGL, or without, shows."""

from __future__ import annotations

import base64
import gzip
import io

import nibabel
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from varreg.report.subject import Subject
from varreg.report.viewer import MOST_VOXELS, small, viewer

#: WebGL 2 without a graphics card.
FURTHER_FLAGS = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]


def nifti(text):
    return nibabel.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))


def test_the_small_images_lie_where_the_large_ones_do(volumes):
    subject = Subject(volumes.result)
    fixed, warped = (nifti(text) for text in viewer(subject)["volumes"])
    assert fixed.shape == warped.shape and fixed.get_data_dtype() == np.uint8
    assert fixed.shape == tuple(part.stop - part.start for part in subject.box)  # small as it is
    corner = [part.start for part in subject.box] + [1]
    np.testing.assert_allclose(fixed.affine[:, 3], subject.fixed.grid.affine @ corner, atol=1e-4)


@pytest.mark.parametrize("shape", [(120, 140, 100), (200, 200, 24), (300, 60, 60)])
def test_few_voxels_show_the_same_place(shape):
    spot = np.zeros(shape, np.float32)
    centre = np.array(shape) // 3
    spot[tuple(centre)] = 1
    grey = gaussian_filter(spot, 4)
    grey = np.round(255 * grey / grey.max()).astype(np.uint8)
    affine = np.diag([1.0, 1.0, 1.5, 1.0])
    box = tuple(slice(5, 5 + n) for n in shape)
    made, placed = small(grey, box, affine, most=100_000)
    assert 20_000 < made.size <= 100_000
    sizes = np.linalg.norm(placed[:-1, :-1], axis=0)
    assert sizes.max() / sizes.min() < 1.6
    weights = made.astype(float).ravel()
    found = np.indices(made.shape).reshape(3, -1) @ weights / weights.sum()
    np.testing.assert_allclose(
        placed[:-1, :-1] @ found + placed[:-1, -1], affine[:-1, :-1] @ (centre + 5), atol=0.3
    )


def test_a_page_of_volumes_has_it_and_one_of_slices_has_not(volumes, slices):
    assert viewer(Subject(slices.result)) is None
    assert "solid-show" not in slices.text and "niivue" not in slices.text
    assert "Copyright (c) 2021, Niivue" in volumes.text
    assert volumes.path.stat().st_size < 6_000_000
    assert MOST_VOXELS * 2 * 4 / 3 < 1_700_000  # what both images take if nothing can be compressed


def picture(page):
    page.wait_for_timeout(500)
    shown = Image.open(io.BytesIO(page.locator("#solid").screenshot())).convert("RGB")
    return np.asarray(shown).astype(float)


def test_the_head_is_shown_in_3d_by_the_keyboard_and_nothing_is_refused(volumes, opened):
    page = opened(volumes)
    assert not page.locator("#solid").is_visible()
    page.locator("#solid-show").focus()
    page.keyboard.press("Enter")
    page.locator("#solid[data-ready]").wait_for()
    assert page.evaluate("document.activeElement.id") == "solid-view"
    seen = picture(page)
    inside = seen.max(-1) > 40
    assert 0.05 < inside.mean() < 0.95
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    assert page.locator("#solid-blend-text").inner_text() == "0 % warped image"
    grey = picture(page)
    colour = np.ptp(seen, -1)[inside].mean(), np.ptp(grey, -1)[inside].mean()
    assert colour[1] < 0.5 * colour[0]
    for control, key in (("cut", "Home"), ("turn", "Home")):
        before = picture(page)
        page.locator(f"#solid-{control}").focus()
        page.keyboard.press(key)
        assert np.abs(picture(page) - before).mean() > 1, control
    page.locator("#solid-view").select_option("planes")
    assert np.abs(picture(page) - before).mean() > 1


def test_a_browser_without_webgl_shows_the_slices_and_says_so(volumes, opened):
    script = """const usual = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
            return kind.startsWith("webgl") ? null : usual.call(this, kind, ...more); };"""
    page = opened(volumes, script=script)
    page.locator("#solid-show").click()
    assert "no WebGL 2" in page.locator("#solid-note").inner_text()
    assert not page.locator("#solid-show").is_visible() and not page.locator("#solid").is_visible()
    assert page.locator("#picture-images-axial").is_visible()
