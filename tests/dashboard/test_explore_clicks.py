"""Exploring in a real browser, on a real server: somebody clicks through the playground and the other pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from freshet import operations, pipeline
from freshet.storage.workspace import Workspace
from tests.dashboard.browser import PHONE, WIDE, Browser, browsing
from tests.http.running import Running, running
from tests.pipeline.world import FIRST, NOW, SECOND, approving, settings, workspace

RANKED = "[ranker]\nuse = true\nmax_steps = 1\n"
PAGES = (
    "playground",
    "playground?liked={item}&explore=on&q=the",
    "interests",
    "interests/0",
    "interests/0/over-time",
    "contexts?first=1&last=0",
    "reports",
)


@pytest.fixture(scope="module")
def shelves(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace that serves interests and items, with a report."""
    ws = workspace(tmp_path_factory.mktemp("explored") / "shelves", settings(world, extra=RANKED))
    operations.import_log(ws, NOW)
    for moment in (FIRST, SECOND):
        approving(lambda moment=moment: pipeline.refresh(ws, moment, publish=True), ws)  # type: ignore[misc]
    (ws.root / "drift").mkdir()
    log = {"from": "2024-01-01", "to": "2024-02-19", "simulated": True}
    (ws.root / "drift" / "drift.json").write_text(json.dumps({"log": log, "answer": ["No drift is shown."]}))
    page = "<!doctype html><html lang=en><title>t</title><style>h1{color:red}</style><h1>Drift</h1>"
    (ws.root / "drift" / "drift.html").write_text(page + "<script>document.title = 'it ran'</script>")
    return ws


@pytest.fixture(scope="module")
def site(shelves: Workspace) -> Iterator[Running]:
    """`freshet serve` on it."""
    with running(shelves.root) as server:
        yield server


