from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import chisquare

from freshet.core.config import Events
from freshet.core.errors import ConfigError
from freshet.simulator import SIMULATED, World, generate, truth
from freshet.simulator.themes import THEMES
from freshet.simulator.world import popularity
from freshet.stages.events import EventLog, import_items

SMALL = World(themes=8, items=80, users=6000, days=40, change_day=20, sessions=5)


def second_themes(folder: Path) -> list[tuple[int, int, int]]:
    """(day, first theme, second theme) of every user who liked two: what the truth is about, with nothing else known."""
    number = {name: index for index, (name, _) in enumerate(THEMES)}
    items = pq.read_table(folder / "items.parquet")
    theme = {
        item: number[name]
        for item, name in zip(items["item_id"].to_pylist(), items["category"].to_pylist(), strict=True)
    }
    events = pq.read_table(folder / "events.parquet")
    micros = events["timestamp"].cast("int64").to_numpy()
    days = (micros - micros.min() // 86_400_000_000 * 86_400_000_000) // 86_400_000_000
    first: dict[str, int] = {}
    found: dict[str, tuple[int, int, int]] = {}
    liked = events["value"].to_numpy() >= 7
    users, names = events["user_id"].to_pylist(), events["item_id"].to_pylist()
    for row in np.flatnonzero(liked).tolist():
        user, taken = users[row], theme[names[row]]
        if first.setdefault(user, taken) != taken:
            found.setdefault(user, (int(days[row]), first[user], taken))
    return list(found.values())


def fit(world: World, moves: list[tuple[int, int, int]], day_of_truth: int | None = None) -> float:
    """p-value of the moves under the truth of their own days, or of one day."""
    observed, expected = np.zeros((2, world.themes, world.themes))
    truths = [truth(world, day) for day in range(world.days)]
    for day, before, after in moves:
        observed[before, after] += 1
        expected[before] += truths[day if day_of_truth is None else day_of_truth][before]
    enough = expected >= 5
    counted = np.r_[observed[enough], observed[~enough].sum()]
    return float(chisquare(counted, np.r_[expected[enough], expected[~enough].sum()]).pvalue)


@pytest.mark.parametrize("drift", ["static", "gradual", "abrupt", "seasonal"])
def test_people_move_on_as_the_truth_of_the_day_says(tmp_path: Path, drift) -> None:
    world = replace(SMALL, drift=drift)
    generate(world, tmp_path)
    moves = second_themes(tmp_path)
    assert len(moves) > 2000
    assert fit(world, moves) > 0.001
    late = [move for move in moves if move[0] >= 25]
    assert fit(world, late, day_of_truth=0) < 1e-6  # trends alone change what is true


def change(drift, before: int, after: int) -> float:
    """Largest change of the truth between two days, trends taken out."""
    world = replace(SMALL, drift=drift, days=61)
    plain = [truth(world, day) / popularity(world)[day] for day in (before, after)]
    one, other = (matrix / matrix.sum(axis=1, keepdims=True) for matrix in plain)
    return float(np.abs(one - other).max())


def test_the_truth_drifts_as_asked() -> None:
    assert change("static", 0, 60) < 1e-12
    assert change("abrupt", 0, 19) < 1e-12 < 0.1 < change("abrupt", 19, 20)
    assert 0.001 < change("gradual", 3, 4) < 0.1 < change("gradual", 19, 20)
    assert change("seasonal", 0, 60) < 1e-12 < 0.1 < change("seasonal", 0, 30)


def test_a_truth_is_a_distribution_over_other_themes() -> None:
    matrix = truth(SMALL, 7)
    assert matrix.shape == (8, 8)
    assert np.allclose(matrix.sum(axis=1), 1)
    assert not matrix.diagonal().any()


def test_trends_rise_and_fall() -> None:
    share = popularity(World())
    assert np.allclose(share.sum(axis=1), 1)
    peak, start, end = share.max(axis=0), share[0], share[-1]
    assert (peak > 1.5 * np.maximum(start, end)).mean() > 0.3


def test_the_default_world_is_a_believable_log(tmp_path: Path) -> None:
    world = World()
    report = generate(world, tmp_path)
    assert 80_000 <= report.events <= 120_000
    assert (report.users, report.items) == (4000, 2000)
    assert 0.6 < report.positive_share < 0.9
    log = EventLog(tmp_path / "w")
    now = datetime(2025, 1, 1, tzinfo=UTC)
    imported = log.import_events(report.events_path, Events(positive="value >= 7"), now=now)
    assert (imported.quarantined, imported.days, imported.rows_read) == ({}, world.days, report.events)
    assert imported.added > 0.99 * report.events
    assert import_items(report.items_path, Events(), tmp_path).without_text == 0
    events = pq.read_table(report.events_path)
    _, rows = np.unique(events["user_id"].to_numpy(), return_counts=True)
    assert 0.1 < (rows <= 2).mean() < 0.5  # hardly ever seen
    assert np.sort(rows)[-400:].sum() > 0.3 * len(events)  # a tenth of the users does much
    first_week = set(events["item_id"].slice(0, 5000).to_pylist())
    assert report.items * 0.3 < len(first_week) < report.items * 0.8  # others appear later


def test_the_same_world_gives_the_same_bytes_and_says_it_is_simulated(tmp_path: Path) -> None:
    small = replace(SMALL, users=50)
    written = []
    for name, world in (("a", small), ("b", small), ("c", replace(small, seed=1))):
        report = generate(world, tmp_path / name)
        assert report.note == SIMULATED
        written.append((report.events_path.read_bytes(), report.items_path.read_bytes()))
    assert written[0] == written[1] != written[2]
    for path in (report.events_path, report.items_path):
        assert pq.read_schema(path).metadata[b"freshet"] == SIMULATED.encode()


def test_a_world_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="a world of 3 themes"):
        World(themes=3)
    with pytest.raises(ConfigError, match="20 items"):
        World(items=20)
