"""What is too old goes, by whole days; what is needed is never asked to go."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from freshet import operations, retention
from freshet.core import config
from freshet.core.errors import ConfigError
from freshet.retention import apply, retain, retain_daily
from freshet.stages.events import EventLog
from freshet.wiring import open_workspace

NOW = datetime(2024, 6, 1, tzinfo=UTC)
SETTINGS = '[planner]\nkind = "counts"\n[transitions]\nnovelty_days = 5\n[tuning]\nevery_days = 7\n'


def shop(root: Path, retention: str) -> Path:
    (root / "freshet.toml").write_text(f"{SETTINGS}[retention]\n{retention}\n")
    duckdb.sql(
        "SELECT 'u' || (i % 7) AS user_id, 'i' || i AS item_id, 1.0 AS value, "
        "TIMESTAMP '2024-01-01' + INTERVAL (i) HOUR AS timestamp FROM range(960) t(i)"
    ).write_parquet(str(root / "events.parquet"))
    EventLog(root).import_events(root / "events.parquet", config.Events(), now=NOW)
    return root


def test_events_go_by_whole_days(tmp_path: Path) -> None:
    ws = open_workspace(shop(tmp_path, "events_days = 10"))
    assert apply(ws, NOW).events == 960 - 240
    log = EventLog(tmp_path).snapshot()
    assert (log.rows, str(log.days[0].day), len(log.days)) == (240, "2024-01-31", 10)
    for day in log.days:
        day.verify()
    assert len(list((tmp_path / "events").glob("date=*/*.parquet"))) == 10
    assert apply(ws, NOW).events == 0


def test_what_went_does_not_come_in_again(tmp_path: Path) -> None:
    """Until `events_days` is raised or removed; rows read = kept + refused."""
    ws = open_workspace(shop(tmp_path, "events_days = 10"))
    assert apply(ws, NOW).events == 720
    quarantined = sorted(tmp_path.glob("quarantine/*"))
    report = EventLog(tmp_path).import_events(tmp_path / "events.parquet", config.Events(), now=NOW)
    assert (report.rows_read, report.added, report.duplicates) == (960, 0, 240)
    assert report.quarantined == {"older than [retention] keeps": 720}
    assert EventLog(tmp_path).snapshot().rows == 240
    assert sorted(tmp_path.glob("quarantine/*")) == quarantined
    _, again = operations.import_log(ws, NOW, [tmp_path / "events.parquet"])
    assert again.events[0].quarantined == {"older than [retention] keeps": 720}

    (tmp_path / "freshet.toml").write_text(f"{SETTINGS}[retention]\nevents_days = 20\n")
    _, raised = operations.import_log(open_workspace(tmp_path), NOW, [tmp_path / "events.parquet"])
    assert raised.events[0].added == 720


def test_a_file_of_old_events_alone_is_no_error(tmp_path: Path) -> None:
    ws = open_workspace(shop(tmp_path, "events_days = 10"))
    apply(ws, NOW)
    (tmp_path / "old.csv").write_text("user_id,item_id,timestamp,value\nu1,i1,2024-01-02T10:00:00Z,1\n")
    report = EventLog(tmp_path).import_events(tmp_path / "old.csv", config.Events(), now=NOW)
    assert (report.rows_read, report.added, sum(report.quarantined.values())) == (1, 0, 1)


def test_earlier_states_stay_where_nothing_is_old(tmp_path: Path) -> None:
    ws = open_workspace(shop(tmp_path, "events_days = 50"))
    (tmp_path / "more.csv").write_text("user_id,item_id,timestamp,value\nu1,i1,2024-02-09T10:00:00Z,1\n")
    EventLog(tmp_path).import_events(tmp_path / "more.csv", config.Events(), now=NOW)
    states = sorted(tmp_path.glob("events/log/*.json"))
    assert len(states) == 2
    assert apply(ws, NOW).events == 0
    assert sorted(tmp_path.glob("events/log/*.json")) == states


def test_nothing_goes_by_default(tmp_path: Path) -> None:
    ws = open_workspace(shop(tmp_path, ""))
    done = apply(ws, NOW + timedelta(days=9999))
    assert (done.events, done.impressions, done.quarantine, done.runs, done.receipts) == (0, 0, 0, 0, 0)
    assert EventLog(tmp_path).snapshot().rows == 960


def test_files_go_by_when_they_were_written(tmp_path: Path) -> None:
    ws = open_workspace(shop(tmp_path, "quarantine_days = 30\nimpressions_days = 3"))
    old, new = tmp_path / "quarantine" / "old.parquet", tmp_path / "quarantine" / "new.parquet"
    for path, age in ((old, 31), (new, 29)):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
        when = (NOW - timedelta(days=age)).timestamp()
        os.utime(path, (when, when))
    import pyarrow.parquet as pq

    from freshet.experiments.measurement.impression_files import SHOWN

    for day in ("2024-02-06", "2024-02-07", "2024-02-09"):
        path = tmp_path / "impressions" / f"date={day}" / "a.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(SHOWN.empty_table(), path)
    done = apply(ws, NOW)
    assert (done.quarantine, done.impressions) == (1, 1)
    assert new.exists()
    assert not old.exists()
    assert sorted(path.parent.name for path in tmp_path.glob("impressions/*/*")) == [
        "date=2024-02-07", "date=2024-02-09",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ("[transitions]\nnovelty_days = 30\n[tuning]\nevery_days = 5", "novelty_days reads 30 days"),
        ("[counts]\nwindow_days = 7\nfit_windows = 4\n[transitions]\nnovelty_days = 2\n", "reads 35 days"),
        ("[transitions]\nnovelty_days = 2\n[tuning]\nevery_days = 28", "every_days reads 28 days"),
    ],
)
def test_too_few_days_are_refused(more: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        config.parse(f"[retention]\nevents_days = 20\n{more}", "freshet.toml")


def test_it_is_done_once_a_day(tmp_path: Path) -> None:
    ws = open_workspace(shop(tmp_path, "events_days = 10"))
    now = datetime.now(UTC)
    retain_daily(ws, now)
    [first] = ws.ledger.records()
    assert (first.command, first.outcome) == ("retention", "done")
    assert first.steps[0].details["events"] == 720
    retain_daily(ws, now)
    assert len(ws.ledger.records()) == 1
    retain_daily(ws, now + timedelta(days=1))
    assert len(ws.ledger.records()) == 2


def test_a_ledger_is_left_alone_where_all_is_kept(tmp_path: Path) -> None:
    ws = open_workspace(shop(tmp_path, ""))
    retain_daily(ws, NOW)
    assert retain(ws, NOW) is None
    assert ws.ledger.records() == []


def test_one_that_failed_is_tried_again_after_hours_and_one_that_was_stopped_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC).replace(hour=12)
    ws = replace(open_workspace(shop(tmp_path, "events_days = 10")), clock=lambda: now)
    real, error = retention.apply, KeyboardInterrupt()

    def breaks(*_: object) -> None:
        raise error

    monkeypatch.setattr(retention, "apply", breaks)
    with pytest.raises(KeyboardInterrupt):
        retain_daily(ws, now)
    error = OSError("the disk is gone")  # type: ignore[assignment]
    with pytest.raises(OSError, match="gone"):
        retain_daily(ws, now)
    for minutes in (5, 10, 350):
        retain_daily(ws, now + timedelta(minutes=minutes))
    monkeypatch.setattr(retention, "apply", real)
    retain_daily(ws, now + timedelta(minutes=361))
    assert [one.outcome for one in ws.ledger.records()] == ["failed", "failed", "done"]


def test_what_runs_said_goes_by_its_age(tmp_path: Path) -> None:
    """Also of a run whose record stays: its lines may name people."""
    ws = open_workspace(shop(tmp_path, "runs_days = 30"))
    with ws.run("import") as run:
        run.say("note: user 'u1' has 269 of 4,038 events")
    mine = tmp_path / "logs" / f"{run.record.id}.jsonl"
    now = datetime.fromtimestamp(mine.stat().st_mtime, UTC)
    assert apply(ws, now + timedelta(days=29)).runs == 0
    assert mine.exists()
    assert apply(ws, now + timedelta(days=31)).runs == 0
    assert not mine.exists()
    assert ws.ledger.get(run.record.id).outcome == "done"
