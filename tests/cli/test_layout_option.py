"""Published data sets at the command line: recognised, said, forced and forbidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import answered, called
from tests.stages.events import published


@pytest.mark.parametrize(
    ("make", "name", "rule"),
    [
        (published.mind, "mind", ""),
        (published.kuairand, "kuairand", "value >= 1"),
        (published.amazon, "amazon-reviews-2023", "value >= 4"),
        (published.yambda, "yambda", "value > 50"),
    ],
)
def test_init_says_what_it_recognises_and_takes_the_usual_rule(
    tmp_path: Path, make: object, name: str, rule: str
) -> None:
    data = make(tmp_path / "data")  # type: ignore[operator]
    told = answered("init", tmp_path / "w", "--events", data)
    (found,) = told["layouts"]
    assert (found["name"], found["positive"]) == (name, rule)
    assert told["chosen"]["events"]["positive"] == rule
    (file,) = answered("import", "-w", tmp_path / "w")["files"]
    assert file["layout"] == name
    assert file["rows"] == file["added"] + file["duplicates"] + sum(file["quarantined"].values())


def test_a_rule_that_is_given_goes_before_the_usual_one(tmp_path: Path) -> None:
    data = published.amazon(tmp_path / "data")
    told = answered("init", tmp_path / "w", "--events", data, "--positive", "value >= 5")
    assert told["chosen"]["events"]["positive"] == "value >= 5"


def test_a_layout_can_be_forced_and_forbidden(tmp_path: Path) -> None:
    data = published.mind(tmp_path / "data")
    told = answered("init", tmp_path / "w", "--events", data, "--layout", "mind")
    assert told["chosen"]["events"]["layout"] == "mind"
    done = called("import", "-w", tmp_path / "w", "--layout", "none")
    assert done.returncode == 2
    assert "has no column" in done.stderr
    done = called("import", "-w", tmp_path / "w", "--layout", "nonesuch")
    assert done.stderr.startswith("error: --layout 'nonesuch' is no layout")


def test_what_can_be_no_log_is_refused_at_once(tmp_path: Path) -> None:
    done = called("init", tmp_path / "w", "--events", published.lastfm_totals(tmp_path / "data"))
    assert done.returncode == 2
    assert "says of no play when it was" in done.stderr
    assert not (tmp_path / "w" / "freshet.toml").exists()
