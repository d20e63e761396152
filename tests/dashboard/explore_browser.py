"""A real browser without a window: it clicks, waits for what should appear, and is asked by axe-core.

The fixture `browser` is one Chromium for all tests of a session; each gets it with the usual size, light, without
cookies. Tests are skipped where there is no Chromium, or (`violations`) no axe-core in `build/npm`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE = 120
"""Seconds that a test waits for what should happen at once: the machine may be busy."""
AXE = Path(__file__).parents[2] / "build" / "npm" / "node_modules" / "axe-core" / "axe.min.js"
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--force-prefers-reduced-motion",
    "--force-device-scale-factor=1",
)
PHONE = (360, 740)
USUAL = (1280, 1000)


class Browser:
    """What tests do with a browser."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.get(url)

    def all(self, css: str) -> list[WebElement]:
        """Elements that there are now."""
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css: str) -> WebElement:
        """The first element, as soon as there is one."""
        return self.wait(lambda: next(iter(self.all(css)), None), f"no {css}")

    def text(self, css: str = "main") -> str:
        """What a person reads there; '' where it is not there (any more)."""
        try:
            return "\n".join(element.text for element in self.all(css))
        except StaleElementReferenceException:  # it was replaced between the two looks
            return ""

    def wait(self, found: Any, otherwise: str) -> Any:
        """What a function returns, as soon as that is something."""

        def seen(_: Any) -> Any:
            try:
                return found()
            except StaleElementReferenceException:
                return None

        try:
            return WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05).until(seen, otherwise)
        except Exception as error:
            raise AssertionError(f"{otherwise}; the page says: {self.text('body')[:2000]}") from error

    def wait_for(self, text: str, css: str = "main") -> None:
        """Wait until a person reads it there."""
        self.wait(lambda: text in self.text(css), f"{text!r} does not appear in {css}")

    def troubles(self) -> list[str]:
        """What the console says of errors since the last call: refused scripts and styles, failed requests."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE" and "favicon" not in entry["message"]
        ]

    def violations(self) -> list[str]:
        """What axe-core finds wrong with the page for people who can't see it well, in words."""
        if not AXE.exists():
            pytest.skip("axe-core is not installed: npm install axe-core in build/npm")
        self.driver.execute_script(AXE.read_text(encoding="utf-8"))
        found = self.driver.execute_async_script(
            "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']})"
            ".then(r => done(r.violations), e => done([{id: String(e), nodes: []}]))"
        )
        return [
            f"{one['id']}: {one.get('help', '')}: {[node['html'][:200] for node in one['nodes'][:3]]}"
            for one in found
        ]

    def too_wide(self) -> int:
        """Pixels by which the page is wider than the window: it would scroll sideways."""
        wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.driver.execute_script(wide))

    @contextmanager
    def phone(self) -> Iterator[None]:
        """A small screen, within."""
        self._size(*PHONE, mobile=True)
        yield
        self._size(*USUAL)

    @contextmanager
    def dark(self) -> Iterator[None]:
        """Dark mode, within."""
        self._prefers("dark")
        yield
        self._prefers("light")

    def reset(self) -> None:
        """As it was at first."""
        self.driver.get("about:blank")
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        self._size(*USUAL)
        self._prefers("light")
        self.troubles()

    def _size(self, width: int, height: int, *, mobile: bool = False) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def _prefers(self, scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The one browser; tests take `browser`."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("there is no Chromium with its chromedriver: apt install chromium chromium-driver")
    options = Options()
    options.binary_location = binary
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    opened.set_page_load_timeout(PATIENCE)
    opened.set_script_timeout(PATIENCE)
    yield Browser(opened)
    opened.quit()


@pytest.fixture
def browser(chromium: Browser) -> Browser:
    """A browser as if just opened."""
    chromium.reset()
    return chromium
