"""Drift of a whole log, and its page."""

from __future__ import annotations

from datetime import date
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from freshet.core.time import day_name
from freshet.core.types import RECENT, Transitions
from freshet.report.drift_page import render_drift, sentences
from freshet.stages.schedule.log_drift import drift_of, month_edges

SIZE, EDGES = 10, [0, 28, 56, 84]
LOG: dict[str, Any] = {
    "name": "<shop>",
    "simulated": True,
    "from": "1970-01-01",
    "to": "1970-03-25",
    "as_of": "1970-03-26",
    "every": "28d",
    "transitions": 9000,
    "users": 400,
    "min_support": 10,
    "permutations": 25,
}


def planted(change: int | None, seed: int = 0, rows: int = 9000) -> Transitions:
    """Successors by one matrix for pairs, or from a day on by another."""
    rng = np.random.default_rng([seed, 11])
    odds = rng.dirichlet(np.full(SIZE, 0.5), (2, SIZE, SIZE))
    day = rng.integers(0, 84, rows)
    recent = np.full((rows, RECENT), -1, np.int16)
    recent[:, -2:] = rng.integers(0, SIZE, (rows, 2))
    recent[:300, -2] = -1
    after = np.zeros(rows, int) if change is None else (day >= change).astype(int)
    reach = odds[after, recent[:, -2], recent[:, -1]].cumsum(axis=1)
    successor = np.minimum((rng.random(rows)[:, None] > reach).sum(axis=1), SIZE - 1).astype(np.int16)
    user = rng.integers(0, 400, rows).astype(np.uint64)
    return Transitions.on_days(user, day.astype(np.int32), recent, successor, np.zeros((rows, SIZE), bool))


def measured(change: int | None, seed: int = 0) -> dict[str, Any]:
    return drift_of(planted(change, seed), EDGES, permutations=25)


def test_a_change_lies_below_the_null_and_a_static_log_does_not() -> None:
    moved, still = measured(56), measured(None)
    assert moved["from"] == "pair"
    assert moved["z"] < -5 < -2.5 < still["z"] < 2.5
    assert moved["jaccard"] < moved["low"]
    assert SIZE * SIZE < moved["n"] == moved["pair"]["n"] <= 2 * SIZE * SIZE
    before, across = moved["pair"]["windows"]
    assert abs(before["z"]) < 3 < -across["z"]


def test_the_curve_by_distance_falls_where_the_world_moves_on() -> None:
    near, far = measured(56)["last"]["decay"]
    assert (near["days"], far["days"]) == (28.0, 56.0)
    assert far["jaccard"] < near["jaccard"] - 0.05


def test_what_moved_most_is_named_with_its_shares() -> None:
    rows = planted(None)
    late = (rows.day >= 42) & (rows.recent[:, -1] == 3)
    rows.successor[late] = 5
    (first, *_) = drift_of(rows, EDGES, permutations=25)["last"]["moved"]
    assert first["context"] == (3,)
    assert first["rising"] == 5
    assert first["rising_shares"][1] > first["rising_shares"][0] + 0.3
    assert first["z"] < -2


def test_too_thin_a_log_says_so() -> None:
    found = drift_of(planted(None, rows=20), EDGES, permutations=20)
    assert found["n"] == 0
    assert found["jaccard"] is None
    assert "too thin" in sentences(found, LOG)[0]


def test_months_are_those_of_the_calendar() -> None:
    edges = month_edges(date(2013, 2, 28), date(2013, 5, 1))
    assert [day_name(edge) for edge in edges] == ["2013-03-01", "2013-04-01", "2013-05-01"]
    assert [day_name(edge) for edge in month_edges(date(2013, 12, 1), date(2014, 1, 31))] == [
        "2013-12-01",
        "2014-01-01",
    ]


@pytest.mark.parametrize("change", [None, 56])
def test_the_page_answers_first_and_needs_nothing_else(change: int | None) -> None:
    found = measured(change)
    for kind in ("pair", "last"):
        for window in found[kind]["windows"]:
            window.update({key: day_name(window[key]) for key in ("start", "middle", "end")})
    text = render_drift({"log": LOG, "drift": found})
    HTMLParser().feed(text)
    assert sentences(found, LOG)[0] in text
    assert text.index("<h1>") < text.index("<svg")
    assert "&lt;shop&gt;" in text
    assert "SIMULATED" in text
    assert "<script" not in text
    assert "http" not in text.replace("http://www.w3.org/", "")
