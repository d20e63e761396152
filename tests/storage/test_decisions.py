"""Decisions: written once, read back in order, and found in the ledger of an earlier Freshet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from freshet.core.errors import ArtifactError
from freshet.storage.decisions import GUARDRAIL, Decision, Decisions, Review, Rollback, Stop
from freshet.storage.ledger import Ledger, Record, StepRecord


def test_decisions_read_back_in_the_order_of_their_runs(tmp_path: Path) -> None:
    kept = Decisions(tmp_path)
    assert kept.all() == []
    stop = Decision("00003", Stop("try"), GUARDRAIL, "harm")
    back = Decision("00003", Rollback(1, 2), GUARDRAIL, "harm", "2026-01-01T00:00:00+00:00")
    review = Decision("00002", Review("table", "abc", accepted=False), "Ada")
    for one in (back, stop, review):
        kept.record(one)
    assert kept.all() == [review, back, stop]
    assert [one.kind for one in kept.all()] == ["rejection", "rollback", "stop"]
    assert kept.rollbacks() == [(back, Rollback(1, 2))]
    assert stop.at.endswith("+00:00")
    assert [path.name for path in kept.paths()] == ["00002-1.json", "00003-1.json", "00003-2.json"]


def test_the_tenth_decision_of_a_run_follows_the_ninth(tmp_path: Path) -> None:
    kept = Decisions(tmp_path)
    for place in range(11):
        kept.record(Decision("00001", Stop(f"number-{place}")))
    assert [one.subject for one in kept.all()] == [Stop(f"number-{place}") for place in range(11)]


def test_the_last_review_counts(tmp_path: Path) -> None:
    kept = Decisions(tmp_path)
    kept.record(Decision("00001", Review("model", "m", accepted=True), "Ada"))
    kept.record(Decision("00004", Review("model", "m", accepted=False), "Bea"))
    kept.record(Decision("00005", Review("table", "m", accepted=True), "Ada"))
    found = kept.review("model", "m")
    assert found is not None
    assert (found.kind, found.by) == ("rejection", "Bea")
    assert kept.review("model", "another") is None


def entry(root: Path, number: int, steps: list[tuple[str, dict[str, Any]]], **more: Any) -> Record:
    record = Record(f"{number:05d}", "run", "2024-01-01", "2024-01-02T00:00:00+00:00", **more)
    record.steps = [StepRecord(name, details=details) for name, details in steps]
    Ledger(root).save(record)
    return record


def test_an_earlier_ledger_tells_what_was_decided(tmp_path: Path) -> None:
    entry(
        tmp_path,
        1,
        [
            ("guard", {}),
            ("rollback", {"from": 2, "reason": "experiment try: harm"}),
            ("experiment", {"experiment": "try", "stopped": "harm"}),
        ],
        release=1,
    )
    entry(tmp_path, 2, [("rollback", {"from": 1})], release=2)
    entry(tmp_path, 3, [("experiment", {"experiment": "other", "stopped": "enough"})])
    entry(tmp_path, 4, [("experiment", {"experiment": "third", "arms": {}})])
    entry(tmp_path, 5, [], outcome="approved", waiting={"model": "m", "report": {}}, reviewer="Ada")
    entry(tmp_path, 6, [], outcome="waiting", waiting={"table": "t"})
    entry(tmp_path, 7, [("rollback", {"from": 2})], outcome="failed")  # before the pointer moved
    when = "2024-01-02T00:00:00+00:00"
    assert Decisions(tmp_path).all() == [
        Decision("00001", Rollback(1, 2), GUARDRAIL, "experiment try: harm", when),
        Decision("00001", Stop("try"), GUARDRAIL, "harm", when),
        Decision("00002", Rollback(2, 1), "", "", when),
        Decision("00003", Stop("other"), "", "enough", when),
        Decision("00005", Review("model", "m", accepted=True), "Ada", "", ""),
    ]


def test_what_is_recorded_is_not_read_from_the_ledger_again(tmp_path: Path) -> None:
    kept = Decisions(tmp_path)
    entry(
        tmp_path,
        1,
        [("rollback", {"from": 2}), ("experiment", {"experiment": "e", "stopped": ""})],
        release=1,
    )
    back = Decision("00001", Rollback(1, 2))
    kept.record(back)
    assert kept.rollbacks() == [(back, Rollback(1, 2))]
    assert [one.kind for one in kept.all()] == ["rollback", "stop"]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "whim"},
        {"by": 3},
        {"release": None, "more": 1},
        {"kind": "stop"},
        {"release": "x"},
        {"before": []},
        {"run": "00002"},
    ],
)
def test_a_damaged_decision_is_named(tmp_path: Path, change: dict[str, Any]) -> None:
    kept = Decisions(tmp_path)
    kept.record(Decision("00001", Rollback(1, 2)))
    [path] = kept.paths()
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"00001-1\.json is no decision"):
        kept.all()


@pytest.mark.parametrize("change", [{"of": "person"}, {"version": 3}])
def test_a_damaged_review_is_named(tmp_path: Path, change: dict[str, Any]) -> None:
    kept = Decisions(tmp_path)
    kept.record(Decision("00001", Review("table", "abc", accepted=True)))
    [path] = kept.paths()
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"00001-1\.json is no decision"):
        kept.review("table", "abc")
