"""Counted by day, in any order of import, equals the definition applied to the whole log."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import defaultdict
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.backends.executors.local_executor import LocalExecutor
from freshet.core.config import TransitionsConfig
from freshet.core.errors import ArtifactError
from freshet.core.ports import Executor
from freshet.core.types import AsOf
from freshet.core.user_numbers import keys
from freshet.stages.transitions import Earlier, TransitionLog, count, intact, recount, referenced
from freshet.stages.transitions import day_files as pool
from freshet.stages.transitions.engagements import drop_repeated, sort_engagements
from tests.stages.transitions.reference import DAY, counts, transitions

INTERESTS = 5
USERS = ("ann", "bo", "a user with a long id", "")
EVER = AsOf.parse("1970-01-01"), AsOf.parse("1971-01-01")
Events = Collection[tuple[str, int, int]]


def write_world(folder: Path, events: Events, interests: dict[str, int] | None = None) -> list:
    """Event day files, `i3` being an item of interest 3 unless told otherwise; returns (day, path)."""
    folder.mkdir(parents=True, exist_ok=True)
    assigned = {f"i{i}": i for i in range(INTERESTS)} if interests is None else interests
    table = {"item": list(assigned), "interest": pa.array(assigned.values(), pa.int16())}
    pq.write_table(pa.table(table), folder / "assignment.parquet")
    by_day = defaultdict(list)
    for event in sorted(events):
        by_day[event[1] // DAY].append(event)
    found = []
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
        found.append((day, path))
    return found


def run(
    folder: Path,
    name: str,
    events: Events,
    config: TransitionsConfig,
    previous: Path | None,
    interests: dict[str, int] | None = None,
    executor: Executor | None = None,
) -> Path:
    """A count as an artifact folder, beside the assignment it was made with."""
    into = folder / name
    into.mkdir()
    found = write_world(folder / "events", events, interests)
    assignment = (folder / "events" / "assignment.parquet").rename(folder / f"{name}.parquet")
    earlier = Earlier(previous, previous.with_suffix(".parquet")) if previous else None
    by = executor or LocalExecutor(2)
    summary = count(found, assignment, "value >= 1", INTERESTS, config, earlier, folder / "pool", into, by)
    (folder / f"{name}.summary").write_text(json.dumps(summary))
    return into


def novel_within(days: int | None) -> TransitionsConfig:
    return TransitionsConfig(novelty_days="ever" if days is None else days)


def as_found(log: TransitionLog, recent_alone: bool = False) -> set:
    """(user, day, successor, recent interests, known interests) of a whole log."""
    found = log.between(*EVER)
    names = dict(zip(keys(pa.chunked_array([list(USERS)])).tolist(), USERS, strict=True))
    return {
        (
            names[int(found.user[i])],
            int(found.day[i]),
            int(found.successor[i]),
            tuple(int(x) for x in found.recent[i, ::-1] if x >= 0),
            frozenset(np.flatnonzero(found.known[i]).tolist()),
        )
        for i in range(len(found))
    }


def test_a_busy_user_is_sorted_too() -> None:
    """Keys are hashes, so only the rows of one user, or of few, can crowd a slot of the counting sort."""
    random = np.random.default_rng(0)
    rows = np.empty(5000, pool.ENGAGEMENT)
    rows["user"] = random.choice(np.array([3, 2**63, 2**64 - 1], np.uint64), 5000)
    rows["time"] = random.integers(0, 100, 5000)
    rows["interest"] = random.integers(0, INTERESTS, 5000)
    expected = rows[np.lexsort((rows["interest"], rows["time"], rows["user"]))]
    assert (sort_engagements(rows) == expected).all()
    assert (drop_repeated(expected) == np.unique(rows)).all()


engagements = st.sets(
    st.tuples(
        st.sampled_from(USERS),
        st.integers(0, 160).map(lambda t: t * DAY // 4),
        st.integers(0, INTERESTS - 1),
    ),
    max_size=40,
)
novelty = st.sampled_from([1, 3, 30, None])
small = st.sampled_from([1, 3, 4096])
"""Rows from which on a day has a file of its own."""


@pytest.fixture(autouse=True)
def _restore_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests set these to let small logs take the ways of large ones."""
    monkeypatch.setattr(pool, "SMALL", pool.SMALL)
    monkeypatch.setattr(recount, "ROWS", recount.ROWS)


