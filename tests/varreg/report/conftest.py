"""Two registrations with names that no page should trust, their reports, and a browser to see them in."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import varreg
from varreg.data.phantom import deformed_pair
from varreg.report import write_report

from .pages import settle

HOSTILE = "<img src=x onerror=alert(1)>\"'</script><script>window.hurt=1</script>&amp;{{ 7*7 }}.nii"
FLAGS = (
    "--headless=new --no-sandbox --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()


def _registered(shape, names, folder):
    pair = deformed_pair(shape, np.random.default_rng(0))
    moving, fixed = (
        varreg.Image.from_array(image, name=name)
        for image, name in zip((pair.moving, pair.fixed), names, strict=True)
    )
    result = varreg.solve(moving, fixed, progress=False)
    certificate = varreg.certify(moving, fixed, result, iterations=2)
    path = write_report(result, folder / f"{len(shape)}d.html", certificate)
    text = path.read_text("utf-8")
    return SimpleNamespace(
        result=result, certificate=certificate, path=path, text=text, names=names
    )


@pytest.fixture(scope="session")
def slices(tmp_path_factory):
    """A report of slices whose names are hostile."""
    return _registered((72, 88), (HOSTILE, HOSTILE), tmp_path_factory.mktemp("slices"))


@pytest.fixture(scope="session")
def volumes(tmp_path_factory):
    """A report of volumes, of which one axis has more slices than are shown."""
    return _registered((40, 66, 44), ("t2.nii", "t1.nii"), tmp_path_factory.mktemp("volumes"))


@pytest.fixture(scope="module")
def browser(request):
    """Debian's Chromium; skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on the path (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        flags = FLAGS + getattr(request.module, "FURTHER_FLAGS", [])
        started = driver.chromium.launch(executable_path=chromium, args=flags)
        yield started
        started.close()


@pytest.fixture
def opened(browser):
    """Open a report; afterwards nothing must have been said, refused or fetched."""
    contexts, faults = [], []

    def open_(report, script=None, **settings):
        contexts.append(
            browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **settings})
        )
        page = contexts[-1].new_page()
        page.set_default_timeout(180_000)
        address = report.path.as_uri()
        page.on("console", lambda message: faults.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("requestfailed", lambda request: faults.append(f"failed: {request.url[:80]}"))
        page.on("dialog", lambda dialog: (faults.append("dialog"), dialog.dismiss()))
        page.on(
            "request",
            lambda request: (
                request.url.startswith((address, "data:"))
                or faults.append(f"request: {request.url[:80]}")
            ),
        )
        if script is not None:
            page.add_init_script(script)
        page.goto(address)
        settle(page)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert faults == []
