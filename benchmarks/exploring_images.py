"""Pictures of the pages to explore, for documents: a real browser on a real server.

    freshet demo demo && freshet drift -w demo
    python benchmarks/exploring_images.py --workspace demo --into docs/images

The world is SIMULATED where the workspace's is. Needs Chromium with its driver, and selenium.
"""

from __future__ import annotations

import base64
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import parse, parser, serving, tell, workspace

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

PATIENCE = 120.0
QUALITY = 82
"""Of the pictures (WebP)."""


@dataclass(frozen=True)
class Picture:
    """A page at a size in CSS pixels, dark or light; `words` are searched and the first find is clicked."""

    name: str
    path: str
    size: tuple[int, int]
    dark: bool = False
    words: tuple[str, ...] = ()


PICTURES = (
    Picture("explore-playground", "playground", (1100, 900), words=("rope", "snow")),
    Picture("explore-phone", "playground", (390, 780), dark=True, words=("rope",)),
    Picture("explore-interest", "interests/3", (1000, 1250), dark=True),
    Picture("explore-context", "contexts?first=5&last=3", (1100, 900)),
)


def main() -> None:
    """Take the pictures."""
    made = parser(__doc__)
    made.add_argument("--workspace", type=Path)
    made.add_argument("--into", type=Path, default=Path("images"))
    options = parse(made, "workspace")
    taken: dict[str, int] = {}
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        tell(options, {"images": taken, "note": "Chromium with its driver is not installed"})
        return
    with workspace(options) as root:
        if options.quick and not (root / "CURRENT").exists():
            tell(options, {"images": taken, "note": "nothing serves in a quick run's workspace"})
            return
        options.into.mkdir(parents=True, exist_ok=True)
        with serving(root) as served, browsing(chromium, driver) as browser:
            for picture in PICTURES[: 1 if options.quick else None]:
                image = take(browser, f"http://127.0.0.1:{served.port}/dashboard/", picture)
                path = options.into / f"{picture.name}.webp"
                path.write_bytes(image)
                taken[str(path)] = len(image)
    tell(options, {"images": taken, "note": "a SIMULATED world, if the workspace's is"})


@contextmanager
def browsing(chromium: str, driver: str) -> Iterator[Chrome]:
    """A browser that ends with the block."""
    from selenium import webdriver

    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
            options.add_argument(argument)
        options.add_argument(f"--user-data-dir={profile}")
        browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
        try:
            yield browser
        finally:
            browser.quit()


def take(browser: Chrome, url: str, picture: Picture) -> bytes:
    """A picture as WebP."""
    width, height = picture.size
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if picture.dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get(url + picture.path)
    until(lambda: "is starting" not in browser.page_source)
    for count, words in enumerate(picture.words, start=1):
        field = browser.find_element("css selector", "#q")
        field.clear()
        field.send_keys(words)
        until(lambda words=words: f"“{words}”" in browser.find_element("css selector", "#count").text)
        browser.find_element("css selector", "#found button").click()
        until(lambda count=count: len(browser.find_elements("css selector", "ol.history li")) == count)
    until(lambda: not browser.find_elements("css selector", "[hx-trigger=load]"))
    drawn = "return [...document.images].every(one => one.complete)"
    until(lambda: browser.execute_script(drawn))
    browser.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
    wanted = {"format": "webp", "quality": QUALITY, "captureBeyondViewport": False}
    found: dict[str, Any] = browser.execute_cdp_cmd("Page.captureScreenshot", wanted)
    return base64.b64decode(found["data"])


def until(look: Any) -> None:
    """Wait for what must come."""
    from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException

    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with suppress(NoSuchElementException, StaleElementReferenceException):  # htmx puts others there
            if look():
                return
        time.sleep(0.1)
    raise TimeoutError("the page did not become what was expected")


if __name__ == "__main__":
    main()
