"""What an experiment is judged by stays what it was at its start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from freshet.core.config import parse
from freshet.experiments.measurement.experiment_metrics import metrics
from freshet.experiments.measurement.frozen_rules import as_started, changed, kept_columns, rules_of
from tests.experiments.exposed import experiment, workspace

THEN = """
[events]
positive = "value >= 7"
[experiments]
satisfied = "liked = 'yes'"
smallest_effect = 0.02
[[experiments.metrics]]
name = "hidden"
counts = "hid = 'yes'"
better = "lower"
"""
NOW = """
[events]
positive = "value >= 9"
[transitions]
novelty_days = 7
[experiments]
smallest_effect = 0.5
negative = "hid = 'yes'"
[[experiments.metrics]]
name = "hidden"
counts = ""
[[experiments.metrics]]
name = "other"
counts = "value = 1"
"""


def test_rules_of_the_start_are_in_force() -> None:
    then, now = parse(THEN, "then"), parse(NOW, "now")
    started = replace(experiment(), rules=rules_of(then))
    found = as_started(now, started)
    wanted, mine = metrics(then), metrics(found)
    assert {name: mine[name] for name in wanted} == wanted
    assert (found.experiments.smallest_effect, found.transitions.novelty_days) == (
        0.02,
        then.transitions.novelty_days,
    )
    # what was no metric then, and so not what it was started for, may be asked for as it is now
    assert {name: mine[name] for name in ("negative", "other")} == {
        name: metrics(now)[name] for name in ("negative", "other")
    }


def test_what_is_set_otherwise_by_now_is_told() -> None:
    then, now = parse(THEN, "then"), parse(NOW, "now")
    started = replace(experiment(), rules=rules_of(then))
    assert changed(then, started) == {}
    found = changed(now, started)
    assert found["[events] positive"] == ("value >= 7", "value >= 9")
    assert found["[experiments] smallest_effect"] == (0.02, 0.5)
    assert found["[[experiments.metrics]] hidden"][1]["counts"] == ""
    assert set(found) == {
        "[events] positive",
        "[transitions] novelty_days",
        "[experiments] satisfied",
        "[experiments] negative",
        "[experiments] smallest_effect",
        "[[experiments.metrics]] hidden",
        "[[experiments.metrics]] other",
    }


def test_experiments_without_rules_go_by_those_of_today() -> None:
    now = parse(NOW, "now")
    assert as_started(now, experiment()) == now
    assert changed(now, experiment()) == {}


def test_imports_keep_what_an_experiment_is_judged_by(tmp_path: Path) -> None:
    ws = workspace(tmp_path)
    assert "liked" not in kept_columns(ws)
    ws.experiments.start(replace(experiment("other"), rules=rules_of(parse(THEN, "then"))))
    assert {"liked", "hid", "value", "impression"} <= set(kept_columns(ws))
