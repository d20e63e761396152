"""Counted by day, in any order of import, equals the definition applied to the whole log."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.config import TransitionsConfig
from freshet.transitions import TransitionLog, count
from freshet.types import RECENT, AsOf
from tests.transitions.reference import DAY, recency, transitions

INTERESTS = 5


def key(user: str) -> int:
    """The user key: the lower 64 bits of the MD5, as DuckDB's md5_number_lower counts them."""
    return int.from_bytes(hashlib.md5(user.encode()).digest()[8:], "little")


def write_world(folder: Path, events: set[tuple[str, int, int]]) -> list:
    """Event day files for engagements with one item per interest; returns (day, path)."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.table(
            {
                "item": [f"i{i}" for i in range(INTERESTS)],
                "interest": pa.array(range(INTERESTS), pa.int16()),
            }
        ),
        folder / "assignment.parquet",
    )
    by_day = defaultdict(list)
    for event in sorted(events):
        by_day[event[1] // DAY].append(event)
    days = []
    for number, rows in sorted(by_day.items()):
        day = datetime.fromtimestamp(number * 86400, UTC).date()
        table = pa.table(
            {
                "user": [user for user, _, _ in rows],
                "item": [f"i{i}" for _, _, i in rows],
                "time": pa.array([t for _, t, _ in rows], pa.timestamp("us")),
                "value": [1.0] * len(rows),
            }
        )
        name = hashlib.md5(str(rows).encode()).hexdigest()
        path = folder / f"{day}-{name}.parquet"
        pq.write_table(table, path)
        days.append((day, path))
    return days


def run(folder: Path, name: str, events: set, config: TransitionsConfig, previous: Path | None) -> Path:
    into = folder / name
    into.mkdir()
    days = write_world(folder / "events", events)
    assignment = folder / "events" / "assignment.parquet"
    count(days, assignment, "value >= 1", INTERESTS, config, previous, folder / "pool", into)
    return into


engagements = st.sets(
    st.tuples(
        st.sampled_from(["ann", "bo"]),
        st.integers(0, 40).map(lambda t: t * DAY // 4),
        st.integers(0, INTERESTS - 1),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None)
@given(engagements, st.sampled_from([1, 3, None]))
def test_equals_the_definition(events: set, novelty: int | None) -> None:
    config = TransitionsConfig(novelty_days="ever" if novelty is None else novelty)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = TransitionLog(run(folder, "a", events, config, None), folder / "pool", INTERESTS)
        found = log.between(AsOf.parse("1970-01-01"), AsOf.parse("1971-01-01"))
        expected = transitions(events, novelty)
        assert len(found) == len(expected)
        users = {key(user): user for user in ("ann", "bo")}
        got = {
            (
                users[int(found.user[i])],
                int(found.day[i]),
                int(found.successor[i]),
                frozenset(np.flatnonzero(found.known[i]).tolist()),
            )
            for i in range(len(found))
        }
        assert got == {(user, now // DAY, i, known) for user, now, i, known, _ in expected}


@settings(max_examples=25, deadline=None)
@given(engagements, st.sampled_from([1, 3, None]))
def test_contexts_are_the_most_recent_first_known(events: set, novelty: int | None) -> None:
    config = TransitionsConfig(novelty_days="ever" if novelty is None else novelty)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = TransitionLog(run(folder, "a", events, config, None), folder / "pool", INTERESTS)
        rows = log._db.execute("SELECT user_key, time, recent FROM t").fetchall()
        users = {key(user): user for user in ("ann", "bo")}
        horizon = float("inf") if novelty is None else novelty * DAY
        for user, time, recent in rows:
            last = recency(events, users[user], time)
            ages = [last[i] for i in recent if i >= 0]
            assert ages == sorted(ages), "most recent last"
            assert {i for i in recent if i >= 0} == {i for i, t in last.items() if time - t <= horizon}
            assert list(recent[: RECENT - len(ages)]) == [-1] * (RECENT - len(ages)), "padded left"


@settings(max_examples=20, deadline=None)
@given(engagements, engagements, engagements, st.sampled_from([1, 3, None]))
def test_any_order_of_import_equals_a_full_recount(a: set, b: set, c: set, novelty: int | None) -> None:
    """Late events recount only the users and days concerned, and end in byte-identical files."""
    config = TransitionsConfig(novelty_days="ever" if novelty is None else novelty)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = run(folder, "first", a, config, None)
        second = run(folder, "second", a | b, config, first)
        third = run(folder, "third", a | b | c, config, second)
        once = run(folder, "once", a | b | c, config, None)
        assert (third / "days.json").read_text() == (once / "days.json").read_text()


def test_one_more_day_touches_only_that_day(tmp_path: Path) -> None:
    events = {("ann", d * DAY, d % 3) for d in range(8)} | {("bo", d * DAY + 5, d % 4) for d in range(8)}
    config = TransitionsConfig(novelty_days=2)
    first = run(tmp_path, "first", events, config, None)
    into = tmp_path / "second"
    into.mkdir()
    days = write_world(tmp_path / "events", events | {("ann", 8 * DAY, 4)})
    summary = count(
        days,
        tmp_path / "events" / "assignment.parquet",
        "value >= 1",
        INTERESTS,
        config,
        first,
        tmp_path / "pool",
        into,
    )
    assert (summary["recounted_days"], summary["recounted_users"]) == (1, 1)
    old = json.loads((first / "days.json").read_text())["days"]
    new = json.loads((into / "days.json").read_text())["days"]
    assert {day: new[day] for day in old} == old


def test_a_step_has_no_order(tmp_path: Path) -> None:
    """Interests of one basket are each other's neither context nor successor."""
    basket = {("ann", 0, i) for i in range(3)}
    log = TransitionLog(run(tmp_path, "a", basket, TransitionsConfig(), None), tmp_path / "pool", INTERESTS)
    found = log.between(AsOf.parse("1970-01-01"), AsOf.parse("1970-02-01"))
    assert sorted(found.successor.tolist()) == [0, 1, 2]
    assert (found.recent == -1).all()
    assert not found.known.any()


