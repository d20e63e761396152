"""A halted run waits for a person, and what the person says holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshet import operations, pipeline
from freshet.core.errors import Busy, ConfigError, GateFailed
from freshet.stages import interests
from freshet.storage.workspace import Workspace
from tests.pipeline.world import FAKE, FIRST, INTERESTS, NOW, SECOND, copied, settings, workspace

STRICT = FAKE.replace("[gates]", "[gates]\nrecall = 1.0")


@pytest.fixture
def halted(world: Path, counted: Workspace, tmp_path: Path) -> Workspace:
    """A workspace whose first model failed its gate in run 00003."""
    ws = copied(counted, tmp_path / "ws", settings(world, "fake", STRICT))
    with pytest.raises(GateFailed, match=r"run 00003 waits: the tuned model failed the gate .*recall"):
        pipeline.refresh(ws, FIRST, publish=True)
    return ws


def test_a_failed_gate_waits_and_shows_why(halted: Workspace) -> None:
    record = halted.ledger.get("00003")
    assert record.outcome == "waiting"
    assert record.waiting is not None
    report = record.waiting["report"]
    assert not report["passed"]
    assert report["gates"]["recall"]["threshold"] == 1.0
    assert set(report["recall"]) == {"planner", "popularity", "counts"}
    assert 1 <= len(report["failures"]) <= 5
    assert report["failures"][0]["prompt"].endswith("next :")
    assert halted.releases.current() is None
    assert len(halted.store.versions("tables")) == 1  # that of the plain counts


def test_approve_lets_the_next_run_go_on_without_tuning_again(halted: Workspace) -> None:
    approved = operations.approve(halted, "00003", "Ada")
    assert (approved.outcome, approved.reviewer) == ("approved", "Ada")
    assert halted.ledger.get("00003") == approved
    record = pipeline.refresh(halted, FIRST, publish=True)
    assert record.release == 1
    assert "tuning" not in [s.name for s in record.steps]
    with pytest.raises(ConfigError, match="is approved, only a waiting run can be rejected"):
        operations.reject(halted, "00003", "Ada")


def test_reject_is_final_for_this_model(halted: Workspace) -> None:
    operations.reject(halted, "00003", "Ada")
    for _ in range(2):
        with pytest.raises(GateFailed, match="was rejected"):
            pipeline.refresh(halted, FIRST, publish=True)
    assert [r.outcome for r in halted.ledger.records()] == ["done", "done", "rejected", "failed", "failed"]
    assert halted.releases.current() is None
    with pytest.raises(GateFailed, match="waits"):  # newer events make another model
        pipeline.refresh(halted, SECOND)


def test_any_of_several_halted_runs_may_be_approved(halted: Workspace) -> None:
    with pytest.raises(GateFailed):
        pipeline.refresh(halted, FIRST)
    operations.approve(halted, "00003", "Ada")
    assert pipeline.refresh(halted, FIRST, publish=True).release == 1


def test_the_fast_path_goes_on_with_the_old_model_while_the_new_one_waits_or_was_rejected(
    halted: Workspace,
) -> None:
    operations.approve(halted, "00003", "Ada")
    assert pipeline.run(halted, NOW, FIRST, publish=True).release == 1
    old = halted.releases.get(1).model
    text = (halted.root / "freshet.toml").read_text() + "\n[tuning]\nevery_days = 7\n"
    ws = workspace(halted.root, text)
    with pytest.raises(GateFailed, match="waits"):
        pipeline.run(ws, NOW, SECOND, publish=True)
    waiting = ws.ledger.records()[-1].id
    assert ws.releases.current() == ws.releases.get(1)
    for number, moment in ((2, SECOND), (3, SECOND.plus(4))):
        record = pipeline.run(ws, NOW, moment, publish=True)
        assert (record.outcome, record.release) == ("done", number)
        assert ws.releases.get(number).model == old
        if number == 2:
            operations.reject(ws, waiting, "Ada")


@pytest.fixture
def shaken(world: Path, counted: Workspace, tmp_path: Path) -> Workspace:
    """A release, and a table so different that it waits: most of what was offered is blocked."""
    ws = copied(counted, tmp_path / "ws")
    pipeline.refresh(ws, FIRST, publish=True)
    known = interests.load(ws.root / "interests" / ws.releases.get(1).interests)
    blocked = [str(i) for i in known.ids[: INTERESTS - 4]]
    text = settings(world, extra=f"[table]\nmax_churn = 0.01\nblocked = {blocked}\n".replace("'", '"'))
    ws = workspace(ws.root, text)
    with pytest.raises(GateFailed, match="top-5 successors changed at once"):
        pipeline.refresh(ws)
    return ws


def test_a_table_that_changed_too_much_waits_and_can_be_published(shaken: Workspace) -> None:
    halted = shaken.ledger.records()[-1]
    assert halted.outcome == "waiting"
    assert halted.waiting is not None
    assert halted.waiting["churn"] > 2 * halted.waiting["floor"]
    current = shaken.releases.current()
    assert current is not None
    assert current.number == 1
    approved = operations.approve(shaken, halted.id, "Ada")
    assert approved.release == 2
    assert shaken.releases.current() == shaken.releases.get(2)
    assert shaken.releases.get(2).table == halted.waiting["table"]
    assert pipeline.refresh(shaken).release == 2


def test_a_rejected_table_is_not_published_by_the_next_refresh(shaken: Workspace) -> None:
    operations.reject(shaken, shaken.ledger.records()[-1].id, "Ada")
    record = pipeline.refresh(shaken)
    assert (record.outcome, record.release) == ("done", None)
    current = shaken.releases.current()
    assert current is not None
    assert current.number == 1


def test_an_old_halted_table_does_not_replace_a_newer_release(shaken: Workspace) -> None:
    halted = shaken.ledger.records()[-1].id
    later = shaken.releases.publish("2024-12-31", shaken.releases.get(1).table, "", "", "00009")
    with pytest.raises(ConfigError, match="is newer than the table of run"):
        operations.approve(shaken, halted, "Ada")
    assert shaken.releases.current() == later
    assert shaken.ledger.get(halted).outcome == "waiting"


def test_nobody_decides_while_another_run_writes(shaken: Workspace) -> None:
    halted = shaken.ledger.records()[-1].id
    with shaken.run("refresh"):
        for review in (operations.approve, operations.reject):
            with pytest.raises(Busy):
                review(shaken, halted, "Ada")
        with pytest.raises(Busy):
            operations.roll_back(shaken)
    assert shaken.ledger.get(halted).outcome == "waiting"
    assert shaken.releases.pointer() == 1


def test_only_waiting_runs_are_reviewed(counted: Workspace, tmp_path: Path) -> None:
    ws = copied(counted, tmp_path / "ws")
    for review in (operations.approve, operations.reject):
        with pytest.raises(ConfigError, match="is done, only a waiting run"):
            review(ws, "00001", "Ada")
