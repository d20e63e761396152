"""Users of a log as if they had been in an experiment: each window's users, mean and variance."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from freshet.core.errors import ArtifactError, ConfigError, NotEnoughData
from freshet.experiments.measurement.experiment_metrics import metric
from freshet.experiments.measurement.traffic import traffic_of
from freshet.experiments.stats.moments import Moments
from freshet.experiments.stats.power import Baseline
from freshet.storage.workspace import Workspace
from tests.experiments.exposed import DAY, event, import_events, workspace


def drawn(days: int, impression: str = "", users: int = 40) -> list[dict]:
    """Events of the days before the start, at midnight + a bit."""
    rng = np.random.default_rng(8)
    return [
        event(f"u{user}", -day - rng.uniform(0.4, 1.3), float(rng.integers(4, 11)), impression, item=f"i{k}")
        for user in range(users)
        for day in rng.choice(days, 12)
        for k in range(rng.poisson(1 + user % 3))
    ]


def by_hand(recorded: list[dict], first: date, days: int) -> Moments:
    """Satisfied events of users active in a window, and in the 28 days before it."""
    start = (first - date(1970, 1, 1)).days * DAY
    end = start + days * DAY
    users = sorted({row["user"] for row in recorded if start <= row["time"] < end})

    def count(user: str, low: int, high: int) -> int:
        return sum(
            row["user"] == user and row["value"] >= 7 and low <= row["time"] < high for row in recorded
        )

    return Moments.of([[count(u, start, end), 1, count(u, start - 28 * DAY, start)] for u in users])


def filled(root: Path, recorded: list[dict], more: str = "") -> Workspace:
    ws = workspace(root, more)
    import_events(ws, recorded)
    return ws


def test_windows_hold_what_their_users_did(tmp_path: Path) -> None:
    recorded = drawn(56)
    ws = filled(tmp_path, recorded)
    found = traffic_of(ws, [metric(ws.config, "satisfied")])
    assert not found.attributed
    assert found.days >= 28
    spans = found.spans("satisfied", 100.0)
    assert [span.days for span in spans][:5] == [1, 2, 3, 7, 14]
    for span in spans:
        expected = by_hand(recorded, found.first, span.days)
        assert span.users == 100 * expected.n
        assert span.baseline.mean == pytest.approx(expected.mean[0])
        assert span.baseline.variance == pytest.approx(expected.covariance[0, 0])
    assert spans[-1].baseline.explained == pytest.approx(Baseline.of(expected).explained)
    assert found.spans("satisfied", adjusted=False)[-1].baseline.explained == 0


def test_reactions_count_from_the_first_one_on(tmp_path: Path) -> None:
    recorded = [*drawn(40), *(event(f"u{n}", n - 2.0, 9.0, "x", item="z") for n in range(2))]
    ws = filled(tmp_path, recorded)
    found = traffic_of(ws, [metric(ws.config, "satisfied")])
    assert found.attributed
    assert found.first == date(2024, 2, 28)
    moments = found.moments["satisfied"][-1]
    assert moments.n * moments.mean[0] == pytest.approx(2)


def test_what_cannot_be_planned_is_told(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "a")
    with pytest.raises(NotEnoughData):
        traffic_of(ws, [metric(ws.config, "satisfied")])
    more = '[[experiments.metrics]]\nname = "rate"\nof = "impression"\n'
    ws = filled(tmp_path / "b", drawn(9), more)
    with pytest.raises(ConfigError, match="'rate' varies"):
        traffic_of(ws, [metric(ws.config, "rate")])


def test_a_damaged_day_is_named(tmp_path: Path) -> None:
    ws = filled(tmp_path, drawn(56))
    path = sorted((ws.root / "events").glob("date=*/*.parquet"))[-3]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # it is no Parquet file any more, of the same size
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=path.stem):
        traffic_of(ws, [metric(ws.config, "satisfied")])
