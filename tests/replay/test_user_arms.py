"""The arm with rows of single users: the hybrid's tables, with rows beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from freshet import operations
from freshet.core.errors import ConfigError
from freshet.core.types import AsOf
from freshet.replay import Able, make_plan, roll
from freshet.replay.frames import Results
from freshet.replay.replay_arms import defaults, named
from freshet.stages import events
from freshet.stages.users.weighing import Weighed
from freshet.storage.artifacts import committed
from freshet.storage.manifests import UserRowsManifest
from freshet.wiring import open_sandbox
from tests.pipeline.world import settings, workspace
from tests.replay.test_rolling_origin import MORE, NOW, by_arm, standings

START, END = (AsOf.parse(f"2024-02-{day}") for day in (19, 25))
USERS = MORE.replace("= 120", "= 4000") + "[users]\nrows = 40\n"


@pytest.mark.slow
def test_it_differs_from_the_hybrid_where_a_row_speaks(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # it is asked what rows do, not whether they pay
    monkeypatch.setattr(Weighed, "pays", property(lambda _: True))
    text = settings(world, "fake", USERS).replace("fit_windows = 2", "fit_windows = 3")
    ws = workspace(tmp_path / "ws", text)
    operations.import_log(ws, NOW)
    days = [day.day for day in events.EventLog(ws.root).snapshot().days]
    able = Able(True, trains=False, users=True)
    plan = make_plan(
        days, able=able, refresh_days=3, tune_every=6, every=2, start=START, end=END,
        arms=["hybrid", "hybrid-users", "counts"],
    )  # fmt: skip
    sandbox = open_sandbox(ws, START)
    origins = roll(sandbox, plan)
    found, arms = Results.of(origins), standings(origins[-1])
    assert arms["hybrid"].table == arms["hybrid-users"].table != ""
    assert arms["hybrid"].users == ""
    made = [
        UserRowsManifest.of(committed(sandbox.store, "user_rows", standings(origin)["hybrid-users"].users))
        for origin in origins
    ]
    assert made[0].asked == 40
    assert all(one.asked <= 40 for one in made)
    assert made[1].copied + made[1].kept > 0  # rows of the origin before are gone on with
    nll = {arm: np.array(by_arm(found.judged, arm)["nll"].to_pylist()) for arm in ("hybrid", "hybrid-users")}
    differs = np.abs(nll["hybrid"] - nll["hybrid-users"]) > 1e-6
    length = np.array(by_arm(found.judged, "hybrid")["length"].to_pylist())
    assert 3 < differs.sum() < len(differs) / 2
    assert (length[differs] == 2).all()  # 2 = several recent interests
    steps = {arm: by_arm(found.costs, arm)["step"].to_pylist() for arm in nll}
    assert "users" in steps["hybrid-users"]
    assert "users" not in steps["hybrid"]


def test_the_arm_is_there_where_a_workspace_asks_about_users() -> None:
    assert "hybrid-users" in defaults(Able(True, users=True), ())
    assert "hybrid-users" not in defaults(Able(True), ())
    assert "hybrid-users" not in defaults(Able(False, users=True), ())
    with pytest.raises(ConfigError, match="rows = 0"):
        named(["hybrid-users"], Able(True))
    [arm] = named(["hybrid-users"], Able(True, users=True))
    assert arm.users
