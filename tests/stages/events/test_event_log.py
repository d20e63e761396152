from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.errors import Busy
from freshet.core.types import AsOf
from freshet.stages.events import EventLog, Snapshot
from freshet.stages.events.snapshots import commit, listed, read

from .sources import Row, event, events, take, write

BASE = int(datetime.fromisoformat("2024-01-01T00:00:00Z").timestamp())


def content(root: Path) -> dict[str, bytes]:
    """The day files of the newest snapshot, byte by byte."""
    return {str(day.path.relative_to(root)): day.path.read_bytes() for day in EventLog(root).snapshot().days}


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_rows_become_sorted_day_files(tmp_path: Path) -> None:
    rows = [
        event("b", "i", "2024-01-02T00:00:00Z", 3),
        event("a", "j", "2024-01-02T23:59:59.999999Z", 9),
        event("a", "i", "2024-01-01T12:00:00+02:00", None),
    ]
    report = take(tmp_path / "w", write(tmp_path / "log.jsonl", rows))
    snapshot = EventLog(tmp_path / "w").snapshot()
    assert [(day.day, day.rows) for day in snapshot.days] == [(date(2024, 1, 1), 1), (date(2024, 1, 2), 2)]
    assert events(snapshot) == [
        (None, "a", "i", datetime(2024, 1, 1, 10), None),
        (None, "a", "j", datetime(2024, 1, 2, 23, 59, 59, 999999), 9.0),
        (None, "b", "i", datetime(2024, 1, 2), 3.0),
    ]
    assert (report.rows_read, report.added, report.duplicates, report.quarantined) == (3, 3, 0, {})
    assert (report.days, report.first, report.snapshot) == (2, datetime(2024, 1, 1, 10), snapshot.version)
    assert all(day.checksum == day.path.stem for day in snapshot.days)


def test_importing_twice_changes_no_file(tmp_path: Path) -> None:
    source = write(tmp_path / "log.csv", [event(f"u{n % 3}", value="x" if n == 5 else n) for n in range(8)])
    first = take(tmp_path / "w", source)
    before = files(tmp_path / "w")
    second = take(tmp_path / "w", source)
    assert (first.rows_read, first.added, first.duplicates, first.quarantined) == (
        8,
        3,
        4,
        {"value is not a number": 1},
    )
    assert (second.added, second.duplicates, second.snapshot) == (0, 7, first.snapshot)
    assert files(tmp_path / "w") == before


def test_of_rows_with_one_identity_the_largest_value_stays(tmp_path: Path) -> None:
    take(tmp_path / "w", write(tmp_path / "a.jsonl", [event(value=9), event(value=None)]))
    report = take(tmp_path / "w", write(tmp_path / "b.jsonl", [event(value=3)]))
    assert [row[-1] for row in events(EventLog(tmp_path / "w").snapshot())] == [9.0]
    assert (report.added, report.duplicates) == (0, 1)


def test_a_client_id_is_the_identity_even_when_the_time_differs(tmp_path: Path) -> None:
    early, late = event(time="2024-01-01T00:00:00Z", value=1), event(time="2024-01-03T00:00:00Z", value=2)
    settings = {"columns": {"id": "event_id"}}
    take(tmp_path / "w", write(tmp_path / "a.jsonl", [{**early, "event_id": "e"}]), **settings)
    report = take(tmp_path / "w", write(tmp_path / "b.jsonl", [{**late, "event_id": "e"}]), **settings)
    assert events(EventLog(tmp_path / "w").snapshot()) == [("e", "u", "i", datetime(2024, 1, 3), 2.0)]
    assert (report.added, report.duplicates) == (0, 1)


def test_replacing_a_day_leaves_the_others(tmp_path: Path) -> None:
    days = ["2024-01-01T01:00:00Z", "2024-01-02T01:00:00Z"]
    take(
        tmp_path / "w", write(tmp_path / "a.jsonl", [event(user, time=day) for user in "ab" for day in days])
    )
    correction = write(tmp_path / "b.jsonl", [event("a", time=days[1], value=1)])
    report = take(tmp_path / "w", correction, replace=True)
    found = [(row[1], row[3].day, row[4]) for row in events(EventLog(tmp_path / "w").snapshot())]
    assert found == [("a", 1, 8.0), ("b", 1, 8.0), ("a", 2, 1.0)]
    assert (report.added, report.replaced) == (1, 2)
    assert take(tmp_path / "w", correction, replace=True).snapshot == report.snapshot


