"""What is counted of answers."""

from __future__ import annotations

from pathlib import Path

from freshet.core.types import Answer
from freshet.http.level_watch import LevelWatch
from freshet.http.prometheus import Level, Metrics


def test_answers_without_a_history_that_could_not_be_read_are_counted() -> None:
    metrics = Metrics()
    for degraded in (True, False, True):
        metrics.count_answer(Answer("a", 1, (), (), "popular", False, (), degraded, "", ""))
    assert "freshet_degraded_total 2.0" in metrics.text().decode()


def test_levels_become_gauges_and_what_is_not_known_is_no_number() -> None:
    metrics = Metrics()
    assert "freshet_evidence_age_seconds NaN" in metrics.text().decode()
    levels = [
        Level("evidence_age", "breach", 2.0, 6.0),
        Level("drift", "ok", 1.5, 2.5),
        Level("live_age", "unknown", None, 24.0),
        Level("scheduler", "off", 1.0, None),
    ]
    metrics.set_levels(levels, ["FreshetEvidenceOld"], 1_700_000_000.0)
    text = metrics.text().decode()
    for line in (
        "freshet_evidence_age_seconds 172800.0",
        "freshet_drift_statistic 1.5",
        "freshet_drift_null 2.5",
        "freshet_live_age_seconds NaN",
        "freshet_model_age_seconds NaN",
        'freshet_service_level{level="evidence_age"} 2.0',
        'freshet_service_level{level="live_age"} -1.0',
        'freshet_service_level{level="scheduler"} 0.0',
        'freshet_service_level_objective{level="evidence_age"} 6.0',
        'freshet_alerts_firing{alert="FreshetEvidenceOld"} 1.0',
    ):
        assert line in text
    metrics.set_levels(levels[1:], [], 1_700_000_300.0)
    text = metrics.text().decode()
    assert "FreshetEvidenceOld" not in text  # what is over is gone
    assert "freshet_levels_every_seconds NaN" in text
    assert 'level="evidence_age"' not in text


def test_how_often_levels_are_looked_at_is_told(tmp_path: Path) -> None:
    metrics = Metrics()
    watch = LevelWatch(tmp_path, metrics)
    for minutes in (90, 0):
        (tmp_path / "freshet.toml").write_text(f"[alerts]\nevery_minutes = {minutes}\n")
        watch.seconds()
        assert f"freshet_levels_every_seconds {minutes * 60}.0" in metrics.text().decode()
