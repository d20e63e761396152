"""The registry: what was started reads back, is stopped once, and can't be unsound."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from freshet.core.errors import ArtifactError, ConfigError
from freshet.core.types import Experiment, ExperimentArm, MeasurementRules, MetricRule, Serves
from freshet.storage.experiment_registry import Experiments, parse_serves

ONE = Experiment(
    "one",
    "salt",
    (ExperimentArm("control", 0.4, Serves(12)), ExperimentArm("new", 0.6, Serves(None, "counts"))),
    0.5,
    ("satisfied", "negative"),
    5_000,
    12,
    28,
    True,
)


def test_what_was_started_reads_back(tmp_path: Path) -> None:
    kept = Experiments(tmp_path)
    assert (kept.all(), kept.stamp()) == ([], ())
    kept.start(ONE)
    assert kept.get("one") == ONE
    kept.start(replace(ONE, name="earlier", start=4_000))
    assert [one.name for one in kept.running()] == ["earlier", "one"]


def test_what_it_is_judged_by_reads_back_and_older_ones_have_none(tmp_path: Path) -> None:
    kept = Experiments(tmp_path)
    own = MetricRule("hidden", "outcome = 'hidden'", "user", "lower", True)
    judged = replace(ONE, rules=MeasurementRules("value >= 7", "ever", "", "", "", 0.01, (own,)))
    kept.start(judged)
    assert kept.get("one") == judged
    path = tmp_path / "experiments" / "one" / "started.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    del said["judging"]
    path.write_text(json.dumps(said), encoding="utf-8")
    assert kept.get("one").rules is None
    path.write_text(json.dumps(said | {"judging": {"positive": ""}}), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"started\.json"):
        kept.get("one")


def test_stopping_is_for_good(tmp_path: Path) -> None:
    kept = Experiments(tmp_path)
    kept.start(ONE)
    before = kept.stamp()
    stopped = kept.stop("one", 9_000, "harm")
    assert stopped == replace(ONE, stop=9_000, reason="harm") == kept.get("one")
    assert kept.stamp() != before
    assert kept.running() == ()
    with pytest.raises(ConfigError, match="stopped already"):
        kept.stop("one", 9_500, "again")
    with pytest.raises(ConfigError, match="exists"):
        kept.start(ONE)


def test_an_arm_serves_the_release_of_the_start_until_it_has_its_own(tmp_path: Path) -> None:
    kept = Experiments(tmp_path)
    kept.start(ONE)
    assert kept.pointer(ONE, "new") == 12
    before = kept.stamp()
    kept.point("one", "new", 15)
    assert kept.pointer(ONE, "new") == 15
    assert kept.stamp() != before
    (tmp_path / "experiments" / "one" / "new.release").write_text("fifteen")
    with pytest.raises(ArtifactError, match=r"new\.release is damaged"):
        kept.pointer(ONE, "new")


@pytest.mark.parametrize(
    ("text", "serves"),
    [
        ("follow", Serves()),
        ("release:12", Serves(12)),
        ("counts", Serves(None, "counts")),
        ("release:3/hybrid", Serves(3, "hybrid")),
        ("hybrid-live", Serves(None, "hybrid-live")),
    ],
)
def test_what_an_arm_serves_is_written_as_it_is_read(text: str, serves: Serves) -> None:
    assert parse_serves(text) == serves
    assert str(serves) == text


@pytest.mark.parametrize(
    "text", ["", "release:", "release:0", "release:x", "best", "follow/best", "release:1/", "published"]
)
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="can't serve"):
        parse_serves(text)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "../up"}, "can't be called"),
        ({"name": ""}, "can't be called"),
        ({"arms": ONE.arms[:1]}, "two or more"),
        ({"arms": (ONE.arms[0], replace(ONE.arms[1], name="control"))}, "two or more"),
        ({"arms": (ONE.arms[0], replace(ONE.arms[1], share=0.5))}, "1 in all"),
        ({"arms": (replace(ONE.arms[0], name="a b"), ONE.arms[1])}, "letters"),
        ({"traffic": 0.0}, "traffic"),
        ({"traffic": 1.5}, "traffic"),
        ({"metrics": ()}, "without a metric"),
        ({"days": 0}, "planned length"),
    ],
)
def test_unsound_experiments_are_refused(tmp_path: Path, change: dict, why: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Experiments(tmp_path).start(replace(ONE, **change))
    assert why in f"{refused.value.message} {refused.value.hint}"
    assert not (tmp_path / "experiments").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("start", 2**70),
        ("start", "yesterday"),
        ("days", [14]),
        ("days", 0),
        ("traffic", float("nan")),
        ("metrics", [1]),
        ("began", None),
        ("arms", [{"name": "control", "share": 1.0, "serves": "follow"}]),
    ],
)
def test_values_that_nobody_started_it_with_are_named(tmp_path: Path, key: str, value: object) -> None:
    kept = Experiments(tmp_path)
    kept.start(ONE)
    path = tmp_path / "experiments" / "one" / "started.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {key: value}))
    with pytest.raises(ArtifactError, match=r"started\.json"):
        kept.all()
    assert kept.running() == ()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    kept = Experiments(tmp_path)
    kept.start(ONE)
    (tmp_path / "experiments" / "one" / "started.json").write_text('{"name": "one"}')
    with pytest.raises(ArtifactError, match=r"one/started\.json"):
        kept.all()
    kept.start(replace(ONE, name="sound"))
    assert [one.name for one in kept.running()] == ["sound"]
    for damage in ("{", "[]", "null", '{"arms": [{"name": "a", "share": "many", "serves": "follow"}]}'):
        (tmp_path / "experiments" / "one" / "started.json").write_text(damage)
        found, damaged = kept.found()
        assert ([one.name for one in found], [*damaged]) == (["sound"], ["one"])
        assert "started.json" in damaged["one"].message
    with pytest.raises(ConfigError, match="there is no experiment 'two'"):
        Experiments(tmp_path / "other").get("two")
