"""An experiment in moments, against sums made one user at a time."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from freshet.core.errors import ConfigError, NotEnoughData
from freshet.experiments.measurement.experiment_metrics import metric, metrics, named
from freshet.experiments.measurement.measure import Measurement, measure
from freshet.experiments.stats.moments import Moments
from freshet.storage.workspace import Workspace
from tests.experiments.exposed import (
    DAY,
    START,
    event,
    experiment,
    import_events,
    naming,
    shown,
    workspace,
    write_impressions,
)

NAMES = ("satisfied", "satisfaction", "dissatisfied")


def drawn(seed: int, users: int = 60) -> tuple[list[dict], list[dict]]:
    """Impressions over 6 days, and events before and after, of users and of strangers."""
    rng = np.random.default_rng(seed)
    impressions, recorded = [], []
    for n in range(users):
        user, arm = f"u{n}", ("control", "treatment")[n % 2]
        for moment in np.sort(rng.uniform(0.01, 6, rng.integers(0, 5))):
            impressions.append(shown(user, arm, moment, id=f"a{n}-{moment:.5f}"))
            impressions.append(shown(user, arm, moment, id=f"a{n}-{moment:.5f}", place=1, reason="live"))
        for moment in rng.uniform(-20, 6, rng.integers(0, 12)):
            named = "x" if rng.random() < 0.7 else ""
            recorded.append(
                event(user, moment, float(rng.integers(1, 11)), named, item=f"i{rng.integers(9)}")
            )
    return impressions, naming(recorded, impressions)


def by_hand(impressions: list[dict], recorded: list[dict], until: int, since: int = 0) -> dict[str, dict]:
    """For each arm and metric the moments of all users exposed before `until`, events from `since` on."""
    first: dict[str, int] = {}
    arms = {}
    for row in impressions:
        if row["place"] == 0 and row["time"] < until:
            first[row["user"]] = min(first.get(row["user"], until), row["time"])
            arms[row["user"]] = row["arm"]
    when = {row["id"]: row["time"] for row in impressions}
    rows: dict[str, dict[str, list]] = {arm: {name: [] for name in NAMES} for arm in ("control", "treatment")}
    for user, moment in first.items():
        mine = [row for row in recorded if row["user"] == user]
        named = [row for row in mine if max(moment, since) <= when.get(row["impression"], -1) < until]
        after = {(row["impression"], row["item"], row["value"] >= 7): row for row in named}.values()
        earlier = [row for row in mine if START - 28 * DAY <= row["time"] < START]
        good, past = (sum(row["value"] >= 7 for row in some) for some in (after, earlier))
        rows[arms[user]]["satisfied"].append([good, 1, past])
        rows[arms[user]]["satisfaction"].append([good, len(after), past, len(earlier)])
        rows[arms[user]]["dissatisfied"].append(
            [len(after) - good, len(after), len(earlier) - past, len(earlier)]
        )
    return {arm: {name: Moments.of(some) for name, some in found.items()} for arm, found in rows.items()}


def same(a: Moments, b: Moments) -> None:
    assert a.n == b.n
    np.testing.assert_allclose(a.mean, b.mean, atol=1e-12)
    np.testing.assert_allclose(a.scatter, b.scatter, atol=1e-9)


def measured(ws: Workspace, *names: str) -> Measurement:
    return measure(ws, experiment(), named(ws.config, names or NAMES))


@pytest.mark.parametrize("seed", range(3))
def test_moments_are_those_of_each_user_added_up(tmp_path: Path, seed: int) -> None:
    impressions, recorded = drawn(seed)
    ws = workspace(tmp_path)
    write_impressions(ws.root, impressions)
    import_events(ws, recorded)
    found = measured(ws)
    assert found.days[0] == date(2024, 3, 1)
    midnight = START - 9 * 3_600_000_000
    for index in range(len(found.days)):
        end = midnight + (index + 1) * DAY
        whole = by_hand(impressions, recorded, end)
        daily = by_hand(impressions, recorded, end, since=end - DAY)
        for place, arm in enumerate(("control", "treatment")):
            for name in NAMES:
                same(found.moments[name][index].cumulative[place], whole[arm][name])
                same(found.moments[name][index].daily[place], daily[arm][name])
    assert sum(len(one.users.key) for one in [found.exposures]) == sum(
        m.n for m in found.moments["satisfied"][-1].cumulative
    )


def test_who_saw_two_arms_is_counted_and_left_out(tmp_path: Path) -> None:
    ws = workspace(tmp_path)
    rows = [shown("a", "control", 0.1), shown("b", "treatment", 0.1), shown("a", "treatment", 1.1)]
    rows += [shown("", "control", 0.2), shown("c", "control", 0.3, name="another")]
    write_impressions(ws.root, rows)
    import_events(ws, [event("b", 0.2, 9)])
    found = measured(ws)
    assert (found.exposures.mixed, len(found.exposures.users)) == (1, 1)
    assert sum(one.nameless for one in found.exposures.shown) == 1
    assert [moments.n for moments in found.moments["satisfied"][-1].cumulative] == [0, 1]


def test_files_from_before_experiments_are_read_past(tmp_path: Path) -> None:
    ws = workspace(tmp_path)
    write_impressions(ws.root, [shown("a", "control", 0.1), shown("b", "treatment", 0.1)])
    path = next((ws.root / "impressions").rglob("some.parquet"))
    pq.write_table(
        pq.read_table(path).drop_columns(["experiment", "arm", "user_key"]), path.with_name("old.parquet")
    )
    import_events(ws, [event("b", 0.2, 9)])
    assert len(measured(ws).exposures.users) == 2


def test_events_before_the_first_exposure_and_after_the_stop_do_not_count(tmp_path: Path) -> None:
    ws = workspace(tmp_path)
    write_impressions(ws.root, [shown("a", "control", 0.2), shown("b", "treatment", 0.2)])
    [_, answer] = [shown("a", "control", 0.2), shown("b", "treatment", 0.2)]
    recorded = enumerate((0.1, 0.3, 1.0, 1.9, 2.1))
    import_events(ws, [event("b", day, 9, answer["id"], item=f"i{n}") for n, day in recorded])
    stopped = experiment(stop=START + 2 * DAY, reason="enough")
    found = measure(ws, stopped, [metric(ws.config, "satisfied")])
    assert found.moments["satisfied"][-1].cumulative[1].mean[0] == 3
    assert found.attribution is not None
    assert {why: n for why, n in found.attribution.left_out.items() if n} == {
        "before_shown": 1,
        "after_stop": 1,
    }
    assert found.days[-1] == date(2024, 3, 3)


def test_a_metric_of_ones_own_reads_columns_that_some_days_lack(tmp_path: Path) -> None:
    more = """