@settings(max_examples=25, deadline=None)
@given(engagements, novelty, small, st.sampled_from([2, 10_000]))
def test_equals_the_definition(events: set, horizon: int | None, own_file: int, rows: int) -> None:
    pool.SMALL, recount.ROWS = own_file, rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = TransitionLog(run(folder, "a", events, novel_within(horizon), None), folder / "pool", INTERESTS)
        expected = transitions(events, horizon)
        found = as_found(log)
        assert len(log) == len(expected) == len(found)
        loose = {(user, day, i, frozenset(recent), known) for user, day, i, recent, known in found}
        assert loose == {(user, now // DAY, i, known, known) for user, now, i, _, known in expected}
        groups = {(user, now // DAY, i, known): recent for user, now, i, recent, known in expected}
        for user, day, i, recent, known in found:
            at = 0
            for group in groups[user, day, i, known]:  # within a step any order
                assert set(recent[at : at + len(group)]) == group
                at += len(group)


@settings(max_examples=10, deadline=None)
@given(
    st.lists(engagements, min_size=1, max_size=4),
    engagements,
    novelty,
    small,
    st.randoms(use_true_random=False),
)
@pytest.mark.slow
def test_any_order_of_import_equals_a_full_recount(
    batches: list[set], dropped: set, horizon: int | None, own_file: int, random: object
) -> None:
    """Batches in any order, late events, replaced and removed days: the same bytes as counting once."""
    pool.SMALL = own_file
    config = novel_within(horizon)
    final = set().union(*batches)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        previous = run(folder, "0", dropped | batches[0], config, None)  # `dropped` is replaced by the next
        so_far: set = set()
        random.shuffle(batches)
        for number, batch in enumerate(batches, start=1):
            so_far |= batch
            previous = run(folder, str(number), so_far, config, previous)
        once = run(folder, "once", final, config, None)
        assert (previous / "days.json").read_text() == (once / "days.json").read_text()


@settings(max_examples=12, deadline=None)
@given(engagements, st.integers(0, 40), novelty, small)
def test_counting_as_of_the_past_leaves_out_what_came_later(
    events: set, until: int, horizon: int | None, own_file: int
) -> None:
    pool.SMALL = own_file
    config = novel_within(horizon)
    past = {event for event in events if event[1] < until * DAY}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        later = run(folder, "later", events, config, None)
        then = run(folder, "then", past, config, later)
        fresh = run(folder, "fresh", past, config, None)
        assert (then / "days.json").read_text() == (fresh / "days.json").read_text()


@settings(max_examples=12, deadline=None)
@given(engagements, st.permutations(range(INTERESTS)), st.integers(0, INTERESTS), novelty)
def test_a_new_assignment_equals_a_full_recount(
    events: set, moved: list[int], kept: int, horizon: int | None
) -> None:
    """Items that changed their interest, came or went."""
    before = {f"i{i}": i for i in range(kept)}
    after = {f"i{i}": moved[i] for i in range(1, INTERESTS)}
    config = novel_within(horizon)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = run(folder, "first", events, config, None, before)
        second = run(folder, "second", events, config, first, after)
        once = run(folder, "once", events, config, None, after)
        assert (second / "days.json").read_text() == (once / "days.json").read_text()


@settings(max_examples=20, deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from(USERS), st.integers(0, 160).map(lambda t: t * DAY // 4)),
        st.integers(0, INTERESTS - 1),
        max_size=40,
    ),
    st.lists(st.integers(1, 45), min_size=1, max_size=4),
    st.sampled_from([1.0, 7.0, 1000.0]),
    small,
)
def test_sums_add_up_the_definition(steps: dict, moments: list[int], half_life: float, own_file: int) -> None:
    """Of every length, before any moments in any order of asking."""
    pool.SMALL = own_file
    events = {(user, time, interest) for (user, time), interest in steps.items()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = TransitionLog(run(folder, "a", events, novel_within(3), None), folder / "pool", INTERESTS)
        found = transitions(events, 3)
        for moment in moments:
            for length in range(4):
                sums = log.sums(AsOf.from_day_number(moment), half_life, length)
                expected: dict = defaultdict(float)
                for day in range(moment):
                    of_day = {one for one in found if one[1] // DAY == day}
                    for key, number in counts(of_day, length).items():
                        expected[key] += number * 0.5 ** ((moment - day) / half_life)
                keys = zip(sums.contexts.tolist(), sums.successor.tolist(), strict=True)
                got = {(*context, i): w for (context, i), w in zip(keys, sums.weight, strict=True)}
                assert got == pytest.approx(expected)
                assert list(got) == sorted(got)


@pytest.mark.slow
def test_one_more_day_touches_only_that_day(tmp_path: Path) -> None:
    pool.SMALL = 1
    events = {("ann", d * DAY, d % 3) for d in range(8)} | {("bo", d * DAY + 5, d % 4) for d in range(8)}
    first = run(tmp_path, "first", events, novel_within(2), None)
    second = run(tmp_path, "second", events | {("ann", 8 * DAY, 4)}, novel_within(2), first)
    summary = json.loads((tmp_path / "second.summary").read_text())
    assert (summary["recounted_days"], summary["recounted_users"]) == (1, 1)
    old = json.loads((first / "days.json").read_text())["transitions"]
    new = json.loads((second / "days.json").read_text())["transitions"]
    assert {day: new[day] for day in old} == old


def test_a_late_event_touches_its_user_for_h_days(tmp_path: Path) -> None:
    pool.SMALL = 1
    events = {("ann", d * DAY, d % 3) for d in range(30)} | {("bo", d * DAY + 5, d % 4) for d in range(30)}
    first = run(tmp_path, "first", events, novel_within(2), None)
    run(tmp_path, "second", events | {("ann", 8 * DAY + 1, 4)}, novel_within(2), first)
    summary = json.loads((tmp_path / "second.summary").read_text())
    assert summary["recounted_users"] == 1
    assert summary["recounted_days"] <= 4


def test_an_item_that_nobody_engaged_touches_no_day(tmp_path: Path) -> None:
    events = {("ann", d * DAY, d % 3) for d in range(8)}
    before = {f"i{i}": i for i in range(3)}
    first = run(tmp_path, "first", events, novel_within(2), None, before)
    run(tmp_path, "second", events, novel_within(2), first, before | {"i4": 4})
    assert json.loads((tmp_path / "second.summary").read_text())["recounted_days"] == 0


def test_a_rule_on_a_column_that_some_days_lack(tmp_path: Path) -> None:
    """Columns come with an import; days before it don't have them, which is not positive."""
    found = write_world(tmp_path / "events", {("ann", 0, 0), ("ann", DAY, 1)})
    later = pq.read_table(found[1][1]).append_column("device", pa.array(["tv"]))
    pq.write_table(later, found[1][1])
    into = tmp_path / "a"
    into.mkdir()
    rule = "coalesce(device = 'tv', false)"
    for part in (found, found[::-1]):  # the batch as a whole, and by itself
        assignment = tmp_path / "events" / "assignment.parquet"
        summary = count(
            sorted(part),
            assignment,
            rule,
            INTERESTS,
            novel_within(2),
            None,
            tmp_path / "pool",
            into,
            LocalExecutor(),
        )
        assert summary["transitions"] == 1


def test_a_step_has_no_order(tmp_path: Path) -> None:
    """Interests of one basket are each other's neither context nor successor."""
    basket = {("ann", 0, i) for i in range(3)}
    log = TransitionLog(run(tmp_path, "a", basket, TransitionsConfig(), None), tmp_path / "pool", INTERESTS)
    found = log.between(*EVER)
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


def test_a_bootstrap_draws_users_once_on_average(tmp_path: Path) -> None:
    events = {(f"user {u}", d * DAY, d) for u in range(2000) for d in range(2)}
    log = TransitionLog(run(tmp_path, "a", events, TransitionsConfig(), None), tmp_path / "pool", INTERESTS)
    when = AsOf.parse("1970-01-03")
    drawn = [log.sums(when, 1e9, 1, resample=seed).weight[0] for seed in range(5)]
    assert len(set(drawn)) == 5
    assert np.mean(drawn) == pytest.approx(2000, rel=0.06)  # a standard deviation is 1 %
    assert log.sums(when, 1e9, 1, resample=3).weight[0] == drawn[3]


def test_supports_cap_what_one_user_can_say(tmp_path: Path) -> None:
    fan = {("ann", 2 * d * DAY, 0) for d in range(6)} | {
        ("ann", (2 * d + 1) * DAY, 1 + d % 4) for d in range(6)
    }
    log = TransitionLog(run(tmp_path, "a", fan, novel_within(1), None), tmp_path / "pool", INTERESTS)
    when = AsOf.parse("1970-02-01")
    assert log.supports(when, 31, 1, user_cap=99).weight.sum() > 2
    capped = log.supports(when, 31, 1, user_cap=2)
    per_context = defaultdict(float)
    for context, weight in zip(capped.contexts.tolist(), capped.weight.tolist(), strict=True):
        per_context[tuple(context)] += weight
    assert max(per_context.values()) == 2


def test_a_sample_holds_whole_users(tmp_path: Path) -> None:
    events = {(f"user {u}", d * DAY, d) for u in range(300) for d in range(3)}
    log = TransitionLog(run(tmp_path, "a", events, TransitionsConfig(), None), tmp_path / "pool", INTERESTS)
    sample = log.between(*EVER, limit=300)
    _, rows = np.unique(sample.user, return_counts=True)
    assert set(rows.tolist()) == {3}
    assert 150 < len(sample) < 500


def test_files_that_no_count_needs_can_be_told(tmp_path: Path) -> None:
    first = run(tmp_path, "first", {("ann", 0, 0)}, TransitionsConfig(), None)
    second = run(tmp_path, "second", {("ann", 0, 0), ("ann", DAY, 1)}, TransitionsConfig(), first)
    there = {str(path.relative_to(tmp_path / "pool")) for path in (tmp_path / "pool").rglob("*.parquet")}
    assert referenced(first) | referenced(second) == there
    assert referenced(second) != there, "the first count's files are not needed by the second"
    assert all(intact(tmp_path / "pool" / name) for name in there)


def test_a_count_goes_on_from_files_of_any_encoding(tmp_path: Path) -> None:
    """Earlier versions compressed every column, and let any hold nulls."""
    pool.SMALL = 1
    events = {(user, d * DAY, d % 3) for d in range(8) for user in USERS}
    first = run(tmp_path, "first", events, novel_within(2), None)
    for path in (tmp_path / "pool").rglob("*.parquet"):
        table = pq.read_table(path)
        nullable = pa.schema([field.with_nullable(True) for field in table.schema])
        pq.write_table(table.cast(nullable), path, compression="lz4")
        assert intact(path)
    later = events | {("ann", 8 * DAY, 4), ("bo", 3 * DAY + 1, 4)}
    second = run(tmp_path, "second", later, novel_within(2), first)
    whole = run(tmp_path, "whole", later, novel_within(2), None)
    assert (second / "days.json").read_text() == (whole / "days.json").read_text()


def test_a_damaged_day_file_is_named(tmp_path: Path) -> None:
    made = run(tmp_path, "a", {("ann", 0, 0), ("ann", DAY, 1)}, TransitionsConfig(), None)
    (path,) = (tmp_path / "pool" / "transitions").rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    assert not intact(path)
    with pytest.raises(ArtifactError, match=r"damaged"):
        TransitionLog(made, tmp_path / "pool", INTERESTS).sums(AsOf.parse("1970-02-01"), 7.0, 1)
    path.unlink()
    with pytest.raises(ArtifactError, match=str(path)):
        TransitionLog(made, tmp_path / "pool", INTERESTS).between(*EVER)


@pytest.mark.parametrize("users", [[1, None], ["1", "2"], [-1, 2]])
def test_a_day_file_whose_users_are_no_numbers_is_damaged(tmp_path: Path, users: list[object]) -> None:
    run(tmp_path, "a", {("ann", 0, 0), ("ann", DAY, 1)}, TransitionsConfig(), None)
    (path,) = (tmp_path / "pool" / "engagements").rglob("*.parquet")
    table = pq.read_table(path)
    wrong = table.set_column(
        table.schema.get_field_index("user_key"), "user_key", pa.array(users[: len(table)])
    )
    pq.write_table(wrong, path)
    for chosen in (None, lambda keys: np.arange(len(keys))):
        with pytest.raises(ArtifactError, match="user_key"):
            pool.read(path, chosen)


@pytest.mark.slow
def test_a_question_larger_than_memory_goes_to_disk(tmp_path: Path) -> None:
    users = 250_000
    events = {(str(u), d * DAY, d) for u in range(users) for d in range(2)}
    made = run(tmp_path, "a", events, TransitionsConfig(), None)
    log = TransitionLog(made, tmp_path / "pool", INTERESTS, memory="15MB")
    log._db.execute(
        "SET threads = 1"
    )  # several at once hold more at a time, as much as the machine's load has it
    assert log.supports(AsOf.parse("1970-02-01"), 31, 0, user_cap=3).weight.tolist() == [users, users]
    assert list((tmp_path / ".drafts").iterdir()), "nothing was spilled: the test is too small"
