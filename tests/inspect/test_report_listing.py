"""Reports of a workspace are listed with what they say; damaged ones with what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from freshet.inspect.report_listing import report, reports
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace

LOG = {"from": "2024-01-01", "to": "2024-03-01", "currency": "USD", "simulated": True}
HIT = {"value": 0.5, "ci95": [0.4, 0.6]}


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """A workspace in which nothing was run."""
    (tmp_path / "freshet.toml").write_text('[events]\nfiles = ["events.csv"]\n')
    return open_workspace(tmp_path)


def put(ws: Workspace, name: str, document: Any, page: bool = True) -> Path:
    path = ws.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    if page:
        path.with_suffix(".html").write_text("<!doctype html><h1>a report</h1>")
    return path


def replay() -> dict[str, Any]:
    arms = {
        arm: {"hit_at_5": {"value": hit, "ci95": None}, "cost": {"per_30_days": {"money": cost}}}
        for arm, hit, cost in (("counts", 0.3, 0.0), ("hybrid", 0.4, 2.5))
    }
    said = {"headline": "Refresh daily.", "why": "It pays.", "drift": None, "cadence": ["Often."]}
    return {"log": LOG, "recommendation": said, "arms": arms, "cost": {"unit": "money"}}


def test_nothing_yet(ws: Workspace) -> None:
    assert reports(ws) == []
    assert report(ws, "drift") is None


def test_what_reports_say(ws: Workspace) -> None:
    put(ws, "replay/2024-01-01_2024-03-01_7d/replay.json", replay())
    schedules = [{"arm": "static", "hit_at_5": HIT, "cost": {"all": {"seconds": 3.0}}}]
    put(
        ws,
        "cadence/cadence.json",
        {"log": LOG, "unit": "seconds", "schedules": schedules, "text": ["Weekly."]},
    )
    put(ws, "drift/drift.json", {"log": {**LOG, "simulated": False}, "answer": ["No drift."]}, page=False)
    (ws.root / "report.html").write_text("<!doctype html>")
    found = {line.key: line for line in reports(ws)}
    assert set(found) == {"replay/2024-01-01_2024-03-01_7d", "cadence", "drift", "workspace"}
    one = found["replay/2024-01-01_2024-03-01_7d"]
    assert one.title == "Replay of 2024-01-01 to 2024-03-01"
    assert one.sentences == ("Refresh daily.", "It pays.", "Often.")
    assert [(figure.name, figure.hit, figure.cost) for figure in one.figures] == [
        ("hybrid", 0.4, 2.5),
        ("counts", 0.3, 0.0),
    ]
    assert (one.unit, one.simulated) == ("USD", True)
    assert found["cadence"].unit == "seconds"
    assert found["cadence"].figures[0].high == 0.6
    assert found["drift"].page is None
    assert found["drift"].simulated is False


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"log": 3}', '{"recommendation": {}, "log": {}}', "\0"])
def test_a_damaged_document_is_listed_with_what_is_wrong(ws: Workspace, text: str) -> None:
    put(ws, "replay/a/replay.json", text)
    put(ws, "drift/drift.json", text)
    found = reports(ws)
    assert [bool(line.trouble) for line in found] == [True, True]
    assert all(line.page is not None and not line.sentences for line in found)


def test_a_report_that_was_written_anew_is_read_anew(ws: Workspace) -> None:
    put(ws, "drift/drift.json", {"log": LOG, "answer": ["Before."]})
    assert reports(ws)[0].sentences == ("Before.",)
    put(ws, "drift/drift.json", {"log": LOG, "answer": ["And after."]})
    assert reports(ws)[0].sentences == ("And after.",)


def test_an_experiment_is_told_by_its_start_until_it_has_a_report(ws: Workspace) -> None:
    arms = [
        {"name": "control", "share": 0.5, "serves": "follow"},
        {"name": "new", "share": 0.5, "serves": "counts"},
    ]
    started = {
        "name": "june",
        "salt": "s",
        "arms": arms,
        "traffic": 0.2,
        "metrics": ["satisfied"],
        "start": 1_717_200_000_000_000,
        "began": 1,
    }
    path = put(ws, "experiments/june/started.json", started, page=False)
    put(ws, "experiments/broken/started.json", "{", page=False)
    found = {line.key: line for line in reports(ws)}
    assert "experiment/june" in found, path
    assert found["experiment/june"].sentences[0] == "Runs since 2024-06-01, 14 days planned."
    assert "20% of all users" in found["experiment/june"].sentences[1]
    assert found["experiment/june"].page is None
    assert found["experiment/broken"].trouble