def test_sums_halve_with_the_half_life(tmp_path: Path) -> None:
    events = {("ann", 0, 0), ("ann", DAY, 1), ("bo", 10 * DAY, 0), ("bo", 11 * DAY, 1)}
    log = TransitionLog(run(tmp_path, "a", events, TransitionsConfig(), None), tmp_path / "pool", INTERESTS)
    sums = log.sums(AsOf.parse("1970-01-22"), half_life=10.0, length=1)
    assert sums.contexts.tolist() == [[0]]
    assert sums.successor.tolist() == [1]
    assert sums.weight[0] == pytest.approx(0.5 ** (20 / 10) + 0.5 ** (10 / 10))
    assert log.sums(AsOf.parse("1970-01-02"), 10.0, 1).weight.size == 0, "the day itself is not known yet"


def test_supports_cap_what_one_user_can_say(tmp_path: Path) -> None:
    fan = {("ann", 2 * d * DAY, 0) for d in range(6)} | {
        ("ann", (2 * d + 1) * DAY, 1 + d % 4) for d in range(6)
    }
    config = TransitionsConfig(novelty_days=1)
    log = TransitionLog(run(tmp_path, "a", fan, config, None), tmp_path / "pool", INTERESTS)
    when = AsOf.parse("1970-02-01")
    assert log.supports(when, 31, 1, user_cap=99).weight.sum() > 2
    capped = log.supports(when, 31, 1, user_cap=2)
    per_context = defaultdict(float)
    for context, weight in zip(capped.contexts.tolist(), capped.weight.tolist(), strict=True):
        per_context[tuple(context)] += weight
    assert max(per_context.values()) == 2
