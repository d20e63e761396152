"""Every setting is in the key of a replay's origins if it decides what they hold, and else it is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from freshet import operations
from freshet.backends.planners.fake import FakeTuner
from freshet.core.config import parse
from freshet.replay import Plan
from freshet.replay.origin_key import origin_key
from freshet.storage.workspace import Workspace
from freshet.wiring import open_sandbox
from tests.pipeline.test_keys import MADE, OUTSIDE, text
from tests.pipeline.world import workspace
from tests.replay.test_rolling_origin import NOW, START, planned

UNREAD = {
    "schedule.refresh_days": "the plan has its own",
    **{key: "is not replayed" for key in MADE if key.startswith(("ranker.", "feedback."))},
    "experiments.satisfied": "is not replayed",
}
"""By key that decides a release's parts: why it decides nothing of a replay."""
READ = {
    "schedule.drift_alpha": "arms that refresh by drift",
    "schedule.value_per_hit": "arms that refresh by cost",
    "prices.per_hour": "costs are told at the prices of now",
    "prices.per_million_tokens": "costs are told at the prices of now",
    "prices.per_million_tokens_written": "costs are told at the prices of now",
    "prices.per_million_tokens_trained": "costs are told at the prices of now",
    "retention.events_days": "models begin at random weights where the log drops days",
}
"""By key that decides no part of a release: what of a replay it decides."""


BESIDE: dict[str, dict[str, object]] = {
    "stream.kind": {"stream.servers": "redis://localhost:1/0", "stream.topic": "a"},
    "alerts.email_to": {"alerts.smtp": "127.0.0.1:1", "alerts.email_from": "freshet@example.org"},
}
"""By key: what has to be set beside it."""
SAME = ("planner.use", "privacy.hash_users", "telemetry.endpoint")
"""Keys whose other values need more than settings: another kind, a new log, a package."""


class Other(FakeTuner):
    """Starts from another checkpoint."""

    @property
    def recipe(self) -> str:
        return "other"


@pytest.fixture(scope="module")
def replayable(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Plan]:
    ws = workspace(tmp_path_factory.mktemp("keys"), configured(world, {}))
    operations.import_log(ws, NOW)
    return ws, planned(ws, arms=("hybrid", "counts-live", "hybrid-adaptive", "hybrid-cost"))


def configured(world: Path, changes: dict[str, object]) -> str:
    sources = {"events.files": [str(world / "events.parquet")], "events.items": str(world / "items.parquet")}
    return text(sources | changes)


def key(ws: Workspace, plan: Plan) -> str:
    """The key of the first origin."""
    with ws.run("test") as run:
        return origin_key(open_sandbox(ws, START), run, plan, START, "")


@pytest.mark.parametrize("setting", [*MADE, *OUTSIDE])
def test_a_setting_is_in_the_key_if_it_is_read(
    world: Path, replayable: tuple[Workspace, Plan], setting: str
) -> None:
    ws, plan = replayable
    value, _ = (MADE | OUTSIDE)[setting]
    beside = BESIDE.get(setting, {})
    config = parse(configured(world, {**beside, setting: value}), "freshet.toml")
    assert config != ws.config or setting in SAME
    read = setting in READ if setting in OUTSIDE else setting not in UNREAD
    tuner = None if config.planner.kind == "counts" else ws.tuner
    assert (key(replace(ws, config=config, tuner=tuner), plan) != key(ws, plan)) == read


def test_another_base_checkpoint_is_another_replay(replayable: tuple[Workspace, Plan]) -> None:
    ws, plan = replayable
    assert key(replace(ws, tuner=Other()), plan) != key(ws, plan)


def test_another_share_of_the_users_is_another_replay(replayable: tuple[Workspace, Plan]) -> None:
    ws, plan = replayable
    keys = [key(ws, plan.learned_by(percent)) for percent in (1, 10, 100)]
    assert len(set(keys)) == 3
    assert keys[-1] == key(ws, plan)
