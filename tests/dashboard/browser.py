"""A real browser: Debian's Chromium without a window, driven by Selenium, on a real `freshet serve`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.http.running import PATIENCE

AXE = Path(__file__).parents[2] / "build" / "npm" / "node_modules" / "axe-core" / "axe.min.js"
WIDE, PHONE = (1280, 900), (360, 740)
Found = TypeVar("Found")


class Browser:
    """Looks at a server's dashboard."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    def go(self, path: str = "") -> None:
        """Open a page; while the dashboard starts, it loads itself again."""
        self.driver.get(f"{self.url}/dashboard/{path}")
        self.until(lambda: self.text and "is starting" not in self.text)

    @property
    def text(self) -> str:
        """What the page shows."""
        script = "return document.body ? document.body.innerText : ''"
        return str(self.driver.execute_script(script))

    def find(self, css: str) -> WebElement:
        """An element, once it is there."""
        return self.until(lambda: next(iter(self.driver.find_elements(By.CSS_SELECTOR, css)), None))

    def link(self, text: str) -> WebElement:
        """A link by (a part of) its text."""
        return self.until(lambda: next(iter(self.driver.find_elements(By.PARTIAL_LINK_TEXT, text)), None))

    def press(self, text: str) -> None:
        """Press the button, or open the details, with this text."""
        path = f"//button[contains(., '{text}')] | //summary[contains(., '{text}')]"
        self.until(lambda: next(iter(self.driver.find_elements(By.XPATH, path)), None)).click()

    def write(self, name: str, text: str) -> None:
        """Fill in the field of this name that can be seen."""
        field = next(one for one in self.driver.find_elements(By.NAME, name) if one.is_displayed())
        field.clear()
        field.send_keys(text)

    def sees(self, text: str) -> None:
        """Wait until the page shows this."""
        self.until(lambda: text in self.text, f"{text!r} in {self.text!r}")

    def until(self, look: Callable[[], Found | None], what: str = "") -> Found:
        """What `look` finds, once it does; it fails after long patience."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                if found := look():
                    return found
            except WebDriverException:  # the page, or a part of it, is being replaced
                pass
            time.sleep(0.1)
        pytest.fail(f"{self.driver.current_url} never showed it {what}; it shows {self.text[:2000]}")

    def show(self, size: tuple[int, int] = WIDE, dark: bool = False) -> None:
        """Take the size of a screen, and its colours."""
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def overflow(self) -> int:
        """Pixels by which the page is wider than the screen."""
        script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.driver.execute_script(script))

    def violations(self) -> list[str]:
        """What axe-core finds wrong with the page for people who see, hear or move differently."""
        if not AXE.exists():
            pytest.skip("axe-core is not installed: `npm install axe-core` in build/npm")
        self.driver.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
        self.driver.execute_script(AXE.read_text(encoding="utf-8"))
        found: dict[str, Any] = self.driver.execute_async_script(
            "axe.run(document, {resultTypes: ['violations']}).then(arguments[arguments.length - 1])"
        )
        return [
            f"{one['id']}: {one['help']}: {node['html'][:200]} {node['failureSummary'][:300]}"
            for one in found["violations"]
            for node in one["nodes"]
        ]

    def complaints(self) -> list[str]:
        """What the browser itself complains of: scripts that fail, and what the policy forbids."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE" and "responded with a status" not in entry["message"]
        ]


@contextmanager
def browsing(url: str, profile: Path) -> Iterator[Browser]:
    """A browser that ends with the block; the test is skipped where none is installed."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("Chromium with its driver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--disable-background-networking",
        "--no-first-run",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(chromedriver))
    driver.set_page_load_timeout(PATIENCE)
    driver.set_script_timeout(PATIENCE)
    try:
        yield Browser(driver, url)
    finally:
        driver.quit()
