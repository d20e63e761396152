"""Groups part the judged transitions, and together they are the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.replay.figures import summarise
from freshet.replay.figures.aligned import align
from freshet.replay.figures.groups import TITLES, divide
from freshet.replay.frames import CIRCUMSTANCES
from tests.replay.synthetic import Frames, frames

DIVISIONS = [title.key for title in TITLES]
FOUND = frames({"hybrid": 0.3, "counts": 0.25, "popularity": 0.2}, transitions=400, users=60)


def told(found: Frames, draws: int = 20) -> dict[str, Any]:
    return summarise(
        found.judged, found.states, found.costs, found.log, circumstances=found.circumstances, draws=draws
    )


def with_circumstances(**columns: Any) -> pa.Table:
    """Those of FOUND with other values."""
    table = FOUND.circumstances
    assert table is not None
    for name, values in columns.items():
        field = CIRCUMSTANCES.field(name)
        table = table.set_column(table.column_names.index(name), field, pa.array(values, field.type))
    return table


counts = st.lists(st.one_of(st.none(), st.integers(0, 500)), min_size=400, max_size=400)
ages = st.lists(st.one_of(st.none(), st.floats(0, 4000, width=32)), min_size=400, max_size=400)


@settings(max_examples=15, deadline=None)
@given(counts, ages, st.lists(st.integers(0, 400), min_size=400, max_size=400), st.randoms())
def test_every_transition_is_in_one_group_of_each_division(
    support: list, age: list, engaged: list, random: Any
) -> None:
    frame = with_circumstances(support=support, item_age=age, engagements=engaged)
    order = list(range(len(frame)))
    random.shuffle(order)
    aligned = align(FOUND.judged, 40)
    found = divide(aligned, frame.take(pa.array(order)))
    assert list(found) == DIVISIONS
    where = {(str(row["origin"]), row["row"]): row for row in frame.to_pylist()}
    for number in range(0, len(aligned), 13):
        day = str(np.datetime64(int(aligned.origin[number]), "D"))
        row = where[day, int(aligned.row[number])]
        keys = {name: one.keys[one.place[number]] for name, one in found.items()}
        assert holds(keys["by_support"], row["support"], "no-context")
        assert holds(keys["by_item_age"], row["item_age"], "unseen")
        assert holds(keys["by_user_age"], row["engagements"], "")
    for one in found.values():
        assert len(one.keys) == len(one.words) == len(set(one.keys))
        assert set(one.place.tolist()) == set(range(len(one.keys)))


def holds(key: str, value: float | None, missing: str) -> bool:
    """Whether a value belongs to the group of a key, as `10-99`, `7-30d` or `100+` say it."""
    if value is None:
        return key == missing
    if key.endswith("+"):
        return value >= float(key.rstrip("d+"))
    low, _, high = key.removesuffix("d").partition("-")
    if key.endswith("d"):  # up to but without the upper edge
        return float(low) <= value < float(high)
    return float(low) <= value <= float(high or low)


def test_ages_are_in_quarters_where_the_log_is_fast_or_slow() -> None:
    age = np.linspace(0.01, 2, 400)
    found = divide(align(FOUND.judged, 40), with_circumstances(item_age=age))["by_item_age"]
    assert found.keys == ("0-0.51d", "0.51-1d", "1-1.5d", "1.5d+")
    assert np.bincount(found.place).min() > 90
    usual = divide(align(FOUND.judged, 40), with_circumstances(item_age=age * 60))["by_item_age"]
    assert usual.keys == ("0-7d", "7-30d", "30-90d", "90d+")


def test_one_age_for_all_is_one_group() -> None:
    found = divide(align(FOUND.judged, 40), with_circumstances(item_age=[0.0] * 400))["by_item_age"]
    assert found.keys == ("0d+",)


@pytest.mark.parametrize("division", DIVISIONS)
def test_the_whole_difference_is_the_mean_of_the_groups(division: str) -> None:
    document = told(FOUND)
    for pair, difference in document["differences"].items():
        lines = difference[division].values()
        n = sum(line["n"] for line in lines)
        assert n == document["log"]["n"]
        for figure in ("hit_at_5", "nll"):
            mean = sum(line["n"] * line[figure]["value"] for line in lines) / n
            assert mean == pytest.approx(difference[figure]["value"], abs=1e-9), (pair, figure)
    for arm in document["arms"].values():
        mean = sum(line["n"] * line["nll"]["value"] for line in arm[division].values()) / n
        assert mean == pytest.approx(arm["nll"]["value"])


def test_sizes_stand_beside_the_figures() -> None:
    document = told(FOUND)
    support = FOUND.circumstances["support"].to_pylist()  # type: ignore[index]
    users = FOUND.judged.filter(pa.compute.equal(FOUND.judged["arm"], "counts"))["user"].to_pylist()
    lines = document["groups"]["by_support"]
    assert lines["10-99"]["n"] == sum(one is not None and 10 <= one < 100 for one in support)
    assert lines["no-context"]["n"] == sum(one is None for one in support)
    # the frames of these transitions are in one order
    assert lines["0"]["users"] == len({user for user, one in zip(users, support, strict=True) if one == 0})
    line = document["differences"]["hybrid_vs_counts"]["by_support"]["0"]
    assert (line["n"], line["users"]) == (lines["0"]["n"], lines["0"]["users"])
    assert line["nll"]["ci95"][0] < line["nll"]["value"] < line["nll"]["ci95"][1]


def test_without_circumstances_there_are_no_groups() -> None:
    document = summarise(FOUND.judged, FOUND.states, FOUND.costs, FOUND.log, draws=20)
    assert document["groups"] == {}
    assert "by_support" not in document["differences"]["hybrid_vs_counts"]
    assert document["recommendation"]["groups"]["text"] == ""
