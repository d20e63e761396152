"""Exploring in a real browser, on a real server: somebody clicks through the playground and the other pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from selenium.webdriver.common.keys import Keys

from freshet import operations, pipeline
from freshet.storage.workspace import Workspace
from tests.dashboard.explore_browser import Browser
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


def items(ws: Workspace) -> dict[str, str]:
    """Titles by id."""
    table = pq.read_table(ws.config.events.items)
    return dict(zip(table["item_id"].to_pylist(), table["title"].to_pylist(), strict=True))


def test_somebody_plays(browser: Browser, site: Running, shelves: Workspace) -> None:
    browser.open(f"{site.url}/dashboard/playground")
    assert "this is what somebody unknown is shown" in browser.text()
    before = [heading.text for heading in browser.all("article h3")]
    assert len(before) == 5
    assert browser.all("article ol.items li"), "items are shown"

    # search as one types
    title = next(iter(items(shelves).values()))
    browser.one("#q").send_keys(title.lower())
    browser.wait_for(f"“{title.lower()}”", "#count")
    browser.wait(lambda: title in browser.text("#found"), f"{title} is not found")

    # click what they liked: what comes next follows, and the search stays
    browser.one("#found button").click()
    browser.wait_for(title, "ol.history")
    browser.wait_for("After '", "article")
    after = [heading.text for heading in browser.all("article h3")]
    assert after != before
    assert "liked=" in browser.driver.current_url or "add=" in browser.driver.current_url
    assert browser.one("#q").get_attribute("value") == title.lower()

    # a second one, by keyboard alone
    field = browser.one("#q")
    field.clear()
    field.send_keys("the")
    browser.wait_for("“the”", "#count")
    field.send_keys(Keys.TAB)
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    browser.wait(lambda: len(browser.all("ol.history li")) == 2, "the second item is not liked")

    # the address says it all: a reload shows the same
    shown = [heading.text for heading in browser.all("article h3")]
    browser.driver.refresh()
    browser.wait(lambda: len(browser.all("ol.history li")) == 2, "what was liked is forgotten")
    assert [heading.text for heading in browser.all("article h3")] == shown

    # parts of a score open, and an item goes again
    browser.one("article details summary").click()
    browser.wait_for("what others moved on to (counts)", "article table")
    browser.one("#remove-1").click()
    browser.wait(lambda: len(browser.all("ol.history li")) == 1, "the item is not removed")
    browser.one("#clear").click()
    browser.wait(lambda: [heading.text for heading in browser.all("article h3")] == before, "not as at first")
    assert browser.troubles() == []


def test_enter_in_the_search_removes_nothing(browser: Browser, site: Running, shelves: Workspace) -> None:
    item = next(iter(items(shelves)))
    browser.open(f"{site.url}/dashboard/playground?liked={item}")
    browser.one("#q").send_keys("the", Keys.ENTER)
    browser.wait_for("“the”", "#count")
    browser.wait(lambda: "q=the" in browser.driver.current_url, "Enter sends nothing")
    assert len(browser.all("ol.history li")) == 1


def test_exploring_draws(browser: Browser, site: Running) -> None:
    browser.open(f"{site.url}/dashboard/playground")
    browser.one("summary").click()
    browser.one("#explore").click()
    browser.one("#show").click()
    browser.wait_for("Drawn at random")
    browser.one("#interests").clear()
    browser.one("#interests").send_keys("2", Keys.ENTER)
    browser.wait(lambda: len(browser.all("article")) == 2, "not two interests")


def test_nobody_was_shown_anything(browser: Browser, site: Running) -> None:
    browser.open(f"{site.url}/dashboard/playground?explore=on")
    metrics = site.client.get("/metrics").text
    assert "freshet_impressions_waiting 0" in metrics
    assert not [
        line
        for line in metrics.splitlines()
        if line.startswith("freshet_answers_total") and not line.endswith(" 0.0")
    ]


def test_interests_are_found_and_followed_over_time(browser: Browser, site: Running) -> None:
    browser.open(f"{site.url}/dashboard/interests")
    [first, *_] = browser.all("#interests li a, #interests summary")
    if first.tag_name == "summary":
        first.click()
    name = browser.one("#interests li a").text
    browser.one("#q").send_keys(name.split()[0])
    browser.wait_for("Show all", "#interests")
    browser.one("#interests li a").click()
    browser.wait_for("What people move on to")
    browser.wait_for("How popular it was")  # loaded by itself
    drawn = "return arguments[0].complete && arguments[0].naturalWidth > 0"
    for image in browser.all("img.chart"):
        browser.driver.execute_script("arguments[0].scrollIntoView()", image)
        browser.wait(lambda image=image: browser.driver.execute_script(drawn, image), "a chart is not drawn")
        assert image.get_attribute("alt")
    assert browser.troubles() == []


def test_a_context_is_chosen(browser: Browser, site: Running) -> None:
    browser.open(f"{site.url}/dashboard/contexts")
    assert "After nothing recent" in browser.text()
    names = [option.get_attribute("value") for option in browser.all("datalist option")]
    browser.one("#first").send_keys(names[1])
    browser.one("#last").send_keys(names[0], Keys.ENTER)
    browser.wait_for(f"After {names[1]}, then {names[0]}")
    assert "First by all parts together" in browser.text()
    assert browser.one("section table tbody tr")
    assert browser.troubles() == []


def test_a_report_runs_nothing(browser: Browser, site: Running) -> None:
    browser.open(f"{site.url}/dashboard/reports")
    assert "No drift is shown." in browser.text()
    assert "SIMULATED" in browser.text()
    browser.one("article a").click()
    browser.wait_for("Drift", "h1")
    assert browser.driver.title == "t"  # its script did not run
    color = browser.one("h1").value_of_css_property("color")
    assert "255, 0, 0" in color  # its own style counts


@pytest.mark.parametrize("path", PAGES)
def test_everybody_can_use_it(browser: Browser, site: Running, shelves: Workspace, path: str) -> None:
    url = f"{site.url}/dashboard/{path.replace('{item}', next(iter(items(shelves))))}"
    with browser.phone():
        browser.open(url)
        _opened(browser)
        assert browser.too_wide() <= 0, "it scrolls sideways on a phone"
        with browser.dark():
            assert browser.violations() == []
    _opened(browser)
    assert browser.violations() == []
    with browser.dark():
        assert browser.violations() == []
    assert browser.troubles() == []


def _opened(browser: Browser) -> None:
    """Wait for what loads by itself, and unfold everything."""
    browser.wait(lambda: not browser.all("[hx-trigger=load]"), "a part does not load")
    browser.driver.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
