"""The pictures of docs/how-to/dashboard.md: a SIMULATED workspace in Debian's Chromium, without a window.

    python benchmarks/dashboard_images.py               # into docs/images

The workspace has two releases of counts and a run that a gate halted. Needs `chromium` and `chromedriver`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver

import exploring
from shared import Show, parse, parser, tell

IMAGES = Path(__file__).parents[1] / "docs" / "images"
PICTURES = {
    "dashboard-overview": ("", (1100, 900), False),
    "dashboard-phone": ("", (390, 844), True),
    "dashboard-review": ("reviews", (1100, 900), False),
    "dashboard-compare": ("releases/compare?a=1&b=2", (1100, 900), True),
}
"""By name: the page, pixels, and whether it is dark; of reviews, the first one."""
HALTED = """
[inference]
calibration_prompts = 120
[gates]
sample = 60
recall = 0.9
"""


def main() -> None:
    """Make them."""
    made = parser(__doc__)
    made.add_argument("--work", type=Path, help="the workspace, made where there is none")
    options = parse(made)
    if options.quick:
        tell(options, {"images": sorted(PICTURES), "note": "a quick run takes no picture"})
        return
    with tempfile.TemporaryDirectory() as folder:
        root = options.work or Path(folder) / "shop"
        root.mkdir(exist_ok=True)
        if not (root / "CURRENT").exists():
            furnish(root)
        with served(root) as url, browser(Path(folder) / "profile") as driver:
            for name, (path, size, dark) in PICTURES.items():
                take(driver, url, path, size, dark, IMAGES / f"{name}.png")
                Show().say(f"{name}.png: {(IMAGES / f'{name}.png').stat().st_size / 1000:.0f} kB")


def furnish(root: Path) -> None:
    """Two releases, and a halted run."""
    from freshet import pipeline
    from freshet.core.errors import GateFailed
    from freshet.core.types import AsOf
    from freshet.wiring import open_workspace

    exploring.build(root, 12, 300, 300)
    exploring.publish(root)
    ws = open_workspace(root)
    current = ws.releases.current()
    if current is None:
        raise AssertionError("a release was published")
    pipeline.refresh(ws, AsOf.parse(current.as_of).plus(-7), publish=True)
    text = (root / "freshet.toml").read_text().replace('kind = "counts"', 'kind = "fake"')
    (root / "freshet.toml").write_text(text + HALTED)
    try:
        pipeline.finetune(open_workspace(root))
    except GateFailed as error:
        Show().say(error.message)


@contextmanager
def served(root: Path) -> Iterator[str]:
    """A server."""
    command = [sys.executable, "-m", "freshet", "serve", "-w", str(root), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        if server.stdout is None:
            raise AssertionError("it has a pipe")
        try:
            yield json.loads(server.stdout.readline())["url"]
        finally:
            server.terminate()


@contextmanager
def browser(profile: Path) -> Iterator[webdriver.Chrome]:
    """A browser."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_page_load_timeout(120)
    try:
        yield driver
    finally:
        driver.quit()


def take(
    driver: webdriver.Chrome, url: str, path: str, size: tuple[int, int], dark: bool, file: Path
) -> None:
    """Take a picture of a page once all of it is there."""
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    driver.get(f"{url}/dashboard/{path}")
    waited(driver, "return !document.body.innerText.includes('is starting')")
    if path == "reviews":
        driver.find_element("css selector", "main table a").click()
    waited(driver, "return !document.querySelector('.htmx-request') && !!document.querySelector('nav')")
    time.sleep(1)  # fonts and fragments settle
    file.write_bytes(driver.get_screenshot_as_png())


def waited(driver: webdriver.Chrome, script: str) -> None:
    """Wait until a script says so."""
    end = time.monotonic() + 120
    while not driver.execute_script(script):
        if time.monotonic() > end:
            raise TimeoutError(script)
        time.sleep(0.2)


if __name__ == "__main__":
    main()
