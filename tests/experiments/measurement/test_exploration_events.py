"""Metrics of exploration read the log as the current release assigns items to interests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from freshet import pipeline
from freshet.core.errors import ConfigError
from freshet.core.types import Experiment, ExperimentArm, Serves
from freshet.experiments.measurement import exploration_events as exploring
from freshet.experiments.measurement.experiment_metrics import named
from freshet.experiments.measurement.frozen_rules import rules_of
from freshet.experiments.measurement.measure import measure
from freshet.stages.events import EventLog
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace
from tests.experiments.exposed import DAY, shown, workspace, write_impressions
from tests.pipeline.world import FIRST, copied

NAMES = ("novel", "interests_7d", "returned_7d")
START = int(FIRST.minus(14).moment.timestamp()) * 1_000_000


def started(ws: Workspace) -> Experiment:
    arms = (ExperimentArm("control", 0.5, Serves(1)), ExperimentArm("treatment", 0.5, Serves()))
    return Experiment("try", "try", arms, 1.0, ("novel",), START, 1, stop=START + 14 * DAY, reason="enough")


def engaged(ws: Workspace) -> list[tuple[str, int, int]]:
    """(user, time, interest) of all engagements, read anew."""
    release = ws.releases.current()
    assert release is not None
    table = ws.store.find("tables", release.table)
    assert table is not None
    counted = ws.store.find("transitions", table.manifest["inputs"]["transitions"])
    assert counted is not None
    assignment = ws.store.find("assignments", counted.manifest["inputs"]["assignment"])
    assert assignment is not None
    query = f"""SELECT "user", epoch_us("time"), interest FROM {EventLog(ws.root).snapshot().scan}
        JOIN '{assignment.path}/assignment.parquet' USING (item) WHERE value >= 7 ORDER BY "time" """
    return duckdb.sql(query).fetchall()


def test_novel_interests_since_the_first_exposure(
    counted: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = copied(counted, tmp_path / "ws")
    pipeline.refresh(ws, FIRST, publish=True)
    rows = engaged(ws)
    users = sorted({user for user, _, _ in rows})
    first = {user: START + n * DAY // 20 for n, user in enumerate(users)}
    impressions = [
        {**shown(user, ("control", "treatment")[n % 2], 0), "time": first[user]}
        for n, user in enumerate(users)
    ]
    write_impressions(ws.root, impressions)
    found = measure(ws, started(ws), named(ws.config, NAMES))
    horizon, end = 30 * DAY, START + 14 * DAY
    novel = dict.fromkeys(users, 0)
    last: dict[tuple[str, int], int] = {}
    for user, time, interest in rows:
        new = time - last.get((user, interest), -(1 << 60)) > horizon
        novel[user] += new and first[user] <= time < end
        last[user, interest] = time
    for place in range(2):
        ours = users[place::2]
        moments = found.moments["novel"][-1].cumulative[place]
        assert moments.n == len(ours)
        assert moments.mean[0] == pytest.approx(np.mean([novel[user] for user in ours]))
    weeks = [found.moments["interests_7d"][-1].cumulative[place] for place in range(2)]
    assert sum(m.n * m.mean[1] for m in weeks) == pytest.approx(
        sum((end - moment) // (7 * DAY) for moment in first.values())
    )
    assert found.covariates["novel"] == 1
    # users are worked through a part at a time, which changes nothing
    monkeypatch.setattr(exploring, "TOGETHER", 50)
    again = measure(ws, started(ws), named(ws.config, NAMES))
    for name in NAMES:
        for a, b in zip(found.moments[name], again.moments[name], strict=True):
            np.testing.assert_allclose([m.mean for m in a.cumulative], [m.mean for m in b.cumulative])
    # rules that have changed since the start change nothing
    frozen = replace(started(ws), rules=rules_of(ws.config))
    path = ws.source / "freshet.toml"
    changed = path.read_text(encoding="utf-8").replace("value >= 7", "value >= 10")
    path.write_text(changed, encoding="utf-8")
    stricter = open_workspace(ws.root)
    assert stricter.config.events.positive == "value >= 10"
    for now, same in ((frozen, True), (started(ws), False)):
        other = measure(stricter, now, named(ws.config, ["novel"])).moments["novel"][-1].cumulative
        means = zip(found.moments["novel"][-1].cumulative, other, strict=True)
        assert all(a.mean[0] == b.mean[0] for a, b in means) == same


def test_without_a_release_there_are_no_interests(tmp_path: Path) -> None:
    ws = workspace(tmp_path)
    write_impressions(ws.root, [{**shown("a", "control", 0), "time": START + 1}])
    with pytest.raises(ConfigError, match="no release yet"):
        measure(ws, started(ws), named(ws.config, ["novel"]))
