"""Figures of a run, by the details of its steps."""

from __future__ import annotations

from freshet.storage.ledger import Record, StepRecord
from freshet.tracking.run_figures import run_figures

GAIN = {"nll": 0.02, "low": 0.01, "high": 0.03}


def test_steps_give_the_figures_that_they_measured() -> None:
    ranker = {"value": 0.5, "low": 0.4, "high": 0.6}
    steps = [
        StepRecord("import", details={"read": 9, "added": 7, "duplicates": 1, "quarantined": {"no time": 1}}),
        StepRecord("gates", details={"gates": {"recall": {"value": None, "passed": False}}}),
        StepRecord("inference", seconds=2.0, tokens=5, details={"rows": 35, "changed": 12}),
        StepRecord("table", seconds=1.0, details={"drives": {"against_parts": {"counts": GAIN}}}),
        StepRecord("table", seconds=0.5, details={"rows": 36}),
        StepRecord("churn", details={"churn": 0.1, "churn_floor": float("nan")}),
        StepRecord("overlay", details={"gain": None}),
        StepRecord("ranker", details={"judged": {"hit@10": {"ranker": ranker, "difference": ranker}}}),
    ]
    found = run_figures(Record("00001", "run", "", "2024-05-01T00:00:00+00:00", steps=steps))
    expected = {
        **{"events.read": 9.0, "events.added": 7.0, "events.duplicates": 1.0, "events.quarantined": 1.0},
        **{"gate.recall.passed": 0.0, "rows": 36.0, "rows.changed": 12.0, "churn": 0.1, "tokens": 5.0},
        **{"gain.over_counts": 0.02, "gain.over_counts.low": 0.01, "gain.over_counts.high": 0.03},
        **{"ranker.hit_at_10": 0.5, "ranker.hit_at_10.gain.low": 0.4, "step.table.seconds": 1.5},
    }
    assert {name: found.get(name) for name in expected} == expected
    assert not {"gate.recall", "churn.floor", "gain.live"} & set(found)
