"""What was known when a transition happened, against its definition applied to the whole log."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freshet.core.time import DAY
from freshet.core.types import RECENT, AsOf, Learners
from freshet.core.user_numbers import keys
from freshet.experiments.measurement.labels import assignment_of
from freshet.pipeline import snapshot_of
from freshet.replay import roll
from freshet.replay.circumstances import newest_age
from freshet.replay.frames import CIRCUMSTANCES, Results
from freshet.storage.artifacts import Artifact
from freshet.storage.workspace import Workspace
from freshet.wiring import open_sandbox
from tests.replay.test_rolling_origin import START, made, planned

END = AsOf.parse("2024-02-09")


@pytest.fixture(scope="module", params=[100, 50])
def judged(
    world: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Workspace, list[Artifact], Learners]:
    """Two origins, with everybody learned from and with half of the users."""
    ws = made(world, tmp_path_factory.mktemp("circumstances"), "counts")
    plan = planned(ws, end=END, arms=["counts", "popularity"]).learned_by(request.param)
    sandbox = open_sandbox(ws, START)
    return sandbox, roll(sandbox, plan), Learners(request.param)


def read(origin: Artifact) -> pa.Table:
    return pq.read_table(origin.path / "circumstances.parquet")


@pytest.mark.slow
def test_one_row_for_every_judged_transition(judged: tuple[Workspace, list[Artifact], Learners]) -> None:
    found = Results.of(judged[1])
    assert found.circumstances.schema == CIRCUMSTANCES
    assert len(found.circumstances) * 2 == len(found.judged)
    rows = {(str(row["origin"]), row["row"]) for row in found.circumstances.to_pylist()}
    assert rows == {(str(row["origin"]), row["row"]) for row in found.judged.to_pylist()}


@pytest.mark.slow
def test_each_column_is_what_its_definition_says(
    judged: tuple[Workspace, list[Artifact], Learners], world: Path
) -> None:
    sandbox, origins, learners = judged
    log = pq.read_table(world / "events.parquet")
    good = [row for row in log.to_pylist() if row["value"] >= 7]
    for origin in origins:
        at = AsOf.parse(origin.manifest["as_of"])
        until = at.plus(2)
        with sandbox.run("look") as run:
            known = snapshot_of(sandbox, run, until)
        timed = known.transitions.records(at, until)
        test = known.transitions.between(at, until)
        past = known.transitions.between(AsOf.parse("1970-01-01"), at)
        past = past.take(learners.kept(past.user))
        contexts: Counter[tuple[int, ...]] = Counter()
        for recent in past.recent.tolist():
            for length in (1, 2):
                if recent[RECENT - length] >= 0:
                    contexts[tuple(recent[RECENT - length :])] += 1
        assigned = pq.read_table(assignment_of(sandbox, known.version).path / "assignment.parquet")
        interest = dict(zip(*(assigned[name].to_pylist() for name in ("item", "interest")), strict=True))
        first: dict[str, int] = {}
        engaged: dict[int, set[tuple[int, int]]] = defaultdict(set)
        for row, user in zip(good, keys(pa.chunked_array([[row["user_id"] for row in good]])), strict=True):
            time = _microseconds(row["timestamp"])
            item = str(row["item_id"])
            first[item] = min(first.get(item, time), time)
            if item in interest:
                engaged[int(user)].add((time, interest[item]))
        starts: dict[int, list[int]] = defaultdict(list)
        for item, time in first.items():
            if item in interest:
                starts[interest[item]].append(time)
        some = dict.fromkeys(("supported", "context", "young"), 0)
        for number, row in enumerate(read(origin).to_pylist()):
            assert row["row"] == number
            context = tuple(i for i in test.recent[number, -2:].tolist() if i >= 0)
            assert row["support"] == (contexts[context] if context else None)
            time = int(timed["time"][number])
            before = [begun for begun in starts[int(test.successor[number])] if begun < time]
            expected = (time - max(before)) / DAY if before else None
            assert row["item_age"] == (None if expected is None else pytest.approx(expected, rel=1e-6))
            assert row["engagements"] == sum(when < time for when, _ in engaged[int(test.user[number])])
            some["supported"] += bool(row["support"])
            some["context"] += bool(context)
            some["young"] += expected is not None and expected < 7
        assert 0 < some["supported"] <= some["context"] < len(test)
        assert some["young"]


def _microseconds(when: datetime | int | float) -> int:
    if isinstance(when, datetime):
        return int(when.replace(tzinfo=when.tzinfo or UTC).timestamp() * 1_000_000)
    return int(when) * 1_000_000


def test_an_item_counts_from_strictly_after_its_first_engagement() -> None:
    first = [np.array([10 * DAY, 20 * DAY]), np.array([], np.int64)]
    times = np.array([10 * DAY, 11 * DAY, 20 * DAY, 21 * DAY, 21 * DAY])
    found = newest_age(first, np.array([0, 0, 0, 0, 1], np.int16), times)
    assert np.array_equal(found, [np.nan, 1, 10, 1, np.nan], equal_nan=True)