[experiments]
negative = "outcome = 'hidden'"
[[experiments.metrics]]
name = "hidden_rate"
counts = "outcome = 'hidden'"
of = "impression"
better = "lower"
[[experiments.metrics]]
name = "liked_share"
counts = "outcome = 'liked'"
of = "outcome is not null"
attributed = false
"""
    ws = workspace(tmp_path, more)
    rows = [shown("a", "control", 0.1), shown("b", "treatment", 0.1), shown("b", "treatment", 1.1)]
    write_impressions(ws.root, rows)
    import_events(ws, [event("b", 0.2, 9)])  # no column `outcome` on this day
    with pytest.raises(ConfigError, match="'outcome', which no event has"):
        measured(ws, "negative")
    recorded = [("hidden", rows[1]["id"]), ("liked", ""), ("hidden", ""), (None, rows[1]["id"])]
    import_events(ws, [event("b", 1 + n / 9, 5, to, outcome=what) for n, (what, to) in enumerate(recorded)])
    found = measured(ws, "negative", "hidden_rate", "liked_share")
    end = {name: moments[-1].cumulative[1].mean[:2].tolist() for name, moments in found.moments.items()}
    assert end == {"negative": [1, 1], "hidden_rate": [1, 2], "liked_share": [1, 3]}


def test_without_exposures_there_is_nothing_to_measure(tmp_path: Path) -> None:
    ws = workspace(tmp_path)
    with pytest.raises(NotEnoughData, match="nobody was exposed"):
        measured(ws, "satisfied")
    write_impressions(ws.root, [shown("", "control", 0.1)])
    with pytest.raises(NotEnoughData, match="nobody was exposed"):
        measured(ws, "satisfied")


def test_the_ready_set_follows_the_settings(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "a", positive="")
    assert [*metrics(ws.config)] == ["satisfied", "satisfaction", "novel", "interests_7d", "returned_7d"]
    for name, recorded in (
        ("negative", r"set \[experiments\] negative"),
        ("dissatisfied", r"set \[experiments\] dissatisfied"),
        ("joy", "metrics: satisfied"),
    ):
        with pytest.raises(ConfigError) as caught:
            metric(ws.config, name)
        assert caught.match(f"{name}")
        assert re.search(recorded, caught.value.hint)
