"""Service levels: what is measured against what is promised, and what a person is told of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from freshet import pipeline
from freshet.backends.user_stores.lmdb_store import LmdbUserStore
from freshet.core.config import Config
from freshet.core.errors import FreshetError
from freshet.core.types import TRANSITION, AsOf, Signs, Staleness, Transitions
from freshet.inspect import Live, live_of, service_levels
from freshet.inspect.age_levels import events_level, evidence_level, live_levels, stream_levels
from freshet.inspect.drift_levels import drift_level, loss_level
from freshet.inspect.freshness import FOLDER, Freshness
from freshet.inspect.job_listing import schedule_view
from freshet.inspect.level_facts import Facts, Run, gather
from freshet.inspect.run_levels import damage_level, held_levels, last_run_level, review_level, schedule_level
from freshet.scheduling.outlook import State
from freshet.scheduling.scheduler import Stopped
from freshet.stages.schedule.since_refresh import DriftSince, LossByAge, drift_since, loss_by_age
from freshet.storage import ledger
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace
from freshet.streaming import SeenStream
from freshet.wiring import open_workspace
from tests.pipeline.world import FIRST, SECOND
from tests.scheduling.shops import Shop, fail

NOW = datetime(2026, 3, 10, 6, tzinfo=UTC)
RELEASE = Release(7, "2026-03-08", "t", "", "i", "00009", 6)


def facts(**changed: object) -> Facts:
    """A workspace in order: a release of two days ago, which knows all but a day of the log."""
    ago = NOW - timedelta(hours=3)
    done = Run("00009", "refresh", "done", "", ago, ago)
    whole = Facts(
        now=NOW,
        release=RELEASE,
        evidence=AsOf.parse(RELEASE.as_of).moment,
        looked=None,
        model=None,
        log_end=datetime(2026, 3, 10, tzinfo=UTC),
        freshness=None,
        attempts=(done,),
        waiting=(),
        live=None,
        streams=(),
        missing=(),
        set_aside=(),
        held="",
        targets=(),
        webhook=None,
        schedule=None,
    )
    return replace(whole, **changed)  # type: ignore[arg-type]


def config(**sections: dict[str, object]) -> Config:
    return Config.model_validate(sections)


@pytest.mark.parametrize(
    ("days", "state"),
    [(2.25, "ok"), (4.4, "ok"), (4.6, "warn"), (6.0, "warn"), (6.1, "breach"), (60, "breach")],
)
def test_evidence_may_be_twice_as_old_as_the_cadence(days: float, state: str) -> None:
    found = evidence_level(facts(evidence=NOW - timedelta(days=days)), config())
    assert (found.state, found.objective) == (state, 6.0)
    assert found.value == pytest.approx(days)


def test_an_objective_can_be_set_or_left_out() -> None:
    old = facts(evidence=NOW - timedelta(days=5))
    assert evidence_level(old, config(alerts={"evidence_days": 4})).state == "breach"
    assert evidence_level(old, config(alerts={"evidence_days": "off"})).state == "off"


def test_a_log_that_stands_still_is_told_once() -> None:
    """Nothing newer could be learned: the source is what somebody must look at."""
    still = facts(evidence=NOW - timedelta(days=40), log_end=NOW - timedelta(days=40))
    assert evidence_level(still, config()).state == "ok"
    assert events_level(still, config()).state == "breach"


def test_evidence_that_a_policy_still_finds_good_is_no_breach() -> None:
    by_drift = config(schedule={"policy": "drift"})
    old = facts(evidence=NOW - timedelta(days=30), looked=NOW - timedelta(days=1))
    assert evidence_level(old, by_drift).state == "ok"
    assert evidence_level(old, config()).state == "breach"
    assert evidence_level(replace(old, looked=NOW - timedelta(days=8)), by_drift).state == "breach"
    assert (
        evidence_level(old, config(schedule={"policy": "drift"}, alerts={"evidence_days": 9})).state
        == "breach"
    )


def test_events_that_are_served_but_not_yet_in_the_log_count() -> None:
    quiet = facts(log_end=NOW - timedelta(days=9))
    assert events_level(quiet, config()).state == "breach"
    assert events_level(replace(quiet, live=Live(NOW - timedelta(minutes=5))), config()).state == "ok"


def test_live_state() -> None:
    def state(live: Live | None) -> list[str]:
        return [one.state for one in live_levels(facts(live=live), config())]

    assert state(None) == []
    assert state(Live(NOW - timedelta(hours=1))) == ["ok"]
    assert state(Live(NOW - timedelta(hours=25))) == ["breach"]
    assert state(Live(None)) == ["unknown"]
    assert state(Live(None, "the disk is gone")) == ["breach"]


def test_streams() -> None:
    def states(behind: int, minutes: int) -> list[str]:
        seen = (NOW - timedelta(minutes=minutes)).isoformat()
        stream = SeenStream("s", {}, 9, 9, 0, 0, 0, {"0": behind, "1": 0}, seen, None)
        return [one.state for one in stream_levels(facts(streams=(stream,)), config())]

    assert states(0, 1) == ["ok", "ok"]
    assert states(200_000, 1) == ["ok", "breach"]
    assert states(0, 120) == ["breach", "ok"]
    unseen = SeenStream("s", {}, 9, 9, 0, 0, 0, None, None, None)
    assert [one.state for one in stream_levels(facts(streams=(unseen,)), config())] == ["unknown", "ok"]


def measured(p: float, loss: tuple[float, float], *, at_refresh: bool = False) -> Freshness:
    drift = DriftSince(2, 500, 3.0, 2.5, p)
    by_age = LossByAge(*loss, transitions=5_000, longest=10)
    return Freshness(7, "c", "2026-03-08", "2026-03-10", at_refresh, drift, by_age, "")


def test_drift_beside_its_null() -> None:
    assert drift_level(facts(), config()).state == "unknown"
    assert drift_level(facts(freshness=measured(0.3, (0, 1))), config()).state == "ok"
    moved = drift_level(facts(freshness=measured(0.005, (0, 1))), config())
    assert (moved.state, moved.value, moved.objective) == ("warn", 3.0, 2.5)
    assert drift_level(facts(freshness=measured(0.005, (0, 1), at_refresh=True)), config()).state == "ok"


@pytest.mark.parametrize(
    ("slope", "error", "state"),
    [(0.001, 0.0001, "ok"), (0.01, 0.01, "warn"), (0.01, 0.001, "breach"), (-0.01, 0.001, "ok")],
)
def test_a_loss_is_a_breach_only_where_it_surely_is_one(slope: float, error: float, state: str) -> None:
    found = loss_level(facts(freshness=measured(0.5, (slope, error))), config())
    assert found.state == state
    assert found.value is not None
    assert found.value >= 0


def test_no_loss_is_claimed_for_an_age_that_was_never_seen() -> None:
    by_age = LossByAge(0.001, 0.0001, 100, 10)
    assert by_age.per_thousand(10) == by_age.per_thousand(400)


def test_failures_in_a_row_are_counted_and_the_last_one_speaks() -> None:
    def run(id: str, outcome: str, message: str = "") -> Run:
        return Run(id, "run", outcome, message, NOW, NOW)

    broken = last_run_level(
        facts(
            attempts=(
                run("00003", "failed", "no route\n  hint"),
                run("00002", "interrupted"),
                run("00001", "done"),
            )
        )
    )
    assert (broken.state, broken.value) == ("breach", 2)
    assert "run 00003 (freshet run) failed" in broken.sentence
    assert "no route" in broken.sentence
    assert "hint" not in broken.sentence
    assert last_run_level(facts(attempts=(run("00004", "done"), run("00003", "failed")))).state == "ok"
    assert last_run_level(facts(attempts=(run("00004", "waiting", "gate"),))).state == "warn"
    assert last_run_level(facts(attempts=())).state == "unknown"


def test_a_review_warns_at_once_and_is_late_after_its_days() -> None:
    def waits(days: float) -> str:
        run = Run("00005", "refresh", "waiting", "churn", NOW, NOW - timedelta(days=days))
        return review_level(facts(waiting=(run,)), config()).state

    assert (waits(0.1), waits(1.9), waits(2.1)) == ("warn", "warn", "breach")
    assert review_level(facts(), config()).state == "ok"


def test_damage_and_what_a_guardrail_holds_back() -> None:
    assert damage_level(facts()).state == "ok"
    assert damage_level(facts(set_aside=("tables/x",))).state == "warn"
    assert damage_level(facts(missing=("rankers/x",))).state == "breach"
    assert [one.state for one in held_levels(facts(held="arm b harms"))] == ["breach"]
    assert list(held_levels(facts())) == []


def signs(rng: np.random.Generator, moved: bool, days: int = 28, age: int = 7, a_day: int = 60) -> Signs:
    """SIMULATED moves between six interests; `moved`: since the refresh, another one follows each."""
    day = np.repeat(np.arange(days), a_day).astype(np.int32)
    n = len(day)
    last = rng.integers(0, 6, n).astype(np.int16)
    usual = (last + 1 + (moved & (day >= days - age)) * 2) % 6
    chance = (last + rng.integers(1, 6, n)) % 6  # a successor is never what came last
    successor = np.where(rng.random(n) < 0.5, usual, chance).astype(np.int16)
    recent = np.full((n, 10), -1, np.int16)
    recent[:, -1] = last
    time = day.astype(np.int64) * 86_400_000_000
    rows = Transitions(
        rng.integers(0, 400, n).astype(np.uint64), time, recent, successor, np.zeros((n, 6), bool)
    )
    return Signs(days, (0, days - age), 7, rows, float(a_day), Staleness.none(), 0.0)


def test_drift_is_found_where_it_is_and_not_where_it_is_not() -> None:
    rng = np.random.default_rng(0)
    found = drift_since(signs(rng, moved=True))
    assert found is not None
    assert found.statistic > 2 * found.null
    assert found.p_value == pytest.approx(0.005)
    false = [drift_since(signs(rng, moved=False)) for _ in range(20)]
    assert sum(one is not None and one.p_value <= 0.05 for one in false) <= 4
    assert drift_since(replace(signs(rng, moved=True), day=21)) is None  # nothing since the refresh


def test_loss_by_age_is_the_slope_with_an_interval_that_holds_it() -> None:
    rng, slope = np.random.default_rng(1), 0.02
    age = rng.integers(0, 8, 6_000).astype(np.int32)
    lost = rng.random(6_000) < slope * age
    day = (20 + np.arange(6_000) % 8).astype(np.int32)
    nll = np.zeros(6_000)
    staleness = Staleness(
        rng.integers(0, 500, 6_000).astype(np.uint64), day, age, ~lost, np.ones(6_000, bool), nll, nll
    )
    found = loss_by_age(replace(signs(rng, moved=False), refreshes=(0, 10), staleness=staleness))
    assert found is not None
    assert abs(found.value - slope) < 4 * found.error
    assert found.error < slope / 4
    assert loss_by_age(signs(rng, moved=False)) is None


def test_a_workspace_is_measured_once_per_log_and_release(counted: Workspace, tmp_path: Path) -> None:
    shutil.copytree(counted.root, tmp_path / "ws")
    ws = open_workspace(tmp_path / "ws")
    pipeline.refresh(ws, FIRST, publish=True)
    now = SECOND.moment + timedelta(hours=6)
    before = service_levels(ws, now, measure=False)
    assert before.freshness is None
    assert not (ws.root / FOLDER).exists()
    first = service_levels(ws, now)
    assert first.freshness is not None
    assert first.freshness.why  # the first refresh: nothing is known yet
    assert (last := first.find("last_run")) is not None
    assert last.state == "ok"

    with ws.run("plan") as run:  # counts what came since, as the next run does
        pipeline.context_of(ws, run, SECOND)
    second = service_levels(ws, now)
    assert second.freshness is not None
    assert second.freshness.drift is not None
    assert (second.freshness.since, second.freshness.until) == (str(FIRST), str(SECOND))
    assert not second.freshness.at_refresh
    assert service_levels(ws, now, measure=False) == second
    (ws.root / FOLDER / "freshness.json").write_text("{}")
    assert service_levels(ws, now) == second

    pipeline.refresh(ws, SECOND, publish=True)
    third = service_levels(ws, now)
    assert third.freshness is not None
    assert third.freshness.at_refresh
    assert third.freshness.drift == second.freshness.drift


def test_what_is_missing_is_a_breach(counted: Workspace, tmp_path: Path) -> None:
    shutil.copytree(counted.root, tmp_path / "ws")
    ws = open_workspace(tmp_path / "ws")
    pipeline.refresh(ws, FIRST, publish=True)
    release = ws.releases.current()
    assert release is not None
    shutil.rmtree(next((ws.root).glob(f"**/{release.overlay}")))
    (ws.root / "runs" / "00099.json").write_text(json.dumps({"id": 3}))
    found = service_levels(ws, SECOND.moment, measure=False)
    assert found.state == "breach"
    assert (damage := found.find("damage")) is not None
    assert release.overlay in damage.sentence
    assert "runs/00099.json" in damage.sentence


def test_a_review_and_a_failure_behind_many_collects_are_seen(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.run("refresh", lambda _, run: run.end("waiting", "churn"))
    with pytest.raises(FreshetError):
        shop.run("run", lambda *_: fail())
    collected = shop.run("collect")
    for number in range(4, 560):
        shop.open().ledger.save(replace(collected, id=f"{number:05d}"))
    found = gather(shop.open(), shop.now, None, measure=False)
    assert [one.id for one in found.waiting] == ["00001"]
    assert [one.outcome for one in found.attempts] == ["failed", "waiting"]
    later = gather(shop.open(), shop.now + timedelta(days=401), None, measure=False)
    assert later.attempts == ()


def test_a_run_that_somebody_stopped_is_no_failure(tmp_path: Path) -> None:
    def stop(_: str, __: ledger.Run) -> None:
        raise Stopped("stopped by SIGTERM")

    shop = Shop(tmp_path)
    shop.run("run")
    with pytest.raises(Stopped):
        shop.run("run", stop)
    assert last_run_level(gather(shop.open(), shop.now, None, measure=False)).state == "ok"
    with pytest.raises(FreshetError):
        shop.run("run", lambda *_: fail())
    assert last_run_level(gather(shop.open(), shop.now, None, measure=False)).value == 1


def test_an_event_that_arrives_late_does_not_age_what_serving_remembers(tmp_path: Path) -> None:
    users = LmdbUserStore(tmp_path, 1)
    assert live_of(users).last_event is None
    times = [NOW - timedelta(days=3), NOW - timedelta(minutes=1), NOW - timedelta(days=2)]
    bodies = [(round(one.timestamp() * 1e6), 1, -1, -1) for one in times]
    users.events.append([np.array([body], TRANSITION).tobytes() + b"more" for body in bodies])
    assert live_of(users).last_event == NOW - timedelta(minutes=1)
    users.close()


def test_a_job_that_is_held_back_is_told_with_why_and_until_when(tmp_path: Path) -> None:
    view = schedule_view(Shop(tmp_path).open(), NOW)
    held = replace(
        view.jobs[-1],
        job="fast",
        state=State.BLACKOUT,
        next_at=NOW,
        why="nothing begins in a blackout",
        overdue=False,
    )
    level = schedule_level(facts(schedule=replace(view, jobs=(held,))))
    assert level.state == "ok"
    assert (
        level.sentence == f"the fast path waits until {NOW:%Y-%m-%d %H:%M} UTC: nothing begins in a blackout"
    )
