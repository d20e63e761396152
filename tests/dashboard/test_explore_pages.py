"""Pages to explore, asked in this process: what they show is what serves, and texts of others stay texts."""

from __future__ import annotations

import json
import re
import shutil
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freshet import operations, pipeline
from freshet.serving import Event, Query
from freshet.storage.workspace import Workspace
from freshet.wiring import open_recommender
from tests.dashboard.visitor import Visitor
from tests.pipeline.world import FIRST, NOW, SECOND, approving, settings, workspace

pytestmark = pytest.mark.slow  # a workspace is made
SCRIPT = "<script>alert('title')</script>"
IMAGE = "<img src=x onerror=alert(1)> & \"others'"


@pytest.fixture(scope="module")
def hostile(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace that serves; titles and names of interests are markup."""
    folder = tmp_path_factory.mktemp("hostile")
    items = pq.read_table(world / "items.parquet")
    titles = pa.array([f"{SCRIPT} {title}" for title in items["title"].to_pylist()])
    names = pa.array([f"{IMAGE} {number % 8}" for number in range(len(items))])
    items = items.set_column(items.schema.get_field_index("title"), "title", titles)
    (folder / "world").mkdir()
    shutil.copy(world / "events.parquet", folder / "world" / "events.parquet")
    pq.write_table(items.append_column("shelf", names), folder / "world" / "items.parquet")
    text = settings(folder / "world", interests='taxonomy = "shelf"')
    text = text.replace("[transitions]", '[transitions]\nnovelty_days = "ever"')  # the log is of years ago
    ws = workspace(folder / "ws", text)
    operations.import_log(ws, NOW)
    approving(lambda: pipeline.refresh(ws, FIRST, publish=True), ws)
    open_recommender(ws.root).close()  # as a server did before: histories are joined
    return ws


@pytest.fixture
def visitor(hostile: Workspace) -> Visitor:
    return Visitor(hostile.root)


class Elements(HTMLParser):
    """Names of elements of a page, and their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def first_item(ws: Workspace) -> str:
    return str(pq.read_table(ws.config.events.items)["item_id"][0].as_py())


@pytest.mark.parametrize(
    "path",
    [
        "playground",
        "playground?q=alert",
        "playground?liked={item}&q=%3Cscript%3E&user=",
        "playground?user=%3Cscript%3Ealert(1)%3C/script%3E",
        "playground?liked=%3Cscript%3Ealert(1)%3C/script%3E%0Aitem",
        "playground/items?q=alert",
        "interests",
        "interests?q=%3Cimg",
        "interests/0",
        "interests/0/over-time",
        "contexts",
        "contexts?first=1&last=0",
        "contexts?first=&last=%3Cscript%3E",
        "reports",
    ],
)
def test_texts_of_others_stay_texts(hostile: Workspace, visitor: Visitor, path: str) -> None:
    reply = visitor.ask("GET", path.replace("{item}", first_item(hostile)))
    assert reply.status_code in (200, 400, 404, 422), reply.text
    for tag, attributes in Elements(reply.text).found:
        assert tag != "img" or (attributes["src"] or "").startswith("/dashboard/interests/"), attributes
        assert tag != "script" or attributes.get("src"), "an inline script"
        assert tag != "style", "an inline style"
        assert not [name for name in attributes if name.startswith("on") or name == "style"], attributes
    assert "<script>alert" not in reply.text


def test_what_is_shown_is_what_serves(hostile: Workspace, visitor: Visitor) -> None:
    items = pq.read_table(hostile.config.events.items)["item_id"].to_pylist()[:3]
    page = unescape(visitor.get(f"playground?liked={'%0A'.join(items)}").text)
    recommender = open_recommender(hostile.root)
    answer = recommender.recommend(Query(history=tuple(items), interests=5, items=5, explain=True, log=False))
    recommender.close()
    shown = re.findall(r'<h3 id="i(\d+)">', page)
    assert [int(one) for one in shown] == [one.id for one in answer.interests]
    for one in answer.interests:
        assert one.description in page
        assert one.explanation is not None
        assert one.explanation["because"][1:] in page


def test_clicks_add_and_remove_and_order(hostile: Workspace, visitor: Visitor) -> None:
    def liked(path: str) -> list[str]:
        [held] = [a["value"] for tag, a in Elements(visitor.get(path).text).found if a.get("name") == "liked"]
        return (held or "").split()

    a, b, c = pq.read_table(hostile.config.events.items)["item_id"].to_pylist()[:3]
    assert liked("playground") == []
    assert liked(f"playground?liked={a}&add={b}") == [a, b]
    assert liked(f"playground?liked={a}%0D%0A{b}%0A{a}&add={c}") == [a, b, c]  # as browsers send lines
    assert liked(f"playground?liked={a}%0A{b}&add={a}") == [b, a]  # clicked again: the latest
    assert liked(f"playground?liked={a}%0A{b}&drop={a}") == [b]
    assert liked(f"playground?liked={a}%0A{b}&drop={c}") == [a, b]
    assert liked(f"playground?liked={a}%0A{b}&clear=1") == []
    many = "%0A".join(f"item{number}" for number in range(80))
    assert len(liked(f"playground?liked={many}")) == 50


def test_looking_leaves_no_trace(hostile: Workspace, visitor: Visitor) -> None:
    def content() -> dict[str, bytes]:
        files = [path for path in hostile.root.rglob("*") if path.is_file() and path.name != "lock.mdb"]
        return {path.relative_to(hostile.root).as_posix(): path.read_bytes() for path in files}

    before = content()
    user = pq.read_table(hostile.config.events.files[0])["user_id"][0].as_py()
    for path in ("playground?explore=on", f"playground?user={user}", "interests/1", "contexts?last=1"):
        visitor.get(path)
    assert content() == before


def test_a_user_is_answered_by_what_is_remembered_of_them(hostile: Workspace, visitor: Visitor) -> None:
    user = pq.read_table(hostile.config.events.files[0])["user_id"][0].as_py()
    recommender = open_recommender(hostile.root)
    answer = recommender.recommend(Query(user=user, interests=5, log=False))
    recommender.close()
    page = visitor.get(f"playground?user={user}").text
    assert answer.context, "a user of the log has a context"
    shown = re.findall(r'<h3 id="i(\d+)">', page)
    assert [int(one) for one in shown] == [one.id for one in answer.interests]


def test_what_was_just_recorded_counts_at_once(hostile: Workspace, tmp_path: Path) -> None:
    root = Path(shutil.copytree(hostile.root, tmp_path / "busy"))
    visitor = Visitor(root)
    assert "answered by what is popular" in visitor.get("playground?user=newcomer").text
    server = open_recommender(root)  # another process's, as far as the dashboard knows
    [receipt] = server.record([Event("newcomer", first_item(hostile), value=9.0)])
    server.close()
    assert receipt.status == "recorded"
    assert "answered by the last interest" in visitor.get("playground?user=newcomer").text


def test_pages_follow_what_serves(hostile: Workspace, tmp_path: Path) -> None:
    ws = workspace(
        Path(shutil.copytree(hostile.root, tmp_path / "next")), (hostile.root / "freshet.toml").read_text()
    )
    visitor = Visitor(ws.root)
    paths = ("playground", "interests", "interests/1")
    assert all("elease 1" in visitor.get(path).text for path in paths)
    assert "<dt>Release</dt><dd>1," in visitor.get("contexts").text
    approving(lambda: pipeline.refresh(ws, SECOND, publish=True), ws)
    assert all("elease 2" in visitor.get(path).text for path in paths)
    assert "<dt>Release</dt><dd>2," in visitor.get("contexts").text
    ws.releases.point_to(1)
    assert all("elease 1" in visitor.get(path).text for path in paths)


def test_exploring_says_so(visitor: Visitor) -> None:
    page = visitor.get("playground?explore=on&interests=3").text
    assert "Drawn at random" in page
    assert page.count("drawn here with a chance of") == 3
    assert "Drawn at random" not in visitor.get("playground?interests=3").text


def test_charts_bring_both_colour_schemes_and_run_nothing(visitor: Visitor) -> None:
    for name in ("popularity", "successors"):
        reply = visitor.get(f"interests/0/{name}.svg")
        assert reply.headers["content-type"] == "image/svg+xml"
        assert "sandbox" in reply.headers["content-security-policy"]
        assert reply.text.startswith("<svg")
        assert "prefers-color-scheme: dark" in reply.text
        assert "<script" not in reply.text
        assert "<img" not in reply.text


def test_items_of_an_interest_are_paged(
    hostile: Workspace, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freshet.dashboard.pages.interests_page.ITEMS_A_PAGE", 4)
    pages = [visitor.get(f"interests/0?page={number}").text for number in (1, 2)]
    assert 'rel="next"' in pages[0]
    assert 'rel="prev"' in pages[1]
    titles = [set(re.findall(r'class="muted mono">([^<]+)<', page)) for page in pages]
    assert len(titles[0]) == 4
    assert not titles[0] & titles[1]
    assert (
        "None." in visitor.get("interests/0?page=999").text
        or "of" in visitor.get("interests/0?page=999").text
    )


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("interests/999", "no interest 999"),
        ("interests/x", "expected a number"),
        ("contexts?last=nothing-like-it", "there is no interest"),
        ("contexts?first=0&last=0", "one was given twice"),
        ("reports/replay/none", "no page of a report"),
        ("reports/..%2f..%2fetc/passwd", ""),
        ("reports/experiment/none", "no page of a report"),
    ],
)
def test_what_is_not_there_is_told(visitor: Visitor, path: str, said: str) -> None:
    reply = visitor.ask("GET", path)
    assert 400 <= reply.status_code < 500
    assert said in unescape(reply.text)
    assert "Traceback" not in reply.text


def test_a_report_is_shut_off(hostile: Workspace, tmp_path: Path) -> None:
    root = Path(shutil.copytree(hostile.root, tmp_path / "with"))
    (root / "drift").mkdir()
    document = {"log": {"from": "2024-01-01", "to": "2024-02-01", "simulated": True}, "answer": [SCRIPT]}
    (root / "drift" / "drift.json").write_text(json.dumps(document))
    (root / "drift" / "drift.html").write_text("<!doctype html><style>p{}</style><script>alert(1)</script>")
    visitor = Visitor(root)
    page = visitor.get("reports").text
    assert "SIMULATED" in page
    assert SCRIPT in unescape(page)
    assert SCRIPT not in page
    reply = visitor.get("reports/drift")
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("sandbox;")
    assert "script" not in policy
    assert "allow-" not in policy
    assert "<style>" in reply.text


def test_before_the_first_release_pages_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "freshet.toml").write_text('[planner]\nkind = "counts"\n')
    visitor = Visitor(tmp_path)
    for path in ("playground", "interests", "contexts"):
        reply = visitor.ask("GET", path)
        assert "no release is published yet" in reply.text
        assert "freshet run" in reply.text
    assert "There is none yet" in visitor.get("reports").text
