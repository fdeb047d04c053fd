"""The live page as a browser shows it; skipped where there is no Chromium."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.unit.edge.live_page.chromium import Chromium, chromium_path
from tests.unit.edge.live_page.live_results import NAMES, feeding
from tinydet.edge.live_page.access import parse_serve_address
from tinydet.edge.live_page.server import LivePage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium_path() is None, reason="no chromium on this machine: apt install chromium"),
]

# The <img>'s pixels now, as a checksum.
PIXELS = """(() => {
  const image = document.getElementById('stream'), canvas = document.createElement('canvas');
  if (!image.naturalWidth) return null;
  canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
  const pen = canvas.getContext('2d');
  pen.drawImage(image, 0, 0);
  return pen.getImageData(0, 0, canvas.width, canvas.height).data.reduce((sum, v, i) => (sum + v * (i % 997)) % 1e9, 0);
})()"""


def text(browser: Chromium, element: str) -> str:
    return str(browser.value(f"document.getElementById('{element}').textContent"))


def shown_pixels(browser: Chromium) -> object:
    """Of a picture that is there; between two pictures there is none."""
    browser.until(f"(window.seenPixels = {PIXELS}) !== null")
    return browser.value("window.seenPixels")


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as opened:
        yield opened


def test_from_the_first_frame_to_the_end(browser: Chromium, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinydet.edge.live_page.status.LOST_AFTER_S", 1.0)
    with LivePage(parse_serve_address("127.0.0.1:0"), NAMES, "n · clip") as page:
        browser.open(page.url)
        browser.until("document.getElementById('state')?.textContent === 'Waiting'")
        assert "Waiting for the first frame" in browser.value("document.body.innerText")

        with feeding(page.write):
            browser.until("document.getElementById('state').textContent === 'Live'")
            pixels, frames = shown_pixels(browser), text(browser, "more")
            browser.until(f"{PIXELS} !== {pixels}")
            browser.until(f"document.getElementById('more').textContent !== {frames!r}")
            assert "person2" in text(browser, "classes")
            assert 23 <= float(text(browser, "latency").removesuffix("ms")) <= 24
            assert 5 < float(text(browser, "fps").removesuffix("fps")) < 40
            for width in (320, 390, 768, 1280):
                browser.resize(width, 800)
                assert browser.value("document.documentElement.scrollWidth") == width
        browser.until("document.getElementById('state').textContent === 'Source lost'")
        with feeding(page.write):
            browser.until("document.getElementById('state').textContent === 'Live'")
    browser.until("document.getElementById('state').textContent === 'Not reachable'")

    # A new run on the same port: the page goes on by itself, picture included.
    port = page.url.split("/")[2]
    with LivePage(parse_serve_address(port), NAMES, "n · clip") as page, feeding(page.write):
        browser.until("document.getElementById('state').textContent === 'Live'")
        pixels = shown_pixels(browser)
        time.sleep(0.2)
        browser.until(f"{PIXELS} !== {pixels}")


def test_with_a_token(browser: Chromium) -> None:
    with LivePage(parse_serve_address("0.0.0.0:0"), NAMES, "n · clip") as page, feeding(page.write):
        base = "http://127.0.0.1:" + page.url.split("/")[2].rpartition(":")[2]
        browser.open(base)
        browser.until("document.body.innerText.startsWith('wrong or missing token')")
        browser.open(f"{base}/?token={page.token}")
        browser.until("document.getElementById('state')?.textContent === 'Live'")
        browser.until(f"{PIXELS} !== null")
        assert browser.value("location.href") == f"{base}/"
