"""What somebody on call reads on the first page, without having seen Freshet before."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import date

import pytest

from freshet import inspect, operations
from freshet.dashboard.overview_view import verdict
from freshet.dashboard.rendering import told
from freshet.experiments import canary
from freshet.experiments.guardrails.harm import GuardrailResult
from freshet.inspect.service_level import ServiceLevel
from freshet.stages.table import step as table
from freshet.storage.artifacts import committed
from freshet.storage.ledger import Record, StepRecord
from freshet.storage.workspace import Workspace
from tests.dashboard.conftest import settings_of
from tests.dashboard.visitor import Visitor
from tests.pipeline.world import workspace

DAY = date(2026, 11, 29)
TRIED = "[canary]\nshare = 0.3\n"


def test_a_broken_promise_leads_to_its_run_and_says_what_to_do_first() -> None:
    level = ServiceLevel("last_run", "breach", 1, 0, "", "run 00007 (freshet run) failed: no file", "00007")
    reason = verdict([level]).reasons[0]
    assert (reason.link, reason.to, reason.alert) == ("runs/00007", "run 00007", "FreshetRunFailed")
    assert "`freshet history 00007`" in reason.first
    kept = verdict([replace(level, state="ok", run="")]).reasons[0]
    assert (kept.link, kept.first, kept.alert) == ("runs", "", "")


def test_commands_in_messages_are_code_and_nothing_else_is_markup() -> None:
    assert told("do `freshet run`\n  or <b>wait</b>") == (
        "do <code>freshet run</code>; or &lt;b&gt;wait&lt;/b&gt;"
    )
    assert told("`<i>`\x1b") == "<code>&lt;i&gt;</code>\\x1b"


@pytest.mark.slow
def test_a_failed_run_says_what_serves_and_the_command_in_full(copy: Workspace) -> None:
    failed = Record("00009", "run", "", "2026-01-05T00:00:00+00:00", "failed", message="no file\n  give one")
    copy.ledger.save(failed)
    visitor = Visitor(copy.root)
    page = visitor.get("runs/00009").text
    assert f"<code>freshet run -w {copy.root}</code>" in page
    assert "Release 2 serves" in page
    first = visitor.get().text
    assert "/dashboard/runs/00009" in first
    assert "<code>freshet history 00009</code>" in first
    assert f"<code>-w {copy.root}</code>" in first


@pytest.mark.slow
def test_a_release_on_trial_is_told_with_what_it_did_and_how_it_ended(copy: Workspace) -> None:
    ws = workspace(copy.root, settings_of(copy) + TRIED)
    ws.releases.point_to(1)
    release = ws.releases.get(2)
    beside = table.Companions(release.overlay, release.ranker, release.feedback, release.users)
    with ws.run("refresh") as run:
        canary.publish(ws, run, committed(ws.store, "tables", release.table), beside)
    visitor = Visitor(ws.root)
    page = visitor.get().text
    assert "Release 2 is on trial" in page
    assert "30.0" in page
    assert "Nobody has looked yet" in page
    with ws.run("collect") as run, run.step("guard") as step:
        found = GuardrailResult("canary-2", "canary", "satisfied", -0.123, -0.2, 0.01, 0.0, False)
        step.details = {"judged": [asdict(found)], "splits": [], "problems": ["<b>odd</b>"]}
    page = visitor.get().text
    assert "-12.3" in page
    assert "&lt;b&gt;odd" in page
    operations.roll_back(ws, None, "Ada", "people <b>complain</b>")
    page = visitor.get().text
    assert "Release 2 was taken back" in page
    assert "people &lt;b&gt;complain" in page
    assert "freshet run --publish" in page


@pytest.mark.slow
def test_what_the_screen_held_back_is_on_the_first_page_and_in_status(copy: Workspace) -> None:
    current = copy.releases.current()
    assert current is not None
    record = copy.ledger.get(current.run)
    burst = {"day": "2026-11-26", "description": "birds", "held": 2490, "came": 2503, "established": 5}
    details = {"judged": 9000, "held_back": 2491, "users": 2491, "held_back_lately": 2490, "latest": [burst]}
    record.steps = [one for one in record.steps if one.name != "screen"]
    copy.ledger.save(record)
    assert inspect.status(copy, DAY).screen is None
    record.steps.append(StepRecord("screen", "screens/x", details=details))
    copy.ledger.save(record)
    found = inspect.status(copy, DAY).screen
    assert found is not None
    assert (found.held_back, found.users, found.lately) == (2491, 2491, 2490)
    assert "2,490 of 2,503, since 5 established users went there" in found.sentence
    assert "2,491 of 9,000 moves of new users" in Visitor(copy.root).get().text
