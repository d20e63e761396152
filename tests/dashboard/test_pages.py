"""Pages of runs, releases and reviews, asked for in process."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from freshet import operations, pipeline
from freshet.core.errors import FreshetError, GateFailed
from freshet.core.types import AsOf
from freshet.dashboard import live_run
from freshet.stages.table import churn_gate, crowd_gate
from freshet.storage.ledger import Record
from freshet.storage.workspace import Workspace
from tests.dashboard.conftest import CALM, settings_of
from tests.dashboard.visitor import Visitor
from tests.pipeline.world import workspace

pytestmark = pytest.mark.slow
THIRD = AsOf.parse("2024-02-26")
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def test_a_client_that_leaves_in_the_middle_of_a_form_leaves_no_traceback(shop: Workspace) -> None:
    """A server that is told of it raises what it raises in the application, where nothing catches it."""
    app = Visitor(shop.root).app
    parts = iter([{"type": "http.request", "body": b"key=", "more_body": True}, {"type": "http.disconnect"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(parts)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [
        (b"host", b"shop"),
        (b"origin", b"http://shop"),
        (b"content-type", b"application/x-www-form-urlencoded"),
    ]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/dashboard/login",
        "query_string": b"",
    }
    scope |= {"raw_path": b"/dashboard/login", "root_path": "", "scheme": "http", "headers": headers}
    asyncio.run(app(scope | {"client": ("127.0.0.1", 1), "server": ("shop", 80)}, receive, send))
    assert sent[0]["status"] == 400


def test_every_run_has_a_page(shop: Workspace) -> None:
    visitor = Visitor(shop.root)
    listed = visitor.get("runs").text
    for record in shop.ledger.records():
        assert f"/dashboard/runs/{record.id}" in listed
        page = visitor.get(f"runs/{record.id}").text
        assert "it ended well" in page
        for step in record.steps:
            assert step.name in page
    assert "there is no run" in visitor.get("runs/00099", 404).text
    visitor.get("runs/..%2f..%2fetc", 404)
    visitor.get("runs?page=999999")
    assert "page is" in visitor.get("runs?page=x", 422).text


def test_what_a_run_says_is_on_its_page(shop: Workspace) -> None:
    page = Visitor(shop.root).get("runs/00003").text
    assert "release 2 is current" in page


def test_releases_are_listed_compared_and_rolled_back(copy: Workspace) -> None:
    visitor = Visitor(copy.root)
    assert "serves" in visitor.get("releases").text
    compared = visitor.get("releases/compare?a=1&b=2").text
    assert "Contexts in both" in compared
    assert "What changed most" in compared
    moved = visitor.send("releases/1/rollback", "releases/1", by="Ada", reason="too many new things")
    assert moved.headers["location"].startswith("/dashboard/releases/1?said=Release+1+serves+again")
    page = visitor.get(moved.headers["location"].removeprefix("/dashboard/")).text
    assert "Release 1 serves again instead of 2." in page
    assert copy.releases.pointer() == 1
    ((one, _),) = copy.decisions.rollbacks()
    assert (one.by, one.reason) == ("Ada", "too many new things")
    assert "by Ada" in page
    assert "too many new things" in visitor.get("reviews").text


def test_a_key_that_only_reads_sees_no_buttons_and_is_refused(copy: Workspace) -> None:
    visitor = Visitor(copy.root)
    visitor.log_in(visitor.key("read"))
    assert "needs a key of scope admin" in visitor.get("releases/1").text
    refused = visitor.send("releases/1/rollback", "releases/1", 403, by="Eve", reason="why not")
    assert "this needs a key of scope admin; yours has read" in refused.text
    assert copy.releases.pointer() == 2
    admin = Visitor(copy.root)
    admin.log_in(admin.key("admin", "boss"))
    admin.send("releases/1/rollback", "releases/1", by="Ada", reason="better")
    ((one, _),) = copy.decisions.rollbacks()
    assert one.by.startswith("Ada (key ")


def test_who_needs_no_key_may_only_look_where_others_reach_the_server(copy: Workspace) -> None:
    visitor = Visitor(copy.root, open_scope="read")
    refused = visitor.post("releases/1/rollback", 403, by="Eve", reason="why not")
    assert "may act" in refused.text or "not of this session" in refused.text
    visitor.get()
    assert "this very machine may act" in visitor.post("releases/1/rollback", 403, by="Eve", reason="x").text
    assert copy.releases.pointer() == 2


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Forwarded-Host"])
def test_who_comes_through_a_proxy_without_a_key_may_only_look(copy: Workspace, header: str) -> None:
    visitor = Visitor(copy.root)
    visitor.headers[header] = "for=192.0.2.1"
    visitor.get()
    assert "releases/1/rollback" not in visitor.get("releases/1").text
    visitor.post("releases/1/rollback", 403, by="Eve", reason="x")
    assert copy.releases.pointer() == 2
    del visitor.headers[header]
    assert "releases/1/rollback" in visitor.get("releases/1").text


@pytest.mark.parametrize("fields", [{}, {"by": "Ada"}, {"by": "Ada", "reason": " "}, {"by": "guardrail", "reason": "x"}])  # fmt: skip
def test_nothing_is_decided_without_a_name_and_a_reason(copy: Workspace, fields: dict[str, str]) -> None:
    visitor = Visitor(copy.root)
    page = visitor.send("releases/1/rollback", "releases/1", 422, **fields).text
    assert "missing" in page or "is no name of a person" in page
    assert copy.releases.pointer() == 2


@pytest.mark.parametrize("reason", ["a\x1b[2Jb", "a\x00b", "a\x9bb"])
def test_a_reason_holds_no_control_characters(copy: Workspace, reason: str) -> None:
    """Terminals that show the ledger would obey them."""
    visitor = Visitor(copy.root)
    page = visitor.send("releases/1/rollback", "releases/1", 422, by="Ada", reason=reason).text
    assert "control characters" in page
    assert copy.releases.pointer() == 2


def test_a_busy_workspace_says_who_holds_it(copy: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freshet.dashboard.acting.WAIT", "0")
    with copy.hold("refresh --by-hand"):
        page = Visitor(copy.root).send("releases/1/rollback", "releases/1", 409, by="Ada", reason="x").text
    assert "is writing to this workspace" in page
    assert "refresh --by-hand" in page


def test_a_halted_model_is_shown_with_its_evidence_and_approved(halted: Workspace) -> None:
    visitor = Visitor(halted.root)
    run = halted.ledger.records()[-1].id
    page = visitor.get(f"runs/{run}").text
    assert "A gate halted this run" in page
    assert f"/dashboard/reviews/{run}" in page
    assert f"/dashboard/reviews/{run}" in visitor.get("reviews").text
    page = visitor.get(f"reviews/{run}").text
    assert "failed, halts" in page
    assert "at least 100.0%" in page
    assert "Examples of what went wrong" in page
    visitor.send(f"reviews/{run}/approve", f"reviews/{run}", by="Ada", reason="good enough for a test")
    record = halted.ledger.get(run)
    assert (record.outcome, record.reviewer) == ("approved", "Ada")
    assert halted.decisions.all()[-1].reason == "good enough for a test"
    page = visitor.get(f"reviews/{run}").text
    assert "good enough for a test" in page
    assert "Decide" not in page
    again = visitor.send(f"reviews/{run}/reject", "releases/1", 422, by="Ada", reason="x").text
    assert "only a waiting run can be rejected" in again


def test_a_halted_table_shows_what_would_change_and_is_rejected(
    copy: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(churn_gate, "repeat_run_floor", lambda *_: 0.0)  # so small a world is all chance
    ws = workspace(copy.root, settings_of(copy) + CALM)
    with pytest.raises(GateFailed):
        pipeline.refresh(ws, THIRD, publish=True)
    run = ws.ledger.records()[-1].id
    visitor = Visitor(ws.root)
    page = visitor.get(f"reviews/{run}").text
    assert "successors change at once" in page
    assert "What changed most" in page
    visitor.send(f"reviews/{run}/reject", f"reviews/{run}", by="Ada", reason="not now")
    assert ws.ledger.get(run).outcome == "rejected"


def test_a_table_whose_first_places_rest_on_new_users_shows_who_came_and_is_rejected(
    copy: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = crowd_gate.Resting("", 3, EVIL, 17, 12, 2517, 38, 2502, "2026-11-26", 2503)
    monkeypatch.setattr(crowd_gate, "borne_out", lambda _: 1.0)
    monkeypatch.setattr(crowd_gate, "resting", lambda *_: ([pushed], 41))
    with pytest.raises(GateFailed):
        pipeline.refresh(copy, THIRD, publish=True)
    run = copy.ledger.records()[-1].id
    visitor = Visitor(copy.root)
    page = visitor.get(f"reviews/{run}").text
    assert "new users alone brought there" in page
    assert "users without an interest" in page
    assert "2,502" in page
    assert "2026-11-26: 2,503" in page
    assert "What changed most" in page
    assert "successors change at once" not in page
    visitor.send(f"reviews/{run}/reject", f"reviews/{run}", by="Ada", reason="fake users")
    assert copy.ledger.get(run).outcome == "rejected"


def test_what_runs_and_people_say_acts_on_nobody(copy: Workspace) -> None:
    record = Record("00009", EVIL, "", "2026-01-05T00:00:00+00:00", "failed", message=f"{EVIL}\n  {EVIL}")
    record.settings = {EVIL: EVIL}
    copy.ledger.save(record)
    operations.roll_back(copy, 1, EVIL, EVIL)
    visitor = Visitor(copy.root)
    for path in ("", "runs", "runs/00009", "reviews", "releases", "releases/1", "releases/compare?a=1&b=2"):
        page = visitor.get(path).text
        assert "<script>alert" not in page
        assert "<img src=x" not in page
    for query in (f"releases/{EVIL}", f"runs/{EVIL}", f"runs?page={EVIL}", f"login?next={EVIL}"):
        assert "<script>alert" not in visitor.ask("GET", query).text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("runs/00003.json", "{"),
        ("runs/00003.json", "[]"),
        ("releases/1.json", "{}"),
        ("CURRENT", "x"),
        ("decisions/00009-1.json", "{"),
    ],
)
def test_what_is_damaged_is_a_message_not_a_fault(copy: Workspace, name: str, content: str) -> None:
    path = copy.root / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    visitor = Visitor(copy.root)
    for page in ("", "runs", "runs/00003", "releases", "releases/1", "reviews", "releases/compare?a=1&b=2"):
        found = visitor.ask("GET", page)
        assert found.status_code in (200, 404, 422), page
        assert "a bug" not in found.text


def test_a_lost_table_is_a_message(copy: Workspace) -> None:
    release = copy.releases.get(1)
    (copy.root / "tables" / release.table / "manifest.json").write_text("{}")
    visitor = Visitor(copy.root)
    page = visitor.get("releases/1").text
    assert "freshet doctor" in page
    visitor.get("releases/compare?a=1&b=2", 404)


def test_the_log_of_a_run_is_kept_and_bounded(copy: Workspace) -> None:
    def said() -> None:
        with copy.run("probe") as run:
            for number in range(6000):
                run.say(f"line {number} {EVIL}")
            raise FreshetError("it is over", hint="do something else")

    with pytest.raises(FreshetError):
        said()
    record = copy.ledger.records()[-1]
    lines = (copy.root / "logs" / f"{record.id}.jsonl").read_text().splitlines()
    assert len(lines) == 5000
    assert json.loads(lines[-1])["text"] == "further lines are not kept"
    page = Visitor(copy.root).get(f"runs/{record.id}").text
    assert "it is over" in page
    assert "do something else" in page
    assert "See to what the message names, then run the same command again" in page


def test_the_stream_of_a_run_ends_with_it_and_streams_are_bounded(
    shop: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = Visitor(shop.root)
    found = visitor.get("runs/00003/live")
    assert found.headers["content-type"].startswith("text/event-stream")
    assert found.headers["content-security-policy"]
    assert [line for line in found.text.splitlines() if line.startswith("event")] == [
        "event: live",
        "event: ended",
    ]
    assert "release 2 is current" in found.text
    visitor.get("runs/00099/live", 404)
    monkeypatch.setattr(live_run, "MOST", 0)
    assert "no more" in visitor.get("runs/00003/live", 503).text
