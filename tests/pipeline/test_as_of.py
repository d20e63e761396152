"""The law of time: nothing at or after `as_of` reaches an artifact, and no road to the same log matters."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from freshet import operations, pipeline
from freshet.stages.transitions import TransitionLog
from freshet.storage.workspace import Workspace
from tests.pipeline.world import (
    FAKE,
    FIRST,
    NOW,
    SECOND,
    ChoosyTuner,
    approving,
    content,
    copied,
    refreshed,
    rewrite,
    same_content,
    settings,
    step,
    table_of,
    with_tuner,
    workspace,
)


def other_future(events: pa.Table) -> pa.Table:
    """Everything from SECOND on is different: removed, changed, added, with users and items never seen."""
    moment = pa.scalar(SECOND.moment, pa.timestamp("us", tz="UTC"))
    past = events.filter(pc.less(events["timestamp"], moment))
    future = events.filter(pc.greater_equal(events["timestamp"], moment))
    assert len(future) > 200
    rng = np.random.default_rng(0)
    kept = future.filter(pa.array(rng.random(len(future)) < 0.5))
    shuffled = kept.set_column(1, "item_id", kept["item_id"].take(pa.array(rng.permutation(len(kept)))))
    at = [SECOND.moment, datetime.fromisoformat("2024-03-30T12:00:00+00:00")]
    new = pa.table(
        {
            "user_id": ["user00001", "stranger"],
            "item_id": ["item never seen", "item never seen"],
            "timestamp": at,
            "value": [9.0, 9.0],
        },
    ).cast(events.schema.remove_metadata())
    return pa.concat_tables([past, shuffled, new])


@pytest.mark.parametrize("kind", ["counts", "fake", "listed"])
def test_events_at_or_after_as_of_leave_every_artifact_byte_identical(
    world: Path, tmp_path: Path, kind: str
) -> None:
    changed = rewrite(world, tmp_path / "changed", other_future)
    extra = {"counts": "", "fake": FAKE, "listed": 'template = "knowledge"\nshortlist = 4\n' + FAKE}[kind]
    planner = "fake" if kind == "listed" else kind
    one = workspace(tmp_path / "one", settings(world, planner, extra))
    two = workspace(tmp_path / "two", settings(changed, planner, extra))
    refreshed(one, FIRST, SECOND)
    refreshed(two, FIRST, SECOND)
    assert len(content(one)) > 40
    assert len(content(one, ["models"])) == (0 if kind == "counts" else 3)
    same_content(one, two)
    # and the future is not ignored by accident
    later = SECOND.plus(2)
    for ws in (one, two):
        approving(lambda ws=ws: pipeline.refresh(ws, later), ws)  # type: ignore[misc]
    assert table_of(one, later).version != table_of(two, later).version


def test_a_folder_of_events_and_items_obeys_the_law_too(world: Path, tmp_path: Path) -> None:
    changed = rewrite(world, tmp_path / "changed", other_future)
    made = []
    for name, source in (("one", world), ("two", changed)):
        text = settings(source).replace("/events.parquet", "")
        text = text.replace(json.dumps(str(source / "items.parquet")), '""')
        made.append(workspace(tmp_path / name, text))
        refreshed(made[-1], SECOND)
    same_content(*made)


def test_importing_in_parts_gives_the_same_artifacts(world: Path, tmp_path: Path, planned: Workspace) -> None:
    def part(which: int) -> Path:
        def change(events: pa.Table) -> pa.Table:
            return events.filter(pa.array(np.arange(len(events)) % 3 == which))

        return rewrite(world, tmp_path / str(which), change) / "events.parquet"

    ws = workspace(tmp_path / "ws", settings(world, "fake", FAKE))
    for which in (2, 0, 1):
        operations.import_log(ws, NOW, [part(which)])
    approving(lambda: pipeline.refresh(ws, FIRST), ws)
    same_content(ws, planned)


@pytest.mark.parametrize("calls", [1, 8])
def test_a_killed_refresh_continues_and_ends_like_one_that_was_not(
    planned: Workspace, tmp_path: Path, calls: int
) -> None:
    whole = copied(planned, tmp_path / "whole")
    pipeline.refresh(whole, SECOND)
    ws = copied(planned, tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        pipeline.refresh(with_tuner(ws, ChoosyTuner(calls=calls)), SECOND)
    assert ws.ledger.records()[-1].outcome == "failed"
    assert not (ws.root / "LEASE").exists()
    record = pipeline.refresh(ws, SECOND)
    resumed = [s.details["resumed"] for s in record.steps if "resumed" in s.details]
    assert sum(resumed) > 0
    same_content(ws, whole)
    assert not (ws.root / "work").exists()


def transitions_of(ws: Workspace, version: str) -> set[tuple[int, ...]]:
    found = ws.store.find("transitions", version)
    assert found is not None
    log = TransitionLog(found.path, ws.pool, 99).between(FIRST.minus(999), SECOND.plus(999))
    columns = (log.user, log.day, log.successor, *log.recent.T)
    return {tuple(int(value) for value in row) for row in zip(*columns, strict=True)}


def test_late_events_change_their_user_and_nobody_else(
    world: Path, tmp_path: Path, counted: Workspace
) -> None:
    ws = copied(counted, tmp_path / "ws")
    (before,) = ws.store.versions("transitions")
    kept = content(ws)
    late = rewrite(world, tmp_path / "late", lambda events: _moved(events, "user00007")) / "events.parquet"
    operations.import_log(ws, NOW, [late])
    record = pipeline.refresh(ws, FIRST)
    assert {name: data for name, data in content(ws).items() if name in kept} == kept
    assert len(ws.store.versions("interests")) == 1
    assert step(record, "transitions")["recounted_users"] == 1
    (after,) = set(ws.store.versions("transitions")) - {before}
    old, new = transitions_of(ws, before), transitions_of(ws, after)
    assert len({row[0] for row in old ^ new}) == 1


def _moved(events: pa.Table, user: str) -> pa.Table:
    """A few liked events of another user, as if this user had them too, in the middle of the log."""
    liked = pc.and_(
        pc.greater_equal(events["value"], 7), pc.less(events["timestamp"], pa.scalar(FIRST.minus(14).moment))
    )
    some = events.filter(liked).slice(300, 4)
    return some.set_column(0, "user_id", pa.array([user] * len(some)))
