"""The page of real workspaces: what it says agrees with the ledger, and nothing from the log can break it."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from freshet import inspect, operations
from freshet.core.errors import GateFailed
from freshet.report import write_report
from freshet.simulator import SIMULATED
from freshet.stages.tuning import gates_of
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace

from . import worlds

SECTIONS = ["drives", "interests", "drift", "refreshes", "gates", "contexts", "data", "reading"]


class Page(HTMLParser):
    """Tags with their attributes, and the visible text."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = source
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(source)
        self.text = re.sub(r"[ \n\t]+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "style":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == "style":
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = worlds.make(tmp_path_factory.mktemp("counts"), "counts")
    worlds.publish_twice(ws)
    return ws


@dataclass(frozen=True)
class Story:
    """A workspace whose first run a gate halted, the page of that moment, and its pages after approval."""

    ws: Workspace
    halted: Page
    page: Page


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The planner's answers are drawn from a hash: it can't add anything to the counts."""
    into = tmp_path_factory.mktemp("planned")
    ws = worlds.make(into, "fake", least_recall=0.99)
    with pytest.raises(GateFailed):
        worlds.publish_twice(ws)
    halted = page_of(ws, into)
    (waiting,) = [record.id for record in ws.ledger.records() if record.outcome == "waiting"]
    operations.approve(ws, waiting, "Ada <ada@example.org>")
    worlds.publish_twice(ws)
    return Story(ws, halted, page_of(ws, into))


@pytest.fixture(scope="module")
def planned(story: Story) -> Workspace:
    return story.ws


@pytest.fixture(scope="module")
def planned_page(story: Story) -> Page:
    return story.page


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Nothing was run but the import."""
    return worlds.make(tmp_path_factory.mktemp("imported"), "counts")


def page_of(ws: Workspace, into: Path) -> Page:
    return Page(write_report(ws, into / "page.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(counted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return page_of(counted, tmp_path_factory.mktemp("page"))


def test_needs_nothing_but_itself(page: Page, planned_page: Page) -> None:
    for one in (page, planned_page):
        assert not [
            tag for tag, _ in one.tags if tag in ("script", "link", "img", "iframe", "object", "base")
        ]
        assert not re.search(r"@import|@font-face|url\((?!#)", one.source)
        for _, attributes in one.tags:
            assert "src" not in attributes
            assert (attributes.get("href") or "#").startswith("#")
            assert not [name for name in attributes if name.startswith("on")]
        assert len(one.source) < 1_500_000


def test_sections_in_order(page: Page) -> None:
    assert [section["id"] for section in page.all("section")] == SECTIONS


def test_text_of_items_and_events_is_escaped(page: Page) -> None:
    assert "<script>" not in page.source
    assert worlds.BAD_USER not in page.source
    assert worlds.TITLE in page.text  # as a reader sees it, emoji included
    assert worlds.BAD_USER in page.text


def test_charts_and_tables_can_be_read_without_seeing_them(page: Page, planned_page: Page) -> None:
    for one in (page, planned_page):
        charts = one.all("svg")
        assert len(charts) >= 6
        assert all(chart["role"] == "img" and len(chart["aria-label"] or "") > 30 for chart in charts)
        assert len(one.all("caption")) == len(one.all("table"))
        assert all(cell.get("scope") in ("col", "row") for cell in one.all("th"))


def test_ids_are_unique_and_references_meet_them(page: Page) -> None:
    ids = Counter(attributes["id"] for _, attributes in page.tags if attributes.get("id"))
    assert max(ids.values()) == 1
    links = [(link["href"] or "")[1:] for link in page.all("a")]
    assert set(links) | set(re.findall(r"url\(#([\w-]+)\)", page.source)) <= set(ids)


def test_equal_workspaces_give_equal_bytes(counted: Workspace, tmp_path: Path) -> None:
    first = write_report(counted, tmp_path / "first.html")
    assert write_report(counted, tmp_path).name == "report.html"
    assert first.read_bytes() == (tmp_path / "report.html").read_bytes()


def test_opens_with_what_serves(counted: Workspace, page: Page) -> None:
    release = counted.releases.current()
    assert release is not None
    assert release.number == 2
    assert "Release 2 is serving, as of 31 March 2024." in page.text
    assert "Counts only: no planner takes part in the ranking." in page.text
    diff = inspect.compare(counted, 1, 2)
    assert f"{diff.changed:,} of {diff.rows:,} rows have another top 5" in page.text


def test_a_planner_that_knows_nothing_is_told_so(planned_page: Page) -> None:
    assert "Counts win here: its fitted weight beside the counts is" in planned_page.text
    assert "its answers mean nothing" in planned_page.text


def test_rows_and_tokens_are_those_of_the_ledger(planned: Workspace, planned_page: Page) -> None:
    last = planned.ledger.records()[-1]
    inferred = next(step.details for step in last.steps if step.name == "inference")
    assert 0 < inferred["changed"] < inferred["rows"]
    copied = inferred["rows"] - inferred["changed"]
    assert (
        f"The planner answered {inferred['changed']} of {inferred['rows']} rows anew and copied {copied}"
        in (planned_page.text)
    )
    assert f"{sum(step.tokens for step in last.steps):,} tokens" in planned_page.text


def test_gates_stand_beside_their_thresholds(planned: Workspace, planned_page: Page) -> None:
    (model,) = planned.store.versions("gates")
    gates = planned.store.find("gates", model)
    assert gates is not None
    recall = gates.manifest["report"]["recall"]
    for value in recall.values():
        assert f"{value * 100:.1f}\u202f%" in planned_page.text
    for gate in gates_of(gates.manifest["report"]):
        assert gate.measured in planned_page.text
        assert gate.verdict in planned_page.text
    assert "not measured" in planned_page.text  # it can't write: a gate that applies and can't run fails
    assert "counts win here" in planned_page.text


def test_every_interest_is_listed_with_its_figures(counted: Workspace, page: Page) -> None:
    release = counted.releases.current()
    assert release is not None
    for line in inspect.listing(counted, release.interests).interests:
        assert (
            f"{line.description} {line.items} {line.traffic * 100:.1f}\u202f% {line.coherence:.2f}"
            in page.text
        )


def test_quarantine_is_told_by_reason(page: Page) -> None:
    assert "Rows that could not be used." in page.text
    table = page.text.split("Rows that could not be used.")[1].split("Items by how")[0]
    assert sum(int(rows) for rows in re.findall(r" (\d+) \{", table)) == 3


def test_contexts_show_prompt_and_probabilities(planned: Workspace, planned_page: Page) -> None:
    prompts = re.findall(r"liked : .*? ; next :", planned_page.text)
    assert len(prompts) >= 3
    opened = inspect.open_release(planned)
    nobody = inspect.explain(planned, [], opened=opened)
    assert nobody.prompt is None, "no interest to plan from: counts answer"
    assert f"{nobody.successors[0].fused * 100:.1f}\u202f%" in planned_page.text
    names = re.findall(r"^liked : (.*?) ;", prompts[-1])[0].split(" | ")
    told = inspect.explain(planned, names, opened=opened)
    assert told.prompt in prompts
    assert f"{told.successors[0].fused * 100:.1f}\u202f%" in planned_page.text
    assert told.provenance.fingerprint is not None
    assert told.provenance.fingerprint in planned_page.text


def test_a_halted_first_run_has_a_page_too(story: Story) -> None:
    page = story.halted
    assert "Nothing is serving yet" in page.text
    assert re.search(r"Run \d+ waits for review: gate failed: .*recall", page.text)
    assert "✗ failed" in page.text
    assert "happened:" in page.text
    assert [section["id"] for section in page.all("section")] == SECTIONS


def test_says_who_approved_a_failed_gate(planned_page: Page) -> None:
    assert "was approved by Ada <ada@example.org>" in planned_page.text
    assert "waits for review" not in planned_page.text


def test_churn_stands_beside_its_floor(planned: Workspace, planned_page: Page) -> None:
    moved = next(step.details for step in planned.ledger.records()[-1].steps if step.name == "churn")
    shown = [f"{moved[name] * 100:.1f}\u202f%" for name in ("churn", "churn_floor")]
    assert " ".join(shown) in planned_page.text


def test_an_imported_log_has_a_page_too(imported: Workspace, tmp_path: Path) -> None:
    page = page_of(imported, tmp_path)
    assert "Nothing is serving yet" in page.text
    assert "No interests have been built yet." in page.text
    assert "Rows that could not be used." in page.text


def test_says_whether_the_log_is_simulated(imported: Workspace, tmp_path: Path) -> None:
    shutil.copytree(imported.root, tmp_path, dirs_exist_ok=True)
    ws = open_workspace(tmp_path)
    assert SIMULATED in page_of(ws, tmp_path).text
    for file in (tmp_path / "data").glob("*.parquet"):
        pq.write_table(pq.read_table(file).replace_schema_metadata(None), file)
    unmarked = page_of(ws, tmp_path).text
    assert "SIMULATED" not in unmarked
    assert "Nothing marks the source files as simulated." in unmarked
    for file in (tmp_path / "data").iterdir():
        file.unlink()
    assert "can't tell whether the log was simulated" in page_of(ws, tmp_path).text