def test_a_correction_moves_an_event_to_another_day(tmp_path: Path) -> None:
    settings = {"columns": {"id": "id"}}
    rows = [{**event(time=f"2024-01-0{day}T00:00:00Z", value=9), "id": f"e{day}"} for day in (1, 2)]
    take(tmp_path / "w", write(tmp_path / "a.jsonl", rows), **settings)
    moved = write(tmp_path / "b.jsonl", [{**event(time="2024-01-03T00:00:00Z", value=1), "id": "e1"}])
    take(tmp_path / "w", moved, replace=True, **settings)
    found = [(row[0], row[3].day, row[4]) for row in events(EventLog(tmp_path / "w").snapshot())]
    assert found == [("e2", 2, 9.0), ("e1", 3, 1.0)]


def test_columns_of_the_rule_are_kept_and_added_by_a_later_import(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", [{**event(), "device": "tv"}])
    plain = take(tmp_path / "w", source)
    report = take(tmp_path / "w", source, positive="value >= 7 and device = 'tv'")
    snapshot = EventLog(tmp_path / "w").snapshot()
    assert events(snapshot, 'value, "device"') == [(8.0, "tv")]
    assert report.snapshot != plain.snapshot


def test_as_of_sees_only_earlier_days(tmp_path: Path) -> None:
    rows = [event(time=f"2024-01-0{day}T00:00:00Z") for day in (1, 2, 3)]
    later = [event("x", time="2024-01-03T05:00:00Z")]
    take(tmp_path / "v", write(tmp_path / "a.jsonl", rows))
    take(tmp_path / "w", write(tmp_path / "b.jsonl", rows[:2] + later))
    as_of = AsOf(date(2024, 1, 3))
    one, other = (EventLog(tmp_path / name).snapshot(as_of) for name in "vw")
    assert one.version == other.version != EventLog(tmp_path / "v").snapshot().version
    assert [day.day.day for day in one.days] == [1, 2]
    assert EventLog(tmp_path / "v").snapshot(AsOf(date(2024, 1, 1))) == Snapshot.of(())


def test_a_crash_before_the_commit_leaves_the_log_as_it_was(tmp_path: Path, monkeypatch) -> None:
    first = take(tmp_path / "w", write(tmp_path / "a.jsonl", [event("a")]))
    source = write(tmp_path / "b.jsonl", [event("b")])

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("freshet.stages.events.event_log.commit", crash)
        with pytest.raises(KeyboardInterrupt):
            take(tmp_path / "w", source)
    assert EventLog(tmp_path / "w").snapshot().version == first.snapshot
    assert len(events(EventLog(tmp_path / "w").snapshot())) == 1
    take(tmp_path / "w", source)
    assert len(events(EventLog(tmp_path / "w").snapshot())) == 2
    assert not list((tmp_path / "w" / ".drafts").iterdir())


def test_a_day_that_is_there_is_kept_though_it_would_be_written_otherwise_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, first = tmp_path / "w", [event(f"user{n}", f"item{n}") for n in range(200)]
    source = write(tmp_path / "a.jsonl", first)
    take(root, source)
    (kept,) = EventLog(root).snapshot().days
    before = kept.path.read_bytes()
    take(root, write(tmp_path / "b.jsonl", [event("b")]), replace=True)
    monkeypatch.setattr("freshet.stages.events.event_days.COMPRESSION", "gzip")  # as after an update of Arrow
    take(root, source, replace=True)
    assert EventLog(root).snapshot().days == (kept,)
    assert kept.path.read_bytes() == before
    for number in listed(root):
        for day in read(root, number).days:
            day.verify()
    take(root, tmp_path / "b.jsonl", replace=True)
    kept.path.write_bytes(before[:-9])
    take(root, source, replace=True)
    (made,) = EventLog(root).snapshot().days
    made.verify()
    assert (made.path, made.size) == (kept.path, kept.path.stat().st_size)
    assert made.size != kept.size


def test_of_two_imports_at_once_one_is_refused(tmp_path: Path) -> None:
    commit(tmp_path, 1, Snapshot.of(()))
    with pytest.raises(Busy, match="finished first"):
        commit(tmp_path, 1, Snapshot.of(()))
    assert [path.name for path in (tmp_path / "events" / "log").iterdir()] == ["00000001.json"]


def test_long_days_are_written_in_the_same_row_groups_whatever_the_order(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("freshet.stages.events.event_days._ROW_GROUP", 7)
    monkeypatch.setattr("freshet.stages.events.event_log._BATCH", 2048)
    rows = [event(f"u{n:02d}") for n in range(40)]
    take(tmp_path / "v", write(tmp_path / "a.jsonl", rows))
    take(tmp_path / "w", write(tmp_path / "b.jsonl", rows[25:]))
    take(tmp_path / "w", write(tmp_path / "c.jsonl", rows[:25][::-1]))
    assert content(tmp_path / "v") == content(tmp_path / "w")
    assert [row[1] for row in events(EventLog(tmp_path / "v").snapshot())] == [f"u{n:02d}" for n in range(40)]


rows = st.builds(
    lambda user, item, time, value, id_: {**event(user, item, BASE + time, value), "event_id": id_},
    st.sampled_from(["a", "b"]),
    st.sampled_from(["x", 'y"😀']),
    st.sampled_from([0, 1, 86_400, 200_000]),
    st.sampled_from([None, -0.0, 0.0, 7.5]),
    st.sampled_from([None, None, "e1", "e2"]),
)
logs = st.lists(rows, min_size=1, max_size=8)


def winners(rows: list[Row]) -> list[tuple[Any, ...]]:
    """The log by its definition: of each identity the row with the largest (value, time, user, item)."""

    def rank(row: Row) -> tuple[Any, ...]:
        value = row["value"]
        return (value is not None, value or 0.0, row["timestamp"], row["user_id"], row["item_id"])

    best: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        unnamed = (row["user_id"], row["item_id"], row["timestamp"])
        identity = ("id", row["event_id"]) if row["event_id"] else unnamed
        if identity not in best or rank(row) > rank(best[identity]):
            best[identity] = row
    return sorted(
        ((r["event_id"], r["user_id"], r["item_id"], r["timestamp"], r["value"]) for r in best.values()),
        key=str,
    )


@settings(max_examples=8, deadline=None)
@given(logs, st.data())
def test_any_split_in_any_order_gives_the_same_log(rows: list[Row], data: st.DataObject) -> None:
    parts = data.draw(st.integers(1, 3))
    homes = data.draw(st.lists(st.integers(0, parts - 1), min_size=len(rows), max_size=len(rows)))
    endings = data.draw(st.lists(st.sampled_from([".csv", ".jsonl"]), min_size=parts, max_size=parts))
    settings = {"columns": {"id": "event_id"}}
    with TemporaryDirectory() as folder:
        root = Path(folder)
        take(root / "whole", write(root / "whole.csv", rows), **settings)
        for part, ending in enumerate(endings):
            chosen = [row for row, home in zip(rows, homes, strict=True) if home == part][::-1]
            if chosen:
                take(root / "split", write(root / f"{part}{ending}", chosen), **settings)
        assert content(root / "split") == content(root / "whole")
        found = events(EventLog(root / "split").snapshot(), 'id, "user", item, epoch("time")::BIGINT, value')
    assert sorted(found, key=str) == [
        (id_, user, item, time, None if value is None else value + 0.0)
        for id_, user, item, time, value in winners(rows)
    ]


def test_a_folder_or_a_glob_is_imported_as_one(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    for part in range(3):
        write(folder / f"part{part}.jsonl", [event(f"u{part}")])
    assert take(tmp_path / "v", folder).snapshot == take(tmp_path / "w", folder / "part*.jsonl").snapshot
    assert len(events(EventLog(tmp_path / "v").snapshot())) == 3
    assert len(list((tmp_path / "v" / "events" / "log").iterdir())) == 1
