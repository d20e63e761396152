"""What every tracker promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from freshet.core.errors import TrackingError
from freshet.core.ports import TrackedData, TrackedRun, TrackedStep, Tracker

_BEGAN = datetime(2024, 5, 1, 12, tzinfo=UTC)


def example_run(number: str = "00001", workspace: str = "checks") -> TrackedRun:
    """A run with one of everything that is told."""
    table = TrackedData("", "tables", "0123456789abcdef", rows=36)
    source = TrackedData("file", "/data/events.parquet", rows=2100)
    log = TrackedData("", "events", rows=2000, columns=(("user", "VARCHAR"),))
    end = _BEGAN + timedelta(seconds=2)
    steps = (
        TrackedStep("import", _BEGAN, end, "complete", False, (source,), (log,)),
        TrackedStep("table", end, end, "complete", True, (log,), (table,)),
        TrackedStep("verify", end, end, "failed", False, (replace(table, checks={"is sorted": False}),), ()),
    )
    return TrackedRun(
        key=f"{workspace}/{number}@{_BEGAN.isoformat()}",
        workspace=workspace,
        number=number,
        command="refresh",
        started=_BEGAN,
        ended=_BEGAN + timedelta(seconds=9),
        state="aborted",
        message="it waits for a person, 'quoted' and é",
        settings={"planner.kind": "scratch", "interests.count": "100"},
        figures={"seconds": 9.0, "gate.recall": 0.25, "rows.changed": 12.0},
        tags={"outcome": "waiting", "as_of": "2024-05-01"},
        documents={"steps.json": {"steps": [{"name": "table", "rows": 36}]}},
        steps=steps,
    )


def check_tracker(tracker: Tracker, states: Callable[[TrackedRun], Sequence[str]]) -> None:
    """Run a tracker through its port's contract; leaves runs of the workspace `checks` behind.

    Args:
        states: of the runs that are there for a run, one each, read from whoever was told.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    one, other = example_run("00001"), example_run("00002")
    assert list(states(one)) == [], "a run was there before it was told"
    tracker.send(one)
    assert list(states(one)) == ["aborted"], f"told once, there is {states(one)}"
    assert list(states(other)) == [], "another run was told with it"
    tracker.send(one)
    assert list(states(one)) == ["aborted"], f"told twice, there is {states(one)}"
    tracker.send(replace(one, state="complete", message="", tags={**one.tags, "outcome": "approved"}))
    assert list(states(one)) == ["complete"], f"told anew as complete, there is {states(one)}"
    tracker.send(other)
    assert list(states(other)) == ["aborted"], f"a second run is {states(other)}"
    assert list(states(one)) == ["complete"], "the second run changed the first"


def check_failing(tracker: Tracker, secret: str = "") -> None:
    """Tell somebody who is gone, silent or broken: it is a `TrackingError` that says whom, nothing else.

    Args:
        secret: what the message must not hold.

    Raises:
        AssertionError: a promise is broken.
    """
    found: TrackingError | None = None
    try:
        tracker.send(example_run())
    except TrackingError as error:
        found = error
    assert found is not None, "nothing was raised, though nobody was told"
    assert tracker.target in found.message, f"the message names nobody: {found.message}"
    assert found.retryable, "it can't be told again"
    assert not secret or secret not in str(found), "the message holds a secret"
