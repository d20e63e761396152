"""`freshet experiment start | stop | list`."""

from __future__ import annotations

import json
from pathlib import Path

from freshet.wiring import open_workspace
from tests.cli.conftest import answered, called


def test_an_experiment_starts_is_listed_and_stops(copy: Path) -> None:
    started = answered(
        "experiment", "start", "-w", copy, "--name", "refresh", "--control", "release:1",
        "--treatment", "follow", "--treatment", "plain=counts", "--split", "60", "--metric", "satisfied,dissatisfied",
    )  # fmt: skip
    assert started["arms"] == [
        {"name": "control", "share": 0.4, "serves": "release:1"},
        {"name": "treatment-1", "share": 0.3, "serves": "follow"},
        {"name": "plain", "share": 0.3, "serves": "counts"},
    ]
    assert (started["running"], started["metrics"]) == (True, ["satisfied", "dissatisfied"])
    kept = json.loads((copy / "experiments" / "refresh" / "started.json").read_text(encoding="utf-8"))
    assert kept["judging"]["positive"] == open_workspace(copy).config.events.positive
    [listed] = answered("experiment", "list", "-w", copy)["experiments"]
    assert listed == {key: value for key, value in started.items() if key not in ("command", "schema")}
    stopped = answered("experiment", "stop", "-w", copy, "refresh", "--reason", "enough seen")
    assert (stopped["running"], stopped["reason"]) == (False, "enough seen")
    shown = called("experiment", "list", "-w", copy).stdout
    assert "stopped: enough seen" in shown
    runs = answered("history", "-w", copy)["runs"]
    assert {"experiment start refresh", "experiment stop refresh"} <= {run["command"] for run in runs}
    [run] = [run["id"] for run in runs if run["command"] == "experiment stop refresh"]
    assert "experiment stop refresh" in called("history", "-w", copy, run).stdout


def test_what_cannot_be_is_refused_with_a_reason(copy: Path) -> None:
    def refused(*more: str) -> str:
        problem = answered(
            "experiment", "start", "-w", copy, "--name", "x", "--treatment", "follow", *more, code=2
        )
        assert not (copy / "experiments").exists()
        return str(problem["error"]["message"])

    assert "can't serve 'best'" in refused("--control", "best")
    assert "no release 77" in refused("--control", "release:77")
    assert "'negative' is not measured" in refused("--control", "follow", "--metric", "negative")
    assert "without a metric" in refused("--control", "follow", "--metric", " , ")
    assert "no experiment 'y'" in answered("experiment", "stop", "-w", copy, "y", code=2)["error"]["message"]