@pytest.fixture(scope="module")
def opened(site: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser for all tests of this file."""
    with browsing(site.url, tmp_path_factory.mktemp("profile") / "explorer") as found:
        found.go()
        yield found


@pytest.fixture
def browser(opened: Browser) -> Browser:
    """The browser as it was at first."""
    opened.driver.get("about:blank")
    opened.show(WIDE)
    opened.complaints()
    return opened


def items(ws: Workspace) -> dict[str, str]:
    """Titles by id."""
    table = pq.read_table(ws.config.events.items)
    return dict(zip(table["item_id"].to_pylist(), table["title"].to_pylist(), strict=True))


def test_somebody_plays(browser: Browser, site: Running, shelves: Workspace) -> None:
    browser.go("playground")
    assert "this is what somebody unknown is shown" in browser.text
    before = [heading.text for heading in _all(browser, "article h3")]
    assert len(before) == 5
    assert _all(browser, "article ol.items li"), "items are shown"

    # search as one types
    title = next(iter(items(shelves).values()))
    browser.find("#q").send_keys(title.lower())
    _sees(browser, f"“{title.lower()}”", "#count")
    browser.until(lambda: title in _text(browser, "#found"), f"{title} is not found")

    # click what they liked: what comes next follows, and the search stays
    browser.find("#found button").click()
    _sees(browser, title, "ol.history")
    _sees(browser, "After '", "article")
    after = [heading.text for heading in _all(browser, "article h3")]
    assert after != before
    assert "liked=" in browser.driver.current_url or "add=" in browser.driver.current_url
    assert browser.find("#q").get_attribute("value") == title.lower()

    # a second one, by keyboard alone
    field = browser.find("#q")
    field.clear()
    field.send_keys("the")
    _sees(browser, "“the”", "#count")
    field.send_keys(Keys.TAB)
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    browser.until(lambda: len(_all(browser, "ol.history li")) == 2, "the second item is not liked")

    # the address says it all: a reload shows the same
    shown = [heading.text for heading in _all(browser, "article h3")]
    browser.driver.refresh()
    browser.until(lambda: len(_all(browser, "ol.history li")) == 2, "what was liked is forgotten")
    assert [heading.text for heading in _all(browser, "article h3")] == shown

    # parts of a score open, and an item goes again
    browser.find("article details summary").click()
    _sees(browser, "what others moved on to (counts)", "article table")
    browser.find("#remove-1").click()
    browser.until(lambda: len(_all(browser, "ol.history li")) == 1, "the item is not removed")
    browser.find("#clear").click()
    browser.until(
        lambda: [heading.text for heading in _all(browser, "article h3")] == before, "not as at first"
    )
    assert browser.complaints() == []


def test_enter_in_the_search_removes_nothing(browser: Browser, site: Running, shelves: Workspace) -> None:
    item = next(iter(items(shelves)))
    browser.go(f"playground?liked={item}")
    browser.find("#q").send_keys("the", Keys.ENTER)
    _sees(browser, "“the”", "#count")
    browser.until(lambda: "q=the" in browser.driver.current_url, "Enter sends nothing")
    assert len(_all(browser, "ol.history li")) == 1


def test_exploring_draws(browser: Browser, site: Running) -> None:
    browser.go("playground")
    browser.find("summary").click()
    browser.find("#explore").click()
    browser.find("#show").click()
    _sees(browser, "Drawn at random")
    browser.find("#interests").clear()
    browser.find("#interests").send_keys("2", Keys.ENTER)
    browser.until(lambda: len(_all(browser, "article")) == 2, "not two interests")


def test_nobody_was_shown_anything(browser: Browser, site: Running) -> None:
    browser.go("playground?explore=on")
    metrics = site.client.get("/metrics").text
    assert "freshet_impressions_waiting 0" in metrics
    assert not [
        line
        for line in metrics.splitlines()
        if line.startswith("freshet_answers_total") and not line.endswith(" 0.0")
    ]


def test_interests_are_found_and_followed_over_time(browser: Browser, site: Running) -> None:
    browser.go("interests")
    [first, *_] = _all(browser, "#interests li a, #interests summary")
    if first.tag_name == "summary":
        first.click()
    name = browser.find("#interests li a").text
    browser.find("#q").send_keys(name.split()[0])
    _sees(browser, "Show all", "#interests")
    browser.find("#interests li a").click()
    _sees(browser, "What people move on to")
    _sees(browser, "How popular it was")  # loaded by itself
    drawn = "return arguments[0].complete && arguments[0].naturalWidth > 0"
    for image in _all(browser, "img.chart"):
        browser.driver.execute_script("arguments[0].scrollIntoView()", image)
        browser.until(lambda image=image: browser.driver.execute_script(drawn, image), "a chart is not drawn")
        assert image.get_attribute("alt")
    assert browser.complaints() == []


def test_a_context_is_chosen(browser: Browser, site: Running) -> None:
    browser.go("contexts")
    assert "After nothing recent" in browser.text
    names = [option.get_attribute("value") for option in _all(browser, "datalist option")]
    browser.find("#first").send_keys(names[1])
    browser.find("#last").send_keys(names[0], Keys.ENTER)
    _sees(browser, f"After {names[1]}, then {names[0]}")
    assert "First by all parts together" in browser.text
    assert browser.find("section table tbody tr")
    assert browser.complaints() == []


def test_a_report_runs_nothing(browser: Browser, site: Running) -> None:
    browser.go("reports")
    assert "No drift is shown." in browser.text
    assert "SIMULATED" in browser.text
    browser.find("article a").click()
    _sees(browser, "Drift", "h1")
    assert browser.driver.title == "t"  # its script did not run
    color = browser.find("h1").value_of_css_property("color")
    assert "255, 0, 0" in color  # its own style counts


@pytest.mark.parametrize("path", PAGES)
def test_everybody_can_use_it(browser: Browser, shelves: Workspace, path: str) -> None:
    for size, dark in ((PHONE, False), (PHONE, True), (WIDE, False), (WIDE, True)):
        browser.show(size, dark)
        browser.go(path.replace("{item}", next(iter(items(shelves)))))
        browser.until(lambda: not _all(browser, "[hx-trigger=load]"), "a part does not load")
        browser.driver.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert browser.overflow() <= 0, f"it scrolls sideways at {size}"
        assert browser.violations() == []
    assert browser.complaints() == []


def _all(browser: Browser, css: str) -> list[WebElement]:
    """Elements that there are now."""
    return browser.driver.find_elements(By.CSS_SELECTOR, css)


def _text(browser: Browser, css: str) -> str:
    """What a person reads there."""
    return "\n".join(element.text for element in _all(browser, css))


def _sees(browser: Browser, text: str, css: str = "main") -> None:
    """Wait until a person reads it there."""
    browser.until(lambda: text in _text(browser, css), f"{text!r} in {css}")
