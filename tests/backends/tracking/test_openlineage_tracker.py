"""OpenLineage events at a receiver that listens, and in a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from freshet.backends.tracking.openlineage_tracker import KEY_VARIABLE, OpenLineageTracker, run_id
from freshet.checks.tracker import check_failing, check_tracker, example_run
from freshet.core.ports import TrackedRun
from tests.backends.tracking.receiver import receiving

STATES = {"COMPLETE": "complete", "FAIL": "failed", "ABORT": "aborted"}


def states(events: Sequence[dict[str, Any]], run: TrackedRun) -> list[str]:
    """How the runs ended that stand for a run: the last word on each id counts."""
    found: dict[str, str] = {}
    for event in events:
        if event["job"]["name"] != run.command:
            continue
        if event["eventType"] in STATES:
            found[event["run"]["runId"]] = STATES[event["eventType"]]
    return [state for identity, state in found.items() if identity == run_id(run)]


def facets_of(event: dict[str, Any]) -> list[dict[str, Any]]:
    found = [*event["run"]["facets"].values(), *event["job"]["facets"].values()]
    for data in (*event["inputs"], *event["outputs"]):
        for kind in ("facets", "inputFacets", "outputFacets"):
            found += data.get(kind, {}).values()
    return found


def is_an_event(event: dict[str, Any]) -> None:
    """What the specification's schema of a RunEvent demands."""
    assert event["eventType"] in ("START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER")
    assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
    UUID(event["run"]["runId"])
    for address in (event["producer"], event["schemaURL"]):
        assert urlsplit(address).scheme
    for named in (event["job"], *event["inputs"], *event["outputs"]):
        assert named["namespace"]
        assert named["name"]
    for facet in facets_of(event):
        assert urlsplit(facet["_producer"]).scheme
        assert urlsplit(facet["_schemaURL"]).scheme


def test_a_server_is_told_by_the_contract() -> None:
    with receiving() as server:
        tracker = OpenLineageTracker(server.url, 10.0)
        check_tracker(tracker, lambda run: states([body for _, body in server.bodies], run))
    assert {path for path, _ in server.bodies} == {"/api/v1/lineage"}
    assert set(server.keys) == {""}


def test_a_file_is_told_by_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lineage.jsonl"

    def there(run: TrackedRun) -> list[str]:
        lines = path.read_text().splitlines() if path.exists() else []
        return states([json.loads(line) for line in lines], run)

    check_tracker(OpenLineageTracker(str(path), 1.0), there)


def test_events_are_as_the_specification_has_them(tmp_path: Path) -> None:
    path = tmp_path / "lineage.jsonl"
    run = example_run()
    OpenLineageTracker(str(path), 1.0).send(run)
    events = [json.loads(line) for line in path.read_text().splitlines()]
    for event in events:
        is_an_event(event)
    by_run: dict[str, list[str]] = {}
    for event in events:
        by_run.setdefault(event["run"]["runId"], []).append(event["eventType"])
    assert sorted(by_run.values()) == [["START", "ABORT"], ["START", "COMPLETE"], ["START", "COMPLETE"], ["START", "FAIL"]]  # fmt: skip
    assert [event["eventTime"] for event in events[:-1]] == sorted(
        event["eventTime"] for event in events[:-1]
    )
    whole, last = events[0], events[-1]
    assert whole["run"]["runId"] == last["run"]["runId"]
    assert last["run"]["facets"]["errorMessage"]["message"] == run.message
    steps = [event for event in events if event["job"]["name"] != "refresh"]
    assert {event["run"]["facets"]["parent"]["run"]["runId"] for event in steps} == {whole["run"]["runId"]}
    imported = next(e for e in steps if e["job"]["name"] == "refresh.import" and e["eventType"] == "COMPLETE")
    assert imported["inputs"][0]["inputFacets"]["inputStatistics"]["rowCount"] == 2100
    assert imported["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 2000
    assert imported["outputs"][0]["facets"]["schema"]["fields"][0]["name"] == "user"
    made = next(e for e in steps if e["job"]["name"] == "refresh.table" and e["eventType"] == "COMPLETE")
    assert made["outputs"][0]["facets"]["version"]["datasetVersion"] == "0123456789abcdef"
    assert made["outputs"][0]["namespace"] == "freshet://checks"
    failed = next(e for e in steps if e["eventType"] == "FAIL")
    (assertion,) = failed["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert assertion["success"] is False


@pytest.mark.parametrize("broken", ["run", "job", "eventTime", "_producer"])
def test_the_check_of_events_refuses_what_is_none(broken: str, tmp_path: Path) -> None:
    path = tmp_path / "lineage.jsonl"
    OpenLineageTracker(str(path), 1.0).send(example_run())
    event = json.loads(path.read_text().splitlines()[0])
    is_an_event(event)
    holder = event if broken in event else event["job"]["facets"]["jobType"]
    del holder[broken]
    with pytest.raises(KeyError):
        is_an_event(event)


def test_a_key_goes_into_the_header_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "canary-0123456789")
    with receiving() as server:
        OpenLineageTracker(server.url, 10.0).send(example_run())
    assert set(server.keys) == {"Bearer canary-0123456789"}
    assert "canary" not in json.dumps(server.bodies)


@pytest.mark.parametrize("how", ["error", "silent"])
def test_a_server_that_fails_is_named(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "canary-0123456789")
    with receiving(how) as server:
        check_failing(OpenLineageTracker(server.url, 0.2), "canary")
    assert not server.bodies


def test_a_server_that_is_gone_or_a_file_that_cannot_be_is_named(tmp_path: Path) -> None:
    with receiving() as server:
        gone = server.url
    check_failing(OpenLineageTracker(gone, 5.0))
    (tmp_path / "folder").mkdir()
    check_failing(OpenLineageTracker(str(tmp_path / "folder"), 5.0))
